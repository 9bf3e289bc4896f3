/** Tagged fields: 5-bit type, 10-bit length, 5-bit groups (BOLT 11 "Tagged Fields"). */
import { concat } from "../../primitives/bytes.ts";
import { type InvoiceField, insist } from "./invoice-error.ts";

const types: Readonly<Record<InvoiceField, number>> = {
  p: 1,
  r: 3,
  "9": 5,
  x: 6,
  f: 9,
  d: 13,
  s: 16,
  n: 19,
  h: 23,
  c: 24,
  m: 27,
};
/** For messages. */
export const FIELD_NAMES: Readonly<Record<InvoiceField, string>> = {
  p: "payment hash",
  r: "route",
  "9": "features",
  x: "expiry",
  f: "fallback address",
  d: "description",
  s: "payment secret",
  n: "payee's key",
  h: "description hash",
  c: "min_final_cltv_expiry_delta",
  m: "metadata",
};
const letters = Object.keys(types) as readonly InvoiceField[];
const fixedLengths: Readonly<Partial<Record<InvoiceField, number>>> = {
  p: 52,
  s: 52,
  h: 52,
  n: 53,
};
const HEAD_GROUPS = 3;
const MAX_GROUPS = 1023;

export type Fields = ReadonlyMap<InvoiceField, readonly Uint8Array[]>;

/**
 * The known fields by letter, several only of `f` and `r`; of what is unknown nothing is kept. Two of another kind are
 * refused, as no writer may give them: programs that pick different ones would pay, and book, different payments.
 * A p, s, h or n of another length is as good as not there: so the BOLT's own example has it ("fields which must be
 * ignored") and so other nodes do, though its newer requirements would refuse the whole invoice.
 */
export function splitFields(groups: Uint8Array): Fields {
  const fields = new Map<InvoiceField, Uint8Array[]>();
  let at = 0;
  while (at < groups.length) {
    const isHead = at + HEAD_GROUPS <= groups.length;
    insist(isHead, "fields", "cut-off", "the invoice ends within the head of a tagged field");
    const type = groups[at] as number;
    const length = 32 * (groups[at + 1] as number) + (groups[at + 2] as number);
    const letter = letters.find((one) => types[one] === type);
    const start = at + HEAD_GROUPS;
    at = start + length;
    const where = letter ? nameOf(letter) : `a field of type ${type}`;
    insist(
      at <= groups.length,
      letter ?? "fields",
      "cut-off",
      `${where} is longer than what is left of the invoice`,
    );
    if (letter === undefined) continue;
    if (length !== (fixedLengths[letter] ?? length)) continue;
    const before = fields.get(letter) ?? [];
    const isAllowed = before.length === 0 || letter === "f" || letter === "r";
    insist(isAllowed, letter, "repeated", `${where} is there more than once`);
    fields.set(letter, [...before, groups.slice(start, at)]);
  }
  return fields;
}

export function writeField(letter: InvoiceField, groups: Uint8Array): Uint8Array {
  insist(
    groups.length <= MAX_GROUPS,
    letter,
    "too-long",
    `${nameOf(letter)} takes ${groups.length} groups of 5 bits; a field holds ${MAX_GROUPS} (639 bytes)`,
  );
  return taggedGroups(types[letter], groups);
}

/** At most MAX_GROUPS of them. */
export function taggedGroups(type: number, groups: Uint8Array): Uint8Array {
  const { length } = groups;
  return concat(Uint8Array.of(type, length >> 5, length & 31), groups);
}

/** As few groups as there can be. */
export function numberGroups(value: number): Uint8Array {
  const groups: number[] = [];
  for (let rest = value; rest > 0; rest = Math.floor(rest / 32)) groups.unshift(rest % 32);
  return Uint8Array.from(groups);
}

export function readNumber(letter: "x" | "c", groups: Uint8Array): number {
  checkMinimal(letter, groups);
  let value = 0;
  for (const group of groups) {
    value = value * 32 + group;
    const isCountable = value <= Number.MAX_SAFE_INTEGER;
    insist(isCountable, letter, "out-of-range", `${nameOf(letter)} is too large a number`);
  }
  return value;
}

export function checkMinimal(letter: InvoiceField, groups: Uint8Array): void {
  insist(groups[0] !== 0, letter, "not-minimal", `${nameOf(letter)} begins with a zero`);
}

export function nameOf(letter: InvoiceField): string {
  return `the ${letter} field (${FIELD_NAMES[letter]})`;
}
