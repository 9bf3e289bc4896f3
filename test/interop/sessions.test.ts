/** Links, sessions and messages between the node and the second peer (BOLT 8; docs/PROTOCOL.md "Framing" to "Messages"). */
import fc from "fast-check";
import { expect, test } from "vitest";
import { encodeMessage } from "../../core/messages/codec.ts";
import { type Message, messageDefinitions } from "../../core/messages/message.ts";
import { encodeFrame as encodeFrameOfCore, FrameDecoder } from "../../core/transport/framing.ts";
import { validFields } from "../support/message-values.ts";
import { InteropLab, type Side } from "./lab.ts";
import { hex } from "./second-peer/bytes.ts";
import { encodeFrame, FrameReader } from "./second-peer/framing.ts";
import * as second from "./second-peer/messages.ts";

const CALLERS: readonly Side[] = ["node", "peer"];

test.each(messageDefinitions.map((one) => [one.name, one.fields] as const))(
  "%s is written by core as the page's CDDL says, and the other way round",
  (type, fields) => {
    fc.assert(
      fc.property(validFields(fields), (values) => {
        const bytes = encodeMessage({ type, ...values } as unknown as Message);
        const read = second.decodeMessage(bytes);
        expect(read?.type).toBe(type);
        expect(hex(second.encodeMessage(read as second.Message))).toBe(hex(bytes));
      }),
      { numRuns: 30 },
    );
  },
);

test("frames of each are read by the other, cut anywhere, with noise between them", () => {
  const content = fc.uint8Array({ minLength: 1, maxLength: 700 });
  // Text: what looks like a packet is for the cipher to refuse.
  const noise = fc.uint8Array({ maxLength: 40, max: 0x7f });
  fc.assert(
    fc.property(fc.array(fc.tuple(content, noise), { maxLength: 6 }), fc.nat(9), (parts, cut) => {
      const contents = parts.map(([bytes]) => hex(bytes));
      const line = (encode: (bytes: Uint8Array) => Uint8Array) =>
        Buffer.concat(parts.flatMap(([bytes, between]) => [encode(bytes), between]));
      const bySecond = new FrameReader().read(line((bytes) => encodeFrameOfCore([bytes])));
      expect(bySecond.map((bytes) => hex(bytes))).toEqual(contents);
      const byCore: string[] = [];
      const decoder = new FrameDecoder(1000, (bytes) => byCore.push(hex(bytes)));
      const bytes = line(encodeFrame);
      for (let at = 0; at < bytes.length; at += cut + 1) {
        decoder.push(Uint8Array.from(bytes.subarray(at, at + cut + 1)));
      }
      expect(byCore).toEqual(contents);
    }),
    { numRuns: 200 },
  );
});

test.each(CALLERS)("called by the %s, keys rotate in step both ways", async (caller) => {
  const lab = await InteropLab.make();
  lab.connect(caller);
  const message = { type: "delivery_request", reference: new Uint8Array(16) } as const;
  for (let count = 0; count < 1300; count++) {
    expect(lab.node.node.sendService(lab.peer.nodeId as never, message)).toBe(true);
    lab.peer.send(message);
    if (count % 50 === 0) await lab.flow();
  }
  await lab.flow();
  expect(lab.peer.services).toHaveLength(1300);
  expect(lab.node.services).toHaveLength(1300);
});

test.each(CALLERS)(
  "called by the %s, an idle session is kept by pings, a silent one ends",
  async (caller) => {
    const lab = await InteropLab.make();
    lab.connect(caller);
    lab.wait(600);
    expect(lab.peer.ended).toBeUndefined();
    expect(lab.peer.session?.packetsReceived).toBeGreaterThan(5);
    lab.cable.cut = true;
    lab.wait(200);
    expect(lab.peer.ended).toBe("silence");
    expect(lab.node.node.isConnected(lab.peer.nodeId as never)).toBe(false);
  },
);

test.each(CALLERS)("called by the %s over datagrams", async (caller) => {
  const lab = await InteropLab.make();
  lab.connect(caller, "datagram");
  await lab.open(caller, { type: "zero_fee_commitments", fundingSatoshis: 100_000 });
  lab.expectPeace();
});

test("noise on the line is thrown away", async () => {
  const lab = await InteropLab.make();
  lab.connect("node");
  for (const end of lab.cable.ends) {
    lab.cable.carry(() =>
      end.onBytes(Uint8Array.from({ length: 300 }, (_, at) => (at * 37) % 251)),
    );
  }
  await lab.flow();
  await lab.open("peer", { type: "anchors", fundingSatoshis: 100_000 });
  lab.expectPeace();
});

test("the newest session wins, and the older is told so", async () => {
  const lab = await InteropLab.make();
  lab.connect("peer");
  const older = lab.peer.session;
  await lab.open("peer", { type: "anchors", fundingSatoshis: 100_000 });
  const olderCable = lab.cable;
  lab.connect("peer");
  olderCable.pump();
  await lab.flow();
  expect(older?.endedBy).toBe("goodbye 1");
  expect(lab.channel.isReady).toBe(true);
  lab.agreedBalances();
});
