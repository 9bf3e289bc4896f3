/** The dependency rule (DESIGN §2): which part may import which. */
import { type Import, importsOf, type Source } from "./sources.ts";

/** Parts of the project, and the parts they may import besides themselves. */
const parts: Readonly<Record<string, readonly string[]>> = {
  core: [],
  firmware: ["core"],
  gateway: ["core"],
  "host-sim": ["core", "firmware", "gateway"],
  client: ["gateway"],
  cli: ["core", "firmware", "gateway", "host-sim", "client"],
  scripts: ["core", "firmware", "gateway", "host-sim"],
  test: ["core", "firmware", "gateway", "host-sim", "client", "cli", "scripts"],
};

const base = ["primitives", "ports"];
const lower = [...base, "keys", "transactions"];
/** Folders of the core from low to high, and the folders they may import besides themselves. */
const layers: Readonly<Record<string, readonly string[]>> = {
  primitives: [],
  ports: ["primitives"],
  crypto: base,
  keys: base,
  transactions: [...base, "keys"],
  messages: lower,
  chain: lower,
  payments: [...lower, "messages"],
  transport: [...base, "keys", "messages"],
  channel: [...lower, "messages", "chain", "payments"],
  tower: [...lower, "messages", "chain", "channel"],
  node: [...lower, "messages", "chain", "payments", "transport", "channel"],
};

/** The signer's port and the keys speak of a channel's terms: their types, nothing that runs. */
const TERMS = "core/transactions/terms.ts";
const termsReaders = ["ports", "keys"];
/** The client knows the API's types, and nothing that runs. */
const API_TYPES = "gateway/api/";
const NOBLE_FILE = "core/crypto/noble.ts";

export function layerViolations(source: Source): readonly string[] {
  return importsOf(source)
    .map((one) => judge(source.path, one))
    .filter((complaint) => complaint !== undefined)
    .map((complaint) => `${source.path}: ${complaint}`);
}

function judge(path: string, one: Import): string | undefined {
  const { specifier, target } = one;
  const [part, layer] = path.split("/") as [string, string];
  if (target === undefined) {
    if (part !== "core") return undefined;
    if (path === NOBLE_FILE && specifier.startsWith("@noble/")) return undefined;
    return `imports the package ${specifier}; core has @noble/* alone, in ${NOBLE_FILE}`;
  }
  if (!/\.(ts|mjs|json)$/.test(target)) return `${specifier} lacks its extension`;
  const [targetPart, targetLayer] = target.split("/") as [string, string];
  if (targetPart !== part) {
    if (!target.includes("/")) return undefined; // a file at the top, such as package.json
    const isType = one.typeOnly && target.startsWith(API_TYPES);
    if (part === "client" && !isType) return `the client imports ${target}: types of the API alone`;
    return parts[part]?.includes(targetPart) ? undefined : `${part} imports ${target}`;
  }
  if (part !== "core" || targetLayer === layer) return undefined;
  const allowed = layers[layer];
  if (allowed === undefined) return `core has no layer ${layer}; name it in layers.ts`;
  if (target === TERMS && termsReaders.includes(layer) && one.typeOnly) return undefined;
  if (layer === "ports" && !one.typeOnly) return `ports are types only, imports ${target}`;
  return allowed.includes(targetLayer) ? undefined : `${layer} imports ${target}`;
}
