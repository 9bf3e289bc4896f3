/** The simulated chain's mempool: takes single transactions and packages, replaces, evicts, and offers the best to blocks (BIP 431, 125). */
import { createHash } from "node:crypto";
import type { Crypto } from "../../core/ports/crypto.ts";
import { fromHex } from "../../core/primitives/bytes.ts";
import { outpointKey } from "../../core/transactions/transaction.ts";
import {
  dustOutputs,
  MAX_ANCESTORS,
  MIN_RELAY_PER_VBYTE,
  type PoolEntry,
  replacementRefusal,
  standardRefusal,
  TRUC_VERSION,
  trucRefusal,
} from "./sim-policy.ts";
import { type BlockContext, type Coin, checkTransaction, scriptRefusal } from "./sim-rules.ts";
import type { SimTransaction } from "./sim-transaction.ts";

export interface PoolChain {
  readonly crypto: Crypto;
  /** A confirmed, unspent output. */
  coin(outpointKey: string): Coin | undefined;
  /** The block to be mined next. */
  next(): BlockContext;
}

interface Judged {
  readonly entries: readonly PoolEntry[];
  readonly evicted: readonly PoolEntry[];
}

type Verdict = { readonly reason: string } | Judged;

const MAX_PACKAGE = 25;
const MAX_REMEMBERED = 100_000;

export class SimMempool {
  readonly #chain: PoolChain;
  /** In an order in which parents come first. */
  readonly #entries = new Map<string, PoolEntry>();
  readonly #spenders = new Map<string, string>();
  /** Script checks that passed, by the exact bytes: they depend on nothing else. */
  readonly #checked = new Set<string>();

  constructor(chain: PoolChain) {
    this.#chain = chain;
  }

  entries(): readonly PoolEntry[] {
    return [...this.#entries.values()];
  }

  get(key: string): PoolEntry | undefined {
    return this.#entries.get(key);
  }

  /** Undefined where it is in the pool now, else the reason. */
  accept(transaction: SimTransaction): string | undefined {
    if (this.#entries.has(transaction.key)) return undefined;
    return this.#take(this.#judge([transaction], false));
  }

  /** One by one where they stand alone, and the rest together by the package's feerate (submitpackage). */
  acceptPackage(transactions: readonly SimTransaction[]): string | undefined {
    const topology = packageTopologyRefusal(transactions);
    if (topology !== undefined) return topology;
    const waiting: SimTransaction[] = [];
    const reasons: string[] = [];
    for (const transaction of transactions) {
      const reason = this.accept(transaction);
      if (reason === undefined) continue;
      if (!mayPassInPackage(reason)) return `transaction failed; ${reason}`;
      reasons.push(reason);
      waiting.push(transaction);
    }
    if (waiting.length === 0) return undefined;
    if (waiting.length === 1) return `transaction failed; ${reasons[0]}`;
    const reason = this.#take(this.#judge(waiting, true));
    return reason === undefined ? undefined : `transaction failed; ${reason}`;
  }

  /** A block confirmed these: they leave, and so does what conflicts with them. */
  confirmed(transactions: readonly SimTransaction[]): void {
    for (const transaction of transactions) {
      this.#remove(transaction.key);
      for (const key of transaction.spends) {
        const spender = this.#spenders.get(key);
        if (spender !== undefined)
          for (const entry of this.#withDescendants([spender])) this.#remove(entry);
      }
    }
  }

  /** After a reorganisation: what came back and what was here, as far as it is still valid; feerates were judged before. */
  refill(returned: readonly SimTransaction[]): void {
    const old = this.entries().map((entry) => entry.transaction);
    this.#entries.clear();
    this.#spenders.clear();
    for (const transaction of [...returned, ...old]) {
      if (this.#entries.has(transaction.key)) continue;
      if (transaction.spends.some((key) => this.#spenders.has(key))) continue;
      const outcome = checkTransaction(
        transaction,
        (key) => this.#coin(key, []),
        this.#chain.next(),
      );
      if (outcome.ok) this.#add(this.#entry(transaction, outcome.fee, []));
    }
  }

  /** A full pool: whoever pays less than so many satoshis for a virtual byte leaves, with its children. How many left. */
  evictBelow(perVbyte: number): number {
    const poor = this.entries().filter((entry) => this.#ancestorFeerate(entry) < perVbyte);
    const gone = this.#withDescendants(poor.map(({ transaction }) => transaction.key));
    for (const key of gone) this.#remove(key);
    return gone.length;
  }

  /** For a block: parents before children, the best feerate with ancestors first, within `maxVsize`. */
  best(maxVsize: number): SimTransaction[] {
    const ranked = this.entries()
      .map((entry) => ({ entry, rate: this.#ancestorFeerate(entry) }))
      .sort((a, b) => b.rate - a.rate);
    const chosen = new Map<string, SimTransaction>();
    let vsize = 0;
    for (const { entry } of ranked) {
      const family = this.#ancestors(entry)
        .concat(entry)
        .filter(({ transaction }) => !chosen.has(transaction.key));
      const more = family.reduce((sum, { transaction }) => sum + transaction.vsize, 0);
      if (vsize + more > maxVsize) continue;
      vsize += more;
      for (const { transaction } of family) chosen.set(transaction.key, transaction);
    }
    return [...chosen.values()];
  }

  /** Scripts of a transaction whose inputs spend `coins`; remembered. */
  scriptRefusal(transaction: SimTransaction, coins: readonly Coin[]): string | undefined {
    const key = createHash("sha256").update(transaction.raw).digest("hex");
    if (this.#checked.has(key)) return undefined;
    const reason = scriptRefusal(this.#chain.crypto, transaction, coins);
    if (this.#checked.size >= MAX_REMEMBERED) this.#checked.clear();
    if (reason === undefined) this.#checked.add(key);
    return reason;
  }

  #take(verdict: Verdict): string | undefined {
    if ("reason" in verdict) return verdict.reason;
    for (const { transaction } of verdict.evicted) this.#remove(transaction.key);
    for (const entry of verdict.entries) this.#add(entry);
    return undefined;
  }

  #judge(group: readonly SimTransaction[], together: boolean): Verdict {
    const direct = new Set<string>();
    const entries: PoolEntry[] = [];
    for (const transaction of group) {
      for (const key of transaction.spends) {
        const spender = this.#spenders.get(key);
        if (spender !== undefined) direct.add(spender);
      }
    }
    const ownFamily = new Set(group.map(({ key }) => key));
    for (const transaction of group) {
      const one = this.#judgeOne(transaction, entries, direct, together);
      if ("reason" in one) return one;
      entries.push(one.entry);
    }
    const fee = entries.reduce((sum, entry) => sum + entry.fee, 0);
    const vsize = group.reduce((sum, transaction) => sum + transaction.vsize, 0);
    if (fee < MIN_RELAY_PER_VBYTE * vsize) {
      return { reason: `min relay fee not met, ${fee} < ${MIN_RELAY_PER_VBYTE * vsize}` };
    }
    const evicted = this.#withDescendants([...direct]).flatMap(
      (key) => this.#entries.get(key) ?? [],
    );
    const missing = this.#replacementTopology(entries, evicted, ownFamily);
    if (missing !== undefined) return { reason: missing };
    if (evicted.length > 0) {
      const named = [...direct].flatMap((key) => this.#entries.get(key) ?? []);
      const reason = replacementRefusal({ fee, vsize }, named, evicted);
      if (reason !== undefined) return { reason };
    }
    return { entries, evicted };
  }

  /** Adds a TRUC sibling that must go to `direct`. */
  #judgeOne(
    transaction: SimTransaction,
    before: readonly PoolEntry[],
    direct: Set<string>,
    together: boolean,
  ): { readonly entry: PoolEntry } | { readonly reason: string } {
    const isConfirmed = transaction.scripts.some((_, vout) => {
      return this.#chain.coin(outpointKey({ txid: transaction.txid, vout })) !== undefined;
    });
    if (isConfirmed) return { reason: "txn-already-known" };
    const coinOf = (key: string) => this.#coin(key, before);
    const outcome = checkTransaction(transaction, coinOf, this.#chain.next());
    if (!outcome.ok) return outcome;
    const entry = this.#entry(transaction, outcome.fee, before);
    const standard = standardRefusal(transaction, outcome.fee);
    if (standard !== undefined) return { reason: standard };
    const relay = MIN_RELAY_PER_VBYTE * transaction.vsize;
    const mayBeSponsored = together && transaction.parsed.version === TRUC_VERSION;
    if (outcome.fee < relay && !mayBeSponsored) {
      return { reason: `min relay fee not met, ${outcome.fee} < ${relay}` };
    }
    const parents = [...entry.parents].flatMap((key) => this.#near(key, before) ?? []);
    const childrenOf = (key: string) => this.#children(key).filter((child) => !direct.has(child));
    const truc = trucRefusal(transaction, parents, childrenOf, !together);
    if (truc.reason !== undefined) return { reason: truc.reason };
    if (truc.sibling !== undefined) direct.add(truc.sibling);
    if (this.#ancestors(entry).length + 1 > MAX_ANCESTORS)
      return { reason: "too-long-mempool-chain" };
    const unspent = parents.find((parent) => leavesDust(parent.transaction, transaction));
    if (unspent) return { reason: "missing-ephemeral-spends" };
    const script = this.scriptRefusal(transaction, outcome.coins);
    return script === undefined ? { entry } : { reason: script };
  }

  /** A replacement spends nothing that it evicts, and a package replaces only as parent and child. */
  #replacementTopology(
    entries: readonly PoolEntry[],
    evicted: readonly PoolEntry[],
    ownFamily: ReadonlySet<string>,
  ): string | undefined {
    if (evicted.length === 0) return undefined;
    const gone = new Set(evicted.map(({ transaction }) => transaction.key));
    if (entries.some((entry) => [...entry.parents].some((key) => gone.has(key)))) {
      return "bad-txns-spends-conflicting-tx";
    }
    const outside = entries.some((entry) => [...entry.parents].some((key) => !ownFamily.has(key)));
    if (entries.length > 2 || (entries.length === 2 && outside)) {
      return "package RBF failed: package must be 1-parent-1-child";
    }
    return undefined;
  }

  #entry(transaction: SimTransaction, fee: number, before: readonly PoolEntry[]): PoolEntry {
    const parents = new Set<string>();
    for (const key of transaction.spends) {
      const parent = key.slice(0, 64);
      if (this.#near(parent, before)) parents.add(parent);
    }
    return { transaction, fee, parents };
  }

  #near(key: string, before: readonly PoolEntry[]): PoolEntry | undefined {
    return this.#entries.get(key) ?? before.find((entry) => entry.transaction.key === key);
  }

  #coin(key: string, before: readonly PoolEntry[]): Coin | undefined {
    const parent = this.#near(key.slice(0, 64), before);
    if (!parent) return this.#chain.coin(key);
    const output = parent.transaction.parsed.outputs[Number(key.slice(65))];
    return output && { output, coinbase: false, ...this.#chain.next() };
  }

  #add(entry: PoolEntry): void {
    this.#entries.set(entry.transaction.key, entry);
    for (const key of entry.transaction.spends) this.#spenders.set(key, entry.transaction.key);
  }

  #remove(key: string): void {
    const entry = this.#entries.get(key);
    if (!entry) return;
    this.#entries.delete(key);
    for (const spent of entry.transaction.spends) this.#spenders.delete(spent);
    for (const child of this.#children(key)) {
      const found = this.#entries.get(child);
      if (!found) continue;
      const parents = new Set([...found.parents].filter((parent) => parent !== key));
      this.#entries.set(child, { ...found, parents });
    }
  }

  #children(key: string): string[] {
    const entry = this.#entries.get(key);
    if (!entry) return [];
    const txid = fromHex(key);
    const spenders = entry.transaction.scripts.flatMap(
      (_, vout) => this.#spenders.get(outpointKey({ txid, vout })) ?? [],
    );
    return [...new Set(spenders)];
  }

  #withDescendants(keys: readonly string[]): string[] {
    const all = new Set(keys);
    for (const key of all) for (const child of this.#children(key)) all.add(child);
    return [...all];
  }

  /** Oldest first. */
  #ancestors(entry: PoolEntry): PoolEntry[] {
    const all = new Map<string, PoolEntry>();
    const visit = (one: PoolEntry) => {
      for (const key of one.parents) {
        const parent = this.#entries.get(key);
        if (!parent || all.has(key)) continue;
        visit(parent);
        all.set(key, parent);
      }
    };
    visit(entry);
    return [...all.values()];
  }

  #ancestorFeerate(entry: PoolEntry): number {
    const family = [...this.#ancestors(entry), entry];
    const fee = family.reduce((sum, one) => sum + one.fee, 0);
    return fee / family.reduce((sum, one) => sum + one.transaction.vsize, 0);
  }
}

function leavesDust(parent: SimTransaction, child: SimTransaction): boolean {
  return dustOutputs(parent.parsed.outputs).some(
    (vout) => !child.spends.includes(outpointKey({ txid: parent.txid, vout })),
  );
}

function mayPassInPackage(reason: string): boolean {
  return reason.startsWith("min relay fee not met") || reason === "bad-txns-inputs-missingorspent";
}

function packageTopologyRefusal(group: readonly SimTransaction[]): string | undefined {
  const child = group[group.length - 1];
  if (!child || group.length > MAX_PACKAGE) return "package-too-many-transactions";
  const parents = group.slice(0, -1);
  const isParentOf = (one: SimTransaction, other: SimTransaction) =>
    other.spends.some((key) => key.slice(0, 64) === one.key);
  const good =
    parents.every((parent) => isParentOf(parent, child)) &&
    !parents.some((one) => parents.some((other) => isParentOf(one, other)));
  return good
    ? undefined
    : "package topology disallowed. not child-with-parents or parents depend on each other.";
}
