/** What the stories of both chain adapters share: a lab, coins to spend, and words for what came back. */
import { expect } from "vitest";
import {
  extendHeaderChain,
  genesisCheckpoint,
  type HeaderChain,
  headerAt,
  startHeaderChain,
} from "../../core/chain/headers.ts";
import { REGTEST } from "../../core/chain/networks.ts";
import type {
  BlockEvent,
  BroadcastResult,
  ChainSource,
  ChainWallet,
  ChildRequest,
} from "../../core/ports/chain.ts";
import { blockHeight, satoshi } from "../../core/primitives/brands.ts";
import { toHex } from "../../core/primitives/bytes.ts";
import {
  parseTransaction,
  serializeTransaction,
  transactionVsize,
} from "../../core/transactions/transaction.ts";
import type { LabKind } from "../../host-sim/chain/lab.ts";
import { type ChainLab, createLab } from "../support/chain-lab.ts";
import * as s from "./lab-scripts.ts";
import { crypto } from "./synthetic-headers.ts";

export const START_TIMEOUT_MS = 330_000; // a first run may download the node
export const RATE = 1000;
export const raw = serializeTransaction;

export interface LabParts {
  readonly lab: ChainLab;
  readonly wallet: ChainWallet;
  readonly source: ChainSource;
}

export async function startLab(kind: LabKind): Promise<LabParts> {
  const lab = await createLab({ chain: kind });
  return { lab, wallet: await lab.wallet("gateway"), source: await lab.source() };
}

/** Pays `amount` to `script` and mines it. */
export async function pay({ lab, wallet, source }: LabParts, script: Uint8Array, amount: number) {
  const paid = await wallet.fund([{ script, amount: satoshi(amount) }], RATE);
  await accepted(source.broadcast(paid));
  await lab.mine(1);
  return s.outputOf(paid, script);
}

/** A P2WSH output of one key, and how to spend it. */
export async function coin(
  parts: LabParts,
  seed: number,
  amount = 1_000_000,
  script = s.keyScript(seed),
) {
  const { outpoint, output } = await pay(parts, s.wsh(script), amount);
  return { outpoint, script, seed, spent: output };
}

export const P2WPKH_NOBODY = Uint8Array.from([0, 20, ...new Uint8Array(20).fill(7)]);

export function childOf(
  parent: Uint8Array,
  anchorScript: Uint8Array,
  version: 2 | 3,
): ChildRequest {
  const { outpoint, output } = s.outputOf(parent, anchorScript);
  return {
    parents: [parent],
    parentsFee: satoshi(0),
    anchor: outpoint,
    anchorOutput: output,
    version,
    feeratePerKw: RATE,
  };
}

export async function accepted(result: Promise<BroadcastResult>): Promise<void> {
  expect(await result).toMatchObject({ ok: true });
}

export async function reason(result: Promise<BroadcastResult>): Promise<string> {
  const outcome = await result;
  return outcome.ok ? "accepted" : outcome.reason;
}

/** What its inputs hold beyond its outputs; `known` are the first inputs' amounts where they are unconfirmed. */
export async function feeOf(
  lab: ChainLab,
  bytes: Uint8Array,
  known: number[] = [],
): Promise<number> {
  const parsed = parseTransaction(bytes);
  let fee = 0;
  for (const [i, input] of parsed.inputs.entries()) {
    fee += known[i] ?? (await lab.utxo(input.outpoint))!.amount;
  }
  for (const output of parsed.outputs) fee -= output.amount;
  return fee;
}

export function packageVsize(...raws: Uint8Array[]): number {
  return raws.reduce((sum, bytes) => sum + transactionVsize(parseTransaction(bytes)), 0);
}

export function deviceChain(headers: readonly Uint8Array[]): HeaderChain {
  const start = startHeaderChain(crypto, REGTEST, genesisCheckpoint(REGTEST), 2000);
  const outcome = extendHeaderChain(crypto, start, headers);
  if (!outcome.ok) throw new Error(outcome.reason);
  return outcome.chain;
}

export function headerOf(chain: HeaderChain, height: number): Uint8Array {
  return headerAt(chain, height) as Uint8Array;
}

/** A listener that notes everything. */
export async function follow(lab: ChainLab, fromHeight?: number) {
  const source = await lab.source();
  const blocks: BlockEvent[] = [];
  const log: string[] = [];
  const seen: string[] = [];
  source.subscribe(
    {
      blockConnected: (block) => {
        blocks.push(block);
        log.push(`+${block.height}`);
      },
      blockDisconnected: (height) => {
        log.push(`-${height}`);
      },
      transactionSeen: (bytes) => {
        seen.push(toHex(bytes));
      },
    },
    blockHeight(fromHeight ?? (await lab.height()) + 1),
  );
  await lab.settle();
  return { source, blocks, log, seen, transactions: () => blocks.flatMap((b) => b.transactions) };
}
