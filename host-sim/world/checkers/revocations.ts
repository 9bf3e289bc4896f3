/** Every secret of a revoked commitment that a node stores is the peer's own: another one would punish nothing (rule `per-commitment-secret`). */
import type { ChannelRecord } from "../../../core/channel/record.ts";
import { lookupSecret } from "../../../core/keys/shachain.ts";
import { commitmentNumber } from "../../../core/primitives/brands.ts";
import { equal, toHex } from "../../../core/primitives/bytes.ts";
import type { MakeChecker } from "./checker.ts";

export const revocations: MakeChecker = (world, complain) => {
  const seen = new Map<string, ChannelRecord["secrets"]>();
  return {
    step: () => {
      for (const { id, opener, acceptor } of world.book.channels) {
        for (const index of id ? [opener, acceptor] : []) {
          const node = world.node(index);
          const peer = world.node(opener + acceptor - index);
          const record = id && node.checking.stored(id);
          const theirs = id && peer.checking.stored(id);
          const key = `${node.name}/${id && toHex(id)}`;
          if (!record || !theirs || node.isByzantine || seen.get(key) === record.secrets) continue;
          seen.set(key, record.secrets);
          if (record.secrets.count === 0) continue;
          const number = commitmentNumber(record.secrets.count - 1);
          const secret = lookupSecret(world.crypto, record.secrets, number);
          const point = peer.channelSigner(theirs.terms.keyIndex).perCommitmentPoint(number);
          if (secret && equal(world.crypto.publicKeyOf(secret), point)) continue;
          complain(`${node.name} stored a secret that does not revoke commitment ${number}`);
        }
      }
    },
  };
};
