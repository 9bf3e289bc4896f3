/** A UART that frames, Improv's packets and console text share: none of them hurts a session. */
import { describe, expect, it } from "vitest";
import type { Link } from "../../../core/ports/link.ts";
import { ascii, concatAll } from "../../../core/primitives/bytes.ts";
import type { SerialDriver } from "../../../firmware/links/drivers.ts";
import { encodeImprovPacket, PacketType } from "../../../firmware/links/improv-packet.ts";
import { openSerial } from "../../../firmware/links/serial-link.ts";
import { hex, Pair, payment } from "../../support/node-pair.ts";

/** With the end of its line, as flashers write it: that byte goes on, and is nothing to framing. */
const LINE = encodeImprovPacket(PacketType.command, Uint8Array.of(2, 0));
const QUESTION = LINE.slice(0, -1);
const LOG = ascii("I (1234) wifi: new:<11,0>, old:<1,0>, IMPROVED signal IMPROV\r\n");

function port(): { driver: SerialDriver; rest: Uint8Array[]; packets: Uint8Array[]; link: Link } {
  const driver: SerialDriver = { name: "uart0", write: () => {}, onBytes: () => {} };
  const rest: Uint8Array[] = [];
  const packets: Uint8Array[] = [];
  const { link } = openSerial(driver, (packet) => packets.push(packet));
  link.onBytes = (bytes) => rest.push(bytes.slice());
  return { driver, rest, packets, link };
}

describe("Improv's packets are split off", () => {
  it.each([1, 2, 3, 7, 1000])(
    "in chunks of %i bytes, and everything else goes on in order",
    (size) => {
      const { driver, rest, packets } = port();
      const all = concatAll([
        LOG,
        QUESTION,
        Uint8Array.of(0xc0, 1, 2, 0xc0),
        QUESTION,
        QUESTION,
        LOG,
      ]);
      for (let at = 0; at < all.length; at += size) driver.onBytes(all.subarray(at, at + size));
      expect(packets).toEqual([QUESTION, QUESTION, QUESTION]);
      expect(hex(concatAll(rest))).toBe(
        hex(concatAll([LOG, Uint8Array.of(0xc0, 1, 2, 0xc0), LOG])),
      );
    },
  );

  it("a damaged one is the link's, and the good one behind it is found", () => {
    const { driver, rest, packets } = port();
    const damaged = QUESTION.slice();
    damaged[9] = 0x77;
    driver.onBytes(concatAll([damaged, QUESTION]));
    expect(packets).toEqual([QUESTION]);
    expect(hex(concatAll(rest))).toBe(hex(damaged));
  });

  it("a header that stops half way keeps nothing back once something else follows", () => {
    const { driver, rest, packets } = port();
    driver.onBytes(ascii("IMPRO"));
    expect(rest).toEqual([]);
    driver.onBytes(ascii("bable"));
    expect(concatAll(rest)).toEqual(ascii("IMPRObable"));
    expect(packets).toEqual([]);
  });

  it("a packet whose rest never comes holds back 265 bytes at most", () => {
    const { driver, rest } = port();
    const header = QUESTION.slice(0, 9);
    header[8] = 255;
    driver.onBytes(header);
    for (let i = 0; i < 300; i++) driver.onBytes(Uint8Array.of(i & 0x3f));
    expect(concatAll(rest).length).toBeGreaterThanOrEqual(9 + 300 - 265);
  });
});

describe("a session on a line that others use too", () => {
  it("a payment goes through while logs and packets come between frames, in any chunks", async () => {
    const pair = await Pair.make();
    const id = await pair.open();
    pair.disconnect();
    const packets: Uint8Array[] = [];
    const line = sharedLine(packets);
    pair.b.node.attach(line.device);
    pair.a.node.attach(line.host, pair.b.nodeId);
    let nowMs = 100_000;
    const pass = async (steps: number) => {
      for (let i = 0; i < steps; i++) {
        nowMs += 100;
        pair.a.node.tick(nowMs);
        pair.b.node.tick(nowMs);
        while (line.pump()) await Promise.resolve();
      }
    };
    await pass(20);
    for (let i = 0; i < 5; i++) {
      pair.a.node.command(id, { type: "push", payments: payment(2_000) });
      await pass(3);
    }
    expect(pair.balances(id)[3]).toBe(10_000);
    expect(packets.length).toBeGreaterThan(10);
    pair.expectPeace();
  });
});

/** Between any two writes of the host a web flasher asks something; the device's console logs before each of its frames. */
function sharedLine(packets: Uint8Array[]) {
  const queue: (() => void)[] = [];
  const host: Link = {
    name: "host",
    kind: "stream",
    send: (bytes) => {
      const all = concatAll([LINE, bytes, LINE]);
      for (let at = 0, size = 1; at < all.length; at += size, size = (size % 13) + 1) {
        const chunk = all.slice(at, at + size);
        queue.push(() => driver.onBytes(chunk));
      }
    },
    close: () => {},
    onBytes: () => {},
    onClosed: () => {},
  };
  const driver: SerialDriver = {
    name: "uart0",
    write: (bytes) => {
      const copy = concatAll([LOG, bytes]);
      queue.push(() => host.onBytes(copy));
    },
    onBytes: () => {},
  };
  const { link } = openSerial(driver, (packet) => packets.push(packet));
  const pump = () => {
    const next = queue.shift();
    next?.();
    return next !== undefined;
  };
  return { host, device: link, pump };
}
