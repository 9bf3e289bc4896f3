/** What a node watches and keeps of the chain: enough to punish, and nothing that a peer can make grow. */
import { describe, expect, it } from "vitest";
import { blockHeight, satoshi } from "../../core/primitives/brands.ts";
import { p2wpkh } from "../../core/transactions/script.ts";
import {
  parseTransaction,
  serializeTransaction,
  transactionId,
  unsignedInput,
} from "../../core/transactions/transaction.ts";
import { crypto, Pair, payment } from "../support/node-pair.ts";

const idOf = (raw: Uint8Array) => transactionId(crypto, parseTransaction(raw));

/** Spends one output into many; nobody checks signatures on this chain. */
function spender(parent: Uint8Array, vout: number, outputs: number, salt = 0): Uint8Array {
  const script = p2wpkh(crypto, crypto.publicKeyOf(new Uint8Array(32).fill(5) as never));
  return serializeTransaction({
    version: 2,
    inputs: [
      {
        ...unsignedInput({ txid: idOf(parent), vout }, 0xfffffffd),
        witness: [new Uint8Array(71)],
      },
    ],
    outputs: Array.from({ length: outputs }, (_, i) => ({ script, amount: satoshi(1000 + i) })),
    locktime: salt,
  });
}

describe("bounded: after a channel has closed", () => {
  it("the peer's coins are not followed wherever they go", async () => {
    const pair = await Pair.make();
    const id = await pair.open({ pushMsat: 400_000_000 });
    pair.a.node.command(id, { type: "forceClose" });
    await pair.flow();
    const closing = pair.a.claims.at(-1)?.raw as Uint8Array;
    pair.mine(1, [closing]);
    const watchedAtFirst = pair.a.watched.length;
    let parent = closing;
    for (let i = 0; i < 6; i++) {
      const next = spender(parent, 0, 100);
      pair.mine(1, [next]);
      parent = next;
    }
    expect(pair.a.watched.length - watchedAtFirst).toBeLessThanOrEqual(1);
    expect(pair.a.node.record(id)?.facts.length).toBeLessThanOrEqual(3);
  });

  it("a mutual close is all that is kept", async () => {
    const pair = await Pair.make();
    const id = await pair.open({ pushMsat: 400_000_000 });
    pair.a.node.command(id, { type: "close", feeratePerKw: 1000 });
    await pair.flow();
    const closing = pair.a.closes.at(-1) as Uint8Array;
    pair.mine(1, [closing]);
    pair.mine(1, [spender(closing, 0, 10)]);
    expect(pair.a.node.record(id)?.facts).toHaveLength(1);
  });

  it("facts beyond the room of the record are left out, and the channel goes on", async () => {
    const pair = await Pair.make();
    const id = await pair.open({ pushMsat: 400_000_000 });
    const { policy } = pair.a;
    Object.defineProperty(pair.a, "policy", { value: { ...policy, maxFactBytes: 1_000 } });
    await pair.restart(pair.a);
    pair.connect();
    pair.a.node.command(id, { type: "forceClose" });
    await pair.flow();
    const closing = pair.a.claims.at(-1)?.raw as Uint8Array;
    pair.mine(1, [closing]);
    pair.mine(1, [spender(closing, 1, 100)]);
    expect(pair.a.node.record(id)?.facts).toHaveLength(1);
    expect(pair.a.events("violation").map(({ tag }) => tag)).toContain("bounded");
    expect(pair.a.node.record(id)?.phase).toBe("on-chain");
  });
});

describe("revoked-always-punished: an outpoint that matters to a channel", () => {
  it("is still watched for it when a peer claims to fund another channel from it", async () => {
    const pair = await Pair.make();
    const id = await pair.open({ pushMsat: 400_000_000 });
    pair.a.node.command(id, { type: "push", payments: payment(1000) });
    await pair.flow();
    pair.a.node.command(id, { type: "forceClose" });
    await pair.flow();
    const closing = pair.a.claims.at(-1)?.raw as Uint8Array;
    pair.mine(1, [closing]);
    // Alice opens another channel and says that an output of her commitment funds it.
    const temporary = pair.a.node.open({
      remoteNodeId: pair.b.nodeId,
      channelType: "zero_fee_commitments",
      fundingSatoshis: satoshi(20_000),
      pushMsat: 0 as never,
      feeratePerKw: 0,
    });
    await pair.flow();
    const outpoint = { txid: idOf(closing), vout: 1 };
    pair.a.node.command(temporary, { type: "funded", outpoint });
    await pair.flow();
    expect(pair.b.node.channels()).toHaveLength(2);
    const before = pair.b.node.record(id)?.facts.length ?? 0;
    const raw = spender(closing, 1, 1);
    pair.b.node.transactionConfirmed(raw, blockHeight(pair.height));
    expect(pair.b.node.record(id)?.facts.length).toBe(before + 1);
  });
});
