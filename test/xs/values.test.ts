/** Values across the bridge come out as they went in, also texts that look like byte strings. */
import { expect, test } from "vitest";
import { decodeValue, encodeValue } from "../../host-sim/xs/values.ts";

test.each([
  ["bytes", Uint8Array.of(0, 15, 255)],
  ["no bytes", new Uint8Array()],
  ["a text that looks like bytes", "0x0fff"],
  ["a text with a mark", "'0x"],
  ["other letters", "kaffee über 日本 🥤"],
  ["a structure", { list: [1, null, true, { name: "0xyz", key: Uint8Array.of(7) }] }],
])("%s", (_, value) => {
  const encoded = encodeValue(value);
  expect(encoded.every((byte) => byte < 0x80)).toBe(true);
  expect(decodeValue(encoded)).toEqual(value);
});
