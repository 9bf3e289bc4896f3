/** The record's bytes: round trips, a sample that must be read for ever, damage that is noticed, and how large it is. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { decodeRecord, encodeRecord, RecordError } from "../../core/channel/codec.ts";
import type { ChannelRecord } from "../../core/channel/record.ts";
import { SeedSigner } from "../../core/keys/seed-signer.ts";
import { blockHeight, milliSatoshi, paymentHash } from "../../core/primitives/brands.ts";
import { fromHex, toHex } from "../../core/primitives/bytes.ts";
import { open, push } from "../support/commands.ts";
import { crypto, payment } from "../support/node-pair.ts";
import { Random } from "../support/random.ts";

const SAMPLES = join(import.meta.dirname, "samples");
const signer = new SeedSigner(crypto, new Uint8Array(32).fill(1));
const basepoints = signer.channel(0).basepoints;
const basepointsOf = (keyIndex: number) =>
  keyIndex === 0 ? basepoints : signer.channel(keyIndex).basepoints;

/** A record with something in almost every list, as alice has it. */
async function busyRecord(): Promise<ChannelRecord> {
  const { pair, id } = await open({ channelType: "anchors", pushMsat: 300_000_000 });
  const offer = (side: typeof pair.a, n: number) =>
    side.node.command(id, {
      type: "addHtlc",
      amountMsat: milliSatoshi(10_000_000 + n),
      paymentHash: paymentHash(crypto.sha256(Uint8Array.of(n))),
      cltvExpiry: blockHeight(300 + n),
    });
  offer(pair.a, 1);
  offer(pair.b, 2);
  push(pair.b, id, 1_000);
  pair.cable.pump();
  pair.b.node.command(id, { type: "failHtlc", htlcId: 0, reason: new Uint8Array(9) });
  pair.a.node.command(id, { type: "failHtlc", htlcId: 0, reason: new Uint8Array(3) });
  pair.a.node.command(id, { type: "updateFee", feeratePerKw: 1_234 });
  pair.a.node.command(id, { type: "close", feeratePerKw: 700 });
  pair.b.node.command(id, { type: "push", payments: payment(77, 2) });
  pair.cable.pump(3);
  const record = pair.a.node.record(id);
  if (!record) throw new Error("the channel is gone");
  return record;
}

describe("stored samples", () => {
  const samples = existsSync(SAMPLES) ? readdirSync(SAMPLES).filter((n) => n.endsWith(".hex")) : [];

  test("there is one of each version", () => {
    expect(samples).toContain("record-v1.hex");
  });

  test.each(samples)("%s is read, and written again byte for byte", (name) => {
    const hex = readFileSync(join(SAMPLES, name), "utf8").replace(/\s/g, "");
    const record = decodeRecord(fromHex(hex), basepointsOf);
    expect(toHex(encodeRecord(record))).toBe(hex);
    expect(record).toMatchObject({ phase: "normal", base: { feeratePerKw: 1_000 } });
    expect(record.base.htlcs.length + record.pending.remoteAcked.length).toBeGreaterThan(1);
  });
});

describe("damage", () => {
  test("every record with one byte changed is refused as damaged, or is a record that adds up; no other error, no hang", async () => {
    const good = encodeRecord(await busyRecord());
    const random = new Random(7);
    let refused = 0;
    const began = performance.now();
    for (let i = 0; i < 3_000; i++) {
      const bytes = good.slice();
      const at = i < good.length ? i : random.below(good.length);
      bytes[at] = (bytes[at] as number) ^ (1 + random.below(255));
      if (!readable(bytes)) refused++;
    }
    expect(refused).toBeGreaterThan(500);
    expect(performance.now() - began).toBeLessThan(20_000);
  });

  test("every cut and every tail is refused", async () => {
    const good = encodeRecord(await busyRecord());
    for (let length = 0; length < good.length; length++) {
      expect(() => decodeRecord(good.subarray(0, length), basepointsOf)).toThrow(RecordError);
    }
    expect(() => decodeRecord(Uint8Array.of(...good, 0), basepointsOf)).toThrow(RecordError);
  });

  test("random bytes are refused", () => {
    const random = new Random(3);
    for (let i = 0; i < 500; i++) {
      const bytes = Uint8Array.from({ length: 1 + random.below(400) }, () => random.below(256));
      expect(() => decodeRecord(bytes, basepointsOf)).toThrow(RecordError);
    }
  });

  test("balances that do not add up are refused (rule `value-conserved`)", async () => {
    const record = await busyRecord();
    const { base } = record;
    const more = { ...base, toLocalMsat: milliSatoshi(base.toLocalMsat + 1) };
    expect(() => decodeRecord(encodeRecord({ ...record, base: more }), basepointsOf)).toThrow(
      /damaged.*value-conserved/,
    );
  });

  test("a newer version says what to do", () => {
    expect(() => decodeRecord(Uint8Array.of(0x82, 0x02, 0x80), basepointsOf)).toThrow(
      "the channel record has version 2, this program reads 1: run the newer program that wrote it",
    );
  });
});

/** False where it is refused as damaged. */
function readable(bytes: Uint8Array): boolean {
  try {
    decodeRecord(bytes, basepointsOf);
    return true;
  } catch (cause) {
    if (!(cause instanceof RecordError)) throw cause;
    return false;
  }
}

describe("the size of an idle channel's record", () => {
  test("stays below a kilobyte over a thousand updates; after 2^20 only the secrets have grown", async () => {
    const { pair, id } = await open({ pushMsat: 300_000_000 });
    const size = () => encodeRecord(pair.a.node.record(id) as ChannelRecord).length;
    const fresh = size();
    for (let i = 0; i < 500; i++) {
      push(pair.a, id, 1_000);
      pair.cable.pump();
      push(pair.b, id, 1_000);
      pair.cable.pump();
    }
    const record = pair.a.node.record(id) as ChannelRecord;
    const used = encodeRecord(record).length;
    // One secret for each bit set in their count: never more than at 2^20 - 1 before 2^21 - 1.
    const secrets = Array.from({ length: 20 }, () => new Uint8Array(32).fill(1));
    const million = encodeRecord({ ...record, secrets: { count: 2 ** 20 - 1, secrets } }).length;
    const sizes = { fresh, "after 1000 updates": used, "after 2^20 - 1 updates": million };
    expect(sizes, `record bytes: ${JSON.stringify(sizes)}`).toSatisfy(
      () => fresh <= 700 && used <= 1_024 && million <= 1_360,
    );
    expect(pair.a.checking.faults).toEqual([]);
  });
});
