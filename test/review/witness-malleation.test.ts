/** A cheater changes what no signature covers: the second stage of a revoked commitment is recognised all the same. */
import { describe, expect, it } from "vitest";
import { delayedClaim } from "../../core/transactions/claims.ts";
import {
  parseTransaction,
  serializeTransaction,
  withWitness,
} from "../../core/transactions/transaction.ts";
import { idOf } from "../chain/monitor/support/chain.ts";
import { archived, DELAY, Peers, type State, testHtlc } from "../chain/monitor/support/peers.ts";
import { Watcher } from "../chain/monitor/support/watcher.ts";
import { channelTypes } from "../support/channel-pair.ts";

const HTLC = testHtlc(false, 0);
const REVOKED: State = { number: 2, aliceMsat: 300_000_000, htlcs: [HTLC] };
const NOW: State = { number: 6, aliceMsat: 700_000_000, htlcs: [] };

/** The timeout path drops this item whatever it is, unless it has 32 bytes. */
function withJunk(raw: Uint8Array, length: number): Uint8Array {
  const transaction = parseTransaction(raw);
  const witness = [...(transaction.inputs[0]?.witness ?? [])];
  witness[3] = new Uint8Array(length).fill(2);
  return serializeTransaction(withWitness(transaction, 0, witness));
}

describe.each(channelTypes)("revoked-always-punished, in a channel with %s", (channelType) => {
  it.each([0, 1, 31, 33, 80])(
    "an HTLC-timeout of the cheater whose witness holds %i bytes of junk is punished",
    (length) => {
      const peers = new Peers(channelType);
      const { chain } = peers;
      const archive = [archived(HTLC, { first: 1, last: 3 })];
      const watcher = new Watcher(peers, peers.record(NOW, { archive }));
      chain.confirm(peers.signed("remote", REVOKED));
      chain.mineTo(HTLC.cltvExpiry);
      const raw = withJunk(peers.htlcTransaction("remote", REVOKED, HTLC), length);
      chain.confirm(raw);
      const second = { txid: idOf(parseTransaction(raw)), vout: 0 };

      expect(watcher.report("received-htlc undefined").status).toBe("theirs");
      expect(watcher.report("second-stage received undefined").status).toBe("claimable");
      watcher.publish();
      expect(chain.output(second)).toBeUndefined();
      expect(watcher.report("second-stage received undefined").status).toBe("claimed");
    },
  );

  it("an output that the cheater got away with by a strange false is not told as ours", () => {
    const peers = new Peers(channelType);
    const { chain } = peers;
    const watcher = new Watcher(peers, peers.record(NOW));
    const state = { ...REVOKED, htlcs: [] };
    chain.confirm(peers.signed("remote", state));
    const built = peers.build("remote", state);
    const vout = built.commitment.outputs.findIndex(({ kind }) => kind === "toBroadcaster");
    const outpoint = { txid: idOf(built.commitment.transaction), vout };
    const amount = built.commitment.outputs[vout]?.amount as never;
    chain.mine(DELAY.remote);
    const swept = peers.bobSweeps(delayedClaim({ outpoint, amount }, built.keys, DELAY.remote));
    const parsed = parseTransaction(swept);
    const witness = [...(parsed.inputs[0]?.witness ?? [])];
    witness[1] = Uint8Array.of(0); // consensus takes it, only relay asks for the empty item
    const fact = serializeTransaction(withWitness(parsed, 0, witness));
    const facts = { tipHeight: chain.facts.tipHeight, confirmed: [...chain.facts.confirmed] };
    facts.confirmed.push({ raw: fact, height: facts.tipHeight });
    Object.defineProperty(chain, "facts", { value: facts });
    expect(watcher.report("to-local").status).toBe("theirs");
  });
});
