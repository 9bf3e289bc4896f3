/** Every figure of the bench (issue "Measured"): rates beside their crypto floor, bytes on the wire, in records and in flash, and XS compute. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { encodeRecord } from "../../core/channel/codec.ts";
import { MemoryStore } from "../../core/node/memory-store.ts";
import type { Crypto } from "../../core/ports/crypto.ts";
import { assert } from "../../core/primitives/errors.ts";
import { FlashLogStore } from "../../firmware/store/flash-log.ts";
import { openSqliteStore } from "../../gateway/store/sqlite-store.ts";
import { NorFlash } from "../../host-sim/flash/nor-flash.ts";
import { type Floor, Recorder } from "./floor.ts";
import type { Effort, Measured } from "./measure.ts";
import { BenchPair } from "./pair.ts";
import { Purse, pay, payByHtlc } from "./payments.ts";
import { type Rates, takeRates } from "./rates.ts";
import { xsPushCompute } from "./xs-compute.ts";

export interface Figures {
  readonly crypto: string;
  readonly memory: Rates;
  readonly durable: Rates;
  readonly pushFloor: Floor;
  readonly htlcFloor: Floor;
  readonly wire: { readonly pushBytes: number; readonly htlcBytes: number };
  readonly recordBytes: number;
  readonly flashBytesPerPayment: number;
  readonly pushCompute: number;
  readonly residentBytes: number;
  readonly seconds: number;
}

/** Payments after which bytes are counted. */
const SETTLED_AFTER = 16;
const COUNTED = 32;
const FLASH_BYTES = 1024 * 1024;

export async function takeFigures(crypto: Crypto, effort: Effort): Promise<Figures> {
  const start = performance.now();
  const { pushFloor, htlcFloor } = await floors(crypto);
  const pushCompute = await xsPushCompute(crypto);
  const sizes = await countBytes(crypto);
  const flashBytesPerPayment = await countFlashBytes(crypto);
  const both = () => ({ payer: new MemoryStore(), payee: new MemoryStore() });
  const memory = await takeRates(crypto, effort, both(), { pushFloor, htlcFloor });
  const residentBytes = process.memoryUsage().rss;
  const durable = await withFolder(async (folder) => {
    const stores = {
      payer: openSqliteStore(join(folder, "payer.db")),
      payee: openSqliteStore(join(folder, "payee.db")),
    };
    const rates = await takeRates(crypto, effort, stores, { pushFloor, htlcFloor });
    await stores.payer.close();
    await stores.payee.close();
    return rates;
  });
  return {
    crypto: crypto.name,
    memory,
    durable,
    pushFloor,
    htlcFloor,
    ...sizes,
    flashBytesPerPayment,
    pushCompute,
    residentBytes,
    seconds: (performance.now() - start) / 1000,
  };
}

/** What one payment calls of the Crypto port, in both nodes together. */
async function floors(crypto: Crypto): Promise<{ pushFloor: Floor; htlcFloor: Floor }> {
  const recorder = new Recorder(crypto);
  const cryptos = { payer: recorder.crypto, payee: recorder.crypto };
  const stores = { payer: new MemoryStore(), payee: new MemoryStore() };
  const pair = await BenchPair.open(cryptos, stores);
  const purse = new Purse();
  for (let i = 0; i < SETTLED_AFTER; i++) await pay(pair, purse.push(1));
  const pushFloor = await recorder.record(() => pay(pair, purse.push(1)));
  for (let i = 0; i < SETTLED_AFTER; i++) await payByHtlc(pair, purse.htlc(crypto));
  const htlcFloor = await recorder.record(() => payByHtlc(pair, purse.htlc(crypto)));
  return { pushFloor, htlcFloor };
}

/** On the cable, framing and encryption included, both directions; and of the largest record between payments. */
async function countBytes(crypto: Crypto): Promise<Pick<Figures, "wire" | "recordBytes">> {
  const stores = { payer: new MemoryStore(), payee: new MemoryStore() };
  const pair = await BenchPair.open({ payer: crypto, payee: crypto }, stores);
  const purse = new Purse();
  let recordBytes = 0;
  const average = async (work: () => Promise<void>): Promise<number> => {
    for (let i = 0; i < SETTLED_AFTER; i++) await work();
    const before = pair.cable.bytes;
    for (let i = 0; i < COUNTED; i++) {
      await work();
      const record = pair.payee.node.record(pair.id);
      assert(record !== undefined, "the channel is open");
      recordBytes = Math.max(recordBytes, encodeRecord(record).length);
    }
    return Math.round((pair.cable.bytes - before) / COUNTED);
  };
  const pushBytes = await average(() => pay(pair, purse.push(1)));
  const htlcBytes = await average(() => payByHtlc(pair, purse.htlc(crypto)));
  return { wire: { pushBytes, htlcBytes }, recordBytes };
}

/** Programmed by the payee's store for one push, what making room costs included. */
async function countFlashBytes(crypto: Crypto): Promise<number> {
  const flash = new NorFlash({ size: FLASH_BYTES });
  const stores = { payer: new MemoryStore(), payee: new FlashLogStore(flash) };
  const pair = await BenchPair.open({ payer: crypto, payee: crypto }, stores);
  const purse = new Purse();
  for (let i = 0; i < SETTLED_AFTER; i++) await pay(pair, purse.push(1));
  const before = flash.bytesProgrammed;
  const payments = 8 * COUNTED;
  for (let i = 0; i < payments; i++) await pay(pair, purse.push(1));
  return Math.round((flash.bytesProgrammed - before) / payments);
}

async function withFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), "picobolt-bench-"));
  try {
    return await work(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

export function perSecond(measured: Measured, batch: number): number {
  return (batch * 1e6) / measured.micros;
}
