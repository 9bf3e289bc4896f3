/** No signature on a revoked commitment, and none that leaves on two different commitments of one number (rules `never-broadcast-revoked`, `no-conflicting-signature`). */
import { toHex } from "../../../core/primitives/bytes.ts";
import type { MakeChecker } from "./checker.ts";

export const signatures: MakeChecker = (_, complain) => {
  /** By node and channel key: the highest commitment whose secret was given away. */
  const revoked = new Map<string, number>();
  /** By node, channel and number: what left. */
  const sent = new Map<string, string>();
  return {
    signer: (node) => ({
      revoked: (keyIndex, number) => {
        const key = `${node.name}/${keyIndex}`;
        revoked.set(key, Math.max(number, revoked.get(key) ?? -1));
      },
      localSigned: (keyIndex, number) => {
        if (number <= (revoked.get(`${node.name}/${keyIndex}`) ?? -1)) {
          complain(`${node.name} signed its commitment ${number}, whose secret it gave away`);
        }
      },
    }),
    sent: (node, id, message) => {
      if (message.type !== "commitment_signed") return;
      const number = (node.checking.stored(id)?.remoteNumber ?? 0) + 1;
      // What an older image of the disk does not know was lost on its way, or the peer's numbers would be ahead.
      const memory = node.isRestored ? "restored" : "whole";
      const key = `${node.name}/${memory}/${toHex(id)}/${number}`;
      const signature = toHex(message.signature);
      const before = sent.get(key);
      sent.set(key, signature);
      if (before !== undefined && before !== signature) {
        complain(`${node.name} signed two different commitments ${number} of one channel`);
      }
    },
  };
};
