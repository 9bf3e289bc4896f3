/** Two nodes agree on what they may use, and on a channel's type (BOLT 9, BOLT 2). */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  bitmap,
  channelTypeBits,
  channelTypeOf,
  Feature,
  featureBitmap,
  negotiate,
  offers,
  testBit,
} from "../../core/messages/features.ts";
import { fromHex, toHex } from "../../core/primitives/bytes.ts";

describe("bitmaps", () => {
  it.each([
    [[], ""],
    [[0], "01"],
    [[7], "80"],
    [[8], "0100"],
    [[12], "1000"],
    [[12, 22], "401000"],
    [[40], "010000000000"],
  ])("bits %j are %s", (bits, hex) => expect(toHex(bitmap(bits))).toBe(hex));

  it("hold exactly the bits that went in, without a leading zero byte", () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.integer({ min: 0, max: 511 }), { maxLength: 20 }), (bits) => {
        const map = bitmap(bits);
        const found = Array.from({ length: 600 }, (_, bit) => bit).filter((bit) =>
          testBit(map, bit),
        );
        expect(found).toEqual([...bits].sort((a, b) => a - b));
        expect(map[0]).not.toBe(0);
      }),
    );
  });
  it("fit into init", () =>
    expect(bitmap([Feature.zeroReserve + 1]).length).toBeLessThanOrEqual(64));
});

describe("negotiation", () => {
  const ours = featureBitmap({
    required: ["staticRemotekey", "channelType"],
    optional: [
      "pushUpdates",
      "zeroReserve",
      "zeroFeeCommitments",
      "shutdownAnysegwit",
      "simpleClose",
    ],
  });
  const tag = (remote: Uint8Array, local = ours) => {
    try {
      negotiate(local, remote);
      return "agreed";
    } catch (error) {
      return (error as { tag: string }).tag;
    }
  };

  it("gives what both offer", () => {
    const theirs = featureBitmap({
      required: ["staticRemotekey", "channelType"],
      optional: ["pushUpdates", "anchors"],
    });
    expect([...negotiate(ours, theirs)].sort()).toEqual([
      "channelType",
      "pushUpdates",
      "staticRemotekey",
    ]);
    expect(negotiate(ours, theirs)).toEqual(negotiate(theirs, ours));
  });
  it("ignores unknown odd bits", () => {
    expect(tag(bitmap([12, 44, 333, 511]))).toBe("agreed");
  });
  it("refuses unknown even bits, by number", () => {
    expect(() => negotiate(ours, bitmap([12, 44, 332]))).toThrow(/requires feature 332/);
    expect(tag(bitmap([12, 44, 332]))).toBe("unknown-even-feature");
  });
  it("does not mind the bits that every node is assumed to have", () => {
    expect(tag(bitmap([0, 8, 12, 14, 44]))).toBe("agreed");
    expect(tag(bitmap([12, 44]), bitmap([]))).toBe("agreed");
  });
  it("refuses a peer without what we require", () => {
    expect(tag(bitmap([12]))).toBe("missing-feature");
  });
  it("refuses a peer that requires what is switched off here", () => {
    expect(tag(featureBitmap({ required: ["staticRemotekey", "channelType", "anchors"] }))).toBe(
      "unknown-even-feature",
    );
  });
  it("refuses a feature without the one it rests on", () => {
    const lone = { required: ["staticRemotekey", "channelType"] } as const;
    expect(tag(featureBitmap({ ...lone, optional: ["zeroconf"] }))).toBe("feature-dependency");
    expect(tag(featureBitmap({ ...lone, optional: ["zeroconf", "scidAlias"] }))).toBe("agreed");
    expect(tag(featureBitmap({ ...lone, optional: ["simpleClose"] }))).toBe("feature-dependency");
  });
  it("sees a feature in either bit of its pair", () => {
    for (const bit of [210, 211]) expect(offers(bitmap([bit]), "pushUpdates")).toBe(true);
    expect(offers(bitmap([209, 212]), "pushUpdates")).toBe(false);
  });
});

describe("channel types", () => {
  const types = ["zero_fee_commitments", "anchors", "static_remotekey"] as const;
  it.each([
    ["static_remotekey", "1000"],
    ["anchors", "401000"],
    ["zero_fee_commitments", "010000000000"],
  ] as const)("%s is %s", (type, hex) => expect(toHex(channelTypeBits(type))).toBe(hex));

  it("come back, with their variations", () => {
    for (const channelType of types) {
      for (const zeroConf of [false, true]) {
        for (const scidAlias of [false, true]) {
          const variation = { zeroConf, scidAlias };
          expect(channelTypeOf(channelTypeBits(channelType, variation))).toEqual({
            channelType,
            ...variation,
          });
        }
      }
    }
  });
  it.each([
    ["", "nothing"],
    ["2000", "an odd bit"],
    ["400000", "anchors alone"],
    ["010000401000", "two types at once"],
    ["001000", "a leading zero byte"],
    ["01", "a bit that is no type"],
  ])("%s is none: %s", (hex) => expect(() => channelTypeOf(fromHex(hex))).toThrow(/channel-type/));
});
