/** What the firmware's bundle holds after loading is frozen and constant, so that it needs no RAM; what a function makes later is not. */
import { rollup } from "rollup";
import { expect, it } from "vitest";
import { freezeForFlash } from "../../scripts/firmware/freeze-for-flash.mjs";

/** XS freezes deeply where the second argument is true; Node's own does not know it. */
function freeze(value: unknown, isDeep = false): unknown {
  if (typeof value !== "object" || value === null || Object.isFrozen(value)) return value;
  Object.freeze(value);
  if (isDeep) for (const part of Object.values(value)) freeze(part, true);
  return value;
}

async function load(source: string): Promise<Record<string, never>> {
  const module = { name: "module", resolveId: (id: string) => id, load: () => source };
  const bundle = await rollup({ input: "core", plugins: [module] });
  const plugins = [freezeForFlash((name) => name === "core")];
  const { output } = await bundle.generate({ format: "cjs", plugins });
  await bundle.close();
  const exports = {};
  const engine = { freeze, entries: Object.entries };
  new Function("Object", "exports", output[0].code)(engine, exports);
  return exports;
}

it("freezes the module's constants deeply, and leaves numbers, texts, classes and functions", async () => {
  const made = await load(`
    export const table = { rows: [[1], [2]] };
    export const limit = 5, name = "x" + limit, shout = () => name;
    export class Shop { open() { return []; } }
  `);
  const { table, limit, Shop } = made as unknown as {
    table: { rows: number[][] };
    limit: number;
    Shop: new () => { open(): number[] };
  };
  expect(() => table.rows[1]?.push(3)).toThrow("not extensible");
  expect(limit).toBe(5);
  expect(new Shop().open().push(1)).toBe(1);
});

const FACTORIES = `
  function group(fields, name) {
    const entries = Object.entries(fields);
    const seen = [];
    let count = 0;
    return {
      entries: () => entries,
      seen: (word) => { seen.push(word); return ++count; },
      name: () => name,
    };
  }
  const word = (words) => ({ has: (one) => words.includes(one), words: () => words });
  const rename = (name) => ({ name: () => name, set: (to) => { name = to; } });
  export const point = group({ x: 1 }, "point");
  export const colour = word(["red", "blue"]);
  export const label = rename("a");
  export const make = (words) => word(words);
`;

it("freezes what closures made at loading hold, but nothing that they change", async () => {
  const { point, colour, label } = (await load(FACTORIES)) as unknown as {
    point: { entries(): unknown[]; seen(word: string): number; name(): string };
    colour: { has(word: string): boolean; words(): string[] };
    label: { name(): string; set(to: string): void };
  };
  expect(() => point.entries().push(1)).toThrow("not extensible");
  expect(() => colour.words().push("green")).toThrow("not extensible");
  expect([point.seen("a"), point.seen("b"), point.name()]).toEqual([1, 2, "point"]);
  expect(colour.has("blue")).toBe(true);
  label.set("b");
  expect(label.name()).toBe("b");
});

it("does not freeze what a caller gives later", async () => {
  const { make } = (await load(FACTORIES)) as unknown as {
    make(words: string[]): { words(): string[] };
  };
  const words = ["one"];
  make(words);
  expect(words.push("two")).toBe(2);
});

it("leaves a module alone that is not preloaded", async () => {
  const module = { name: "m", resolveId: (id: string) => id, load: () => "export const a = [];" };
  const bundle = await rollup({ input: "main", plugins: [module] });
  const plugins = [freezeForFlash((name) => name === "core")];
  const { output } = await bundle.generate({ format: "es", plugins });
  expect(output[0].code).not.toContain("freeze");
});
