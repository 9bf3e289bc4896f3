/** QR codes of invoices: what is drawn is the code, with its quiet zone, in the mode that makes it small. */
import { create } from "qrcode";
import { describe, expect, test } from "vitest";
import { MAX_QR_CHARACTERS, qrModules, qrSvg, qrTerminal } from "../../gateway/payments/qr.ts";

const INVOICE = `lnbcrt2500u1${"pvjluezsp5zyg3".repeat(20)}`;
const QUIET = 4;

/** With four light modules on each side. */
function framed(modules: readonly boolean[][]): boolean[][] {
  const side = modules.length + 2 * QUIET;
  return Array.from({ length: side }, (_, row) =>
    Array.from({ length: side }, (_, column) => !!modules[row - QUIET]?.[column - QUIET]),
  );
}

test("capitals make it an alphanumeric code, smaller than the same text as bytes", () => {
  const { segments } = create(INVOICE.toUpperCase(), { errorCorrectionLevel: "L" });
  expect(segments.map((one) => (one.mode as unknown as { id: string }).id)).toEqual([
    "Alphanumeric",
  ]);
  const asBytes = create(INVOICE, { errorCorrectionLevel: "L" }).modules.size;
  expect(qrModules(INVOICE).length).toBeLessThan(asBytes);
});

test("the terminal shows each module as half a character, black on white", () => {
  const rows = qrTerminal(INVOICE)
    .split("\n")
    .flatMap((line) => {
      const drawn = line.slice("\x1b[30;107m".length, -"\x1b[0m".length);
      const characters = [...drawn];
      return [
        characters.map((one) => "▀█".includes(one)),
        characters.map((one) => "▄█".includes(one)),
      ];
    });
  const expected = framed(qrModules(INVOICE));
  expect(rows.slice(0, expected.length)).toEqual(expected);
  expect(rows.slice(expected.length).flat()).not.toContain(true);
});

test("the SVG draws the same modules", async () => {
  const svg = await qrSvg(INVOICE);
  const side = Number(/viewBox="0 0 (\d+) \1"/.exec(svg)?.[1]);
  const drawn = Array.from({ length: side }, () => Array.from({ length: side }, () => false));
  let x = 0;
  let row = 0;
  const path = / d="(M\d+ \d+\.5[^"]*)"/.exec(svg)?.[1] ?? "";
  for (const [, step, first, second] of path.matchAll(/([Mmh])(-?\d+)(?: (-?[\d.]+))?/g)) {
    if (step === "M") [x, row] = [Number(first), Math.floor(Number(second))];
    else if (step === "m") x += Number(first);
    else for (const end = x + Number(first); x < end; x++) (drawn[row] as boolean[])[x] = true;
  }
  expect(drawn).toEqual(framed(qrModules(INVOICE)));
});

describe("as much as a code holds", () => {
  test("the largest", () => {
    expect(qrModules("q".repeat(MAX_QR_CHARACTERS))).toHaveLength(177);
  });
  test("one more is refused with the limit", () => {
    expect(() => qrTerminal("q".repeat(MAX_QR_CHARACTERS + 1))).toThrow(
      "4297 characters do not fit into a QR code, which holds 4296",
    );
  });
});
