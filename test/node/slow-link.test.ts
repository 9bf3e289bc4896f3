/** A link on which what may be under way takes longer than a dead one is waited for: nobody hangs up (docs/PROTOCOL.md "Sessions"). */
import { expect, test } from "vitest";
import type { Link } from "../../core/ports/link.ts";
import { commanded, open } from "../support/commands.ts";
import { breath, payment } from "../support/node-pair.ts";

const TICK_MS = 100;
/** 115,200 baud: what hosts may have under way takes three quarters of a minute, the largest message six seconds. */
const BYTES_PER_TICK = 1_152;
const LONG_MS = 300_000;

test.each([1, 40, 1000, 2380, 2700])(
  "hosts with all that may be under way, %i payments a push, on a slow cable",
  async (count) => {
    const { pair, id } = await open();
    pair.disconnect();
    const wire = new SlowWire();
    pair.a.node.attach(wire.ends[0], pair.b.nodeId);
    pair.b.node.attach(wire.ends[1]);
    let nowMs = 1_000_000;
    const pass = async () => {
      nowMs += TICK_MS;
      pair.a.node.tick(nowMs);
      pair.b.node.tick(nowMs);
      wire.pass();
      await breath();
    };
    while (!pair.a.node.isConnected(pair.b.nodeId)) await pass();
    for (let i = 0; i < 50; i++) await pass();
    let taken = 0;
    const push = () => pair.a.node.command(id, { type: "push", payments: payment(1, count) });
    while (commanded(pair.a, push) === undefined) taken++;
    const begin = nowMs;
    while (pair.a.events("receipt").length < taken && nowMs < begin + LONG_MS) {
      await pass();
      expect(pair.a.node.isConnected(pair.b.nodeId)).toBe(true);
      expect(pair.b.node.isConnected(pair.a.nodeId)).toBe(true);
    }
    expect(pair.a.events("receipt").length).toBe(taken);
    expect(pair.balances(id)[1]).toBe(taken * count);
    pair.expectPeace();
  },
);

/** Both directions at once, so many bytes a tick. */
class SlowWire {
  readonly ends: readonly [WireEnd, WireEnd] = [new WireEnd("slow:a"), new WireEnd("slow:b")];

  pass(): void {
    const [a, b] = this.ends;
    const toB = a.leaving();
    const toA = b.leaving();
    if (toB.length > 0) b.onBytes(toB);
    if (toA.length > 0) a.onBytes(toA);
  }
}

class WireEnd implements Link {
  readonly kind = "stream";
  onBytes: (bytes: Uint8Array) => void = () => {};
  onClosed: (reason: string) => void = () => {};
  private waiting: Uint8Array[] = [];

  constructor(readonly name: string) {}

  send(bytes: Uint8Array): void {
    this.waiting.push(new Uint8Array(bytes));
  }

  close(): void {
    this.onClosed("closed");
  }

  leaving(): Uint8Array {
    const all = Buffer.concat(this.waiting);
    this.waiting = [all.subarray(BYTES_PER_TICK)];
    return new Uint8Array(all.subarray(0, BYTES_PER_TICK));
  }
}
