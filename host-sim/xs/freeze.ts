/** Inside XS: makes the bundle's module state what a Moddable `preload` makes of it in flash, read-only, and says what resists. */

declare const picobolt: object;
/** Freezes one object whole: properties, private fields, the bytes of an ArrayBuffer, a Map's entries. */
declare function petrify(value: object): void;
/** The engine's own list of what is still writable from here: properties, bytes, `let` variables in closures. */
declare function mutabilities(value: object): readonly string[];

const AGENT_GLOBALS: ReadonlySet<string> = new Set([
  "handleCommand",
  "picobolt",
  "picoboltNoble",
  "picoboltAgent",
  "global",
  "globalThis",
]);
/** Kinds that the linker refuses, or that make no sense when nobody can write to them. Maps and typed arrays may lie in flash: read-only. */
const MISPLACED_KINDS: readonly (readonly [string, (value: object) => boolean])[] = [
  ["RegExp", (value) => value instanceof RegExp],
  ["Promise", (value) => value instanceof Promise],
  ["WeakMap", (value) => value instanceof WeakMap],
  ["WeakSet", (value) => value instanceof WeakSet],
  ["generator", (value) => Object.prototype.toString.call(value) === "[object Generator]"],
];

/** Freezes the built-ins and everything the bundle made while it loaded; names what must not lie in flash. */
export function freezeModuleState(): readonly string[] {
  const seen = new Set<object>();
  const misplaced: string[] = [];
  const builtIns = Object.getOwnPropertyNames(globalThis).filter(
    (name) => !AGENT_GLOBALS.has(name),
  );
  for (const name of builtIns) freezeGraph((globalThis as never)[name], seen, () => {});
  freezeGraph(picobolt, seen, (path, value) => {
    // What instances inherit from is none: a generator function's prototype looks like a generator.
    if (path.endsWith(".prototype") || path.endsWith(".__proto__")) return;
    const kind = MISPLACED_KINDS.find(([, isIt]) => isIt(value));
    if (kind !== undefined) misplaced.push(`${path} is a ${kind[0]}`);
  });
  for (const name of builtIns) {
    Object.defineProperty(globalThis, name, { writable: false, configurable: false });
  }
  return misplaced;
}

/** What is still writable, as the engine sees it: mostly what closures hold, which no script can freeze. */
export function writableState(): readonly string[] {
  return mutabilities(picobolt);
}

/** Freezes all that properties and prototypes lead to. */
function freezeGraph(
  root: unknown,
  seen: Set<object>,
  visit: (path: string, value: object) => void,
): void {
  const waiting: { path: string; value: unknown }[] = [{ path: "", value: root }];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const { path, value } = next;
    if ((typeof value !== "object" && typeof value !== "function") || value === null) continue;
    if (seen.has(value)) continue;
    seen.add(value);
    visit(path, value);
    waiting.push({ path: `${path}.__proto__`, value: Object.getPrototypeOf(value) });
    if (value instanceof Uint8Array || ArrayBuffer.isView(value)) {
      waiting.push({ path: `${path}.buffer`, value: value.buffer });
    }
    for (const [key, property] of propertiesOf(value)) {
      waiting.push({ path: `${path}.${key}`, value: property });
    }
    petrify(value);
  }
}

function* propertiesOf(value: object): Generator<readonly [string, unknown]> {
  for (const key of Reflect.ownKeys(value)) {
    // Elements of a typed array are numbers; listing a long one would take for ever.
    if (ArrayBuffer.isView(value) && typeof key === "string" && /^[0-9]+$/.test(key)) continue;
    const descriptor = Object.getOwnPropertyDescriptor(value, key);
    if (descriptor === undefined) continue;
    for (const held of [descriptor.value, descriptor.get, descriptor.set]) {
      if (held !== undefined) yield [String(key), held];
    }
  }
}
