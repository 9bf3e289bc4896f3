/** What the simulated chain's mempool relays (Bitcoin Core 29: policy, truc_policy, ephemeral_policy, rbf; BIP 431, 125). */
import { toHex } from "../../core/primitives/bytes.ts";
import type { SimTransaction } from "./sim-transaction.ts";

export const MIN_RELAY_PER_VBYTE = 1;
export const INCREMENTAL_RELAY_PER_VBYTE = 1;
export const MAX_REPLACED = 100;
export const MAX_ANCESTORS = 25;
export const TRUC_VERSION = 3;
const TRUC_MAX_VSIZE = 10_000;
const TRUC_CHILD_MAX_VSIZE = 1000;
const MAX_STANDARD_VSIZE = 100_000;
const MIN_STANDARD_BYTES = 65;
const DUST_PER_VBYTE = 3;
const MAX_WITNESS_SCRIPT = 3600;
const MAX_WITNESS_ITEMS = 100;
const MAX_WITNESS_ITEM = 80;

/** A pool transaction with its relatives inside the pool. */
export interface PoolEntry {
  readonly transaction: SimTransaction;
  readonly fee: number;
  readonly parents: ReadonlySet<string>;
}

/** The rules on one transaction by itself. */
export function standardRefusal(
  { parsed, vsize, raw }: SimTransaction,
  fee: number,
): string | undefined {
  if (parsed.version < 1 || parsed.version > TRUC_VERSION) return "version";
  if (vsize > MAX_STANDARD_VSIZE) return "tx-size";
  if (raw.length < MIN_STANDARD_BYTES) return "tx-size-small";
  if (parsed.version === TRUC_VERSION && vsize > TRUC_MAX_VSIZE) return "truc-vsize-toobig";
  for (const { script } of parsed.outputs) if (!isStandardScript(script)) return "scriptpubkey";
  for (const { witness } of parsed.inputs) {
    if (!isStandardWitness(witness)) return "bad-witness-nonstandard";
  }
  const dust = dustOutputs(parsed.outputs).length;
  if (dust > 1) return "dust";
  if (dust === 1 && fee > 0) return "dust, tx with dust output must be 0-fee";
  return undefined;
}

/** Indices of outputs that cost more to spend than they hold. */
export function dustOutputs(
  outputs: readonly { readonly script: Uint8Array; readonly amount: number }[],
): number[] {
  return outputs.flatMap(({ script, amount }, vout) => (amount < dustLimit(script) ? [vout] : []));
}

/** The rules between a TRUC transaction and its unconfirmed relatives; `sibling` names one that may be evicted. */
export function trucRefusal(
  transaction: SimTransaction,
  parents: readonly PoolEntry[],
  childrenOf: (key: string) => readonly string[],
  siblingMayGo: boolean,
): { readonly reason?: string; readonly sibling?: string } {
  const isTruc = transaction.parsed.version === TRUC_VERSION;
  for (const parent of parents) {
    const parentIsTruc = parent.transaction.parsed.version === TRUC_VERSION;
    if (isTruc && !parentIsTruc) return { reason: "truc-spends-nontruc" };
    if (!isTruc && parentIsTruc) return { reason: "truc-spent-by-nontruc" };
  }
  const [parent] = parents;
  if (!isTruc || parent === undefined) return {};
  if (parents.length > 1 || parent.parents.size > 0) return { reason: "truc-ancestors-toomany" };
  if (transaction.vsize > TRUC_CHILD_MAX_VSIZE) {
    return { reason: `truc-child-toobig, ${transaction.vsize} > ${TRUC_CHILD_MAX_VSIZE} vbytes` };
  }
  const siblings = childrenOf(parent.transaction.key).filter((key) => key !== transaction.key);
  const [sibling] = siblings;
  if (sibling === undefined) return {};
  if (siblings.length > 1 || !siblingMayGo) return { reason: "truc-descendants-toomany" };
  return { sibling };
}

/** BIP 125's rules 3, 4 and 5 and the feerate rule, for a group that replaces `evicted`. */
export function replacementRefusal(
  group: { readonly fee: number; readonly vsize: number },
  direct: readonly PoolEntry[],
  evicted: readonly PoolEntry[],
): string | undefined {
  if (evicted.length > MAX_REPLACED) return `too many potential replacements (${evicted.length})`;
  for (const { fee, transaction } of direct) {
    if (group.fee * transaction.vsize <= fee * group.vsize) {
      return `insufficient fee, new feerate <= old feerate of ${transaction.key}`;
    }
  }
  const old = evicted.reduce((sum, entry) => sum + entry.fee, 0);
  if (group.fee < old) {
    return `insufficient fee, less fees than conflicting txs; ${group.fee} < ${old}`;
  }
  const relay = INCREMENTAL_RELAY_PER_VBYTE * group.vsize;
  if (group.fee - old < relay) {
    return `insufficient fee, not enough additional fees to relay; ${group.fee - old} < ${relay}`;
  }
  return undefined;
}

function dustLimit(script: Uint8Array): number {
  if (script[0] === 0x6a) return 0;
  const spendBytes = isWitnessProgram(script) ? 67 : 148;
  return DUST_PER_VBYTE * (8 + 1 + script.length + spendBytes);
}

function isStandardScript(script: Uint8Array): boolean {
  if (isWitnessProgram(script)) return true;
  const hex = toHex(script);
  return (
    /^76a914.{40}88ac$/.test(hex) ||
    /^a914.{40}87$/.test(hex) ||
    (hex.startsWith("6a") && script.length <= 83)
  );
}

function isWitnessProgram(script: Uint8Array): boolean {
  const [version, length] = script;
  if (version === undefined || length === undefined) return false;
  const isVersion = version === 0 || (version >= 0x51 && version <= 0x60);
  return isVersion && length >= 2 && length <= 40 && script.length === length + 2;
}

/** For P2WSH; P2WPKH's two items are within it. */
function isStandardWitness(witness: readonly Uint8Array[]): boolean {
  if (witness.length <= 2) return true;
  const script = witness[witness.length - 1] as Uint8Array;
  const items = witness.slice(0, -1);
  return (
    script.length <= MAX_WITNESS_SCRIPT &&
    items.length <= MAX_WITNESS_ITEMS &&
    items.every((item) => item.length <= MAX_WITNESS_ITEM)
  );
}
