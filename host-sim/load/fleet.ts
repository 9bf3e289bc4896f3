/** The devices of the load: started, connected, and each given a channel whose funding is one output of a transaction for many. */
import type { Checkpoint } from "../../core/chain/headers.ts";
import type { ChainWallet, TxOutput } from "../../core/ports/chain.ts";
import { blockHeight, satoshi } from "../../core/primitives/brands.ts";
import { equal } from "../../core/primitives/bytes.ts";
import { parseTransaction, transactionId } from "../../core/transactions/transaction.ts";
import type { BitcoindRpc } from "../../gateway/chain/bitcoind/rpc.ts";
import { LoadDevice, type LoadWorld } from "./load-device.ts";

/** Ten thousand of them are less than the ten coins of the load. */
export const CAPACITY_SAT = 90_000;
/** Of it the gateway's from the start, so that either side can pay. */
export const PUSHED_MSAT = 45_000_000;
/** A funding of so many outputs still fits into a message to a device, with its merkle branch. */
export const FUNDINGS_PER_TRANSACTION = 64;
const FUNDING_PER_KW = 500;
const BATCHES_AT_ONCE = 3;
const CALLS_AT_ONCE = 200;
/** Each device's `tick` comes once in so many of the fleet's. */
const TICK_PARTS = 20;
const TICK_MS = 50;

export type Progress = (done: number, of: number) => void;

export class Fleet {
  readonly devices: LoadDevice[] = [];
  private timer: ReturnType<typeof setInterval> | undefined;
  private part = 0;

  constructor(private readonly world: LoadWorld) {}

  async make(count: number): Promise<void> {
    for (let index = 0; index < count; index++) {
      const device = new LoadDevice(index, this.world);
      await device.start();
      this.devices.push(device);
    }
    this.timer = setInterval(() => this.tick(), TICK_MS);
  }

  /** Some at a time, as a fleet comes that was switched on. */
  async connect(progress: Progress): Promise<void> {
    for (let at = 0; at < this.devices.length; at += CALLS_AT_ONCE) {
      for (const device of this.devices.slice(at, at + CALLS_AT_ONCE)) device.connect();
      await this.until((device) => device.isConnected, progress, at + CALLS_AT_ONCE);
    }
  }

  /** A channel each, in batches; the transactions are broadcast and not yet mined. */
  async openChannels(
    wallet: ChainWallet,
    broadcast: (raw: Uint8Array) => Promise<void>,
    progress: Progress,
  ): Promise<void> {
    let left = [...this.devices];
    let done = 0;
    const worker = async () => {
      while (left.length > 0) {
        const batch = left.slice(0, FUNDINGS_PER_TRANSACTION);
        left = left.slice(batch.length);
        const { raw, failed } = await this.fundBatch(batch, wallet);
        if (raw) await broadcast(raw);
        left = [...left, ...failed];
        done += batch.length - failed.length;
        progress(done, this.devices.length);
      }
    };
    while (left.length > 0) await Promise.all(Array.from({ length: BATCHES_AT_ONCE }, worker));
  }

  /** The gateway has signed every commitment before the transaction leaves. Those whose link was lost try again. */
  private async fundBatch(batch: readonly LoadDevice[], wallet: ChainWallet) {
    const asked = await Promise.all(
      batch.map(async (device) => {
        while (!device.isConnected) await pause(100);
        const step = this.nextStep(device);
        device.open(CAPACITY_SAT, PUSHED_MSAT);
        return { device, step: await step };
      }),
    );
    const failed = asked.flatMap(({ device, step }) => (typeof step === "string" ? [device] : []));
    const wanted = asked.flatMap(({ device, step }) =>
      typeof step === "string" ? [] : [{ device, script: step.script }],
    );
    if (wanted.length === 0) return { raw: undefined, failed };
    const amount = satoshi(CAPACITY_SAT);
    const outputs: TxOutput[] = wanted.map(({ script }) => ({ script, amount }));
    const raw = await wallet.fund(outputs, FUNDING_PER_KW);
    const transaction = parseTransaction(raw);
    const txid = transactionId(this.world.crypto, transaction);
    const made = await Promise.all(
      wanted.map(async ({ device, script }) => {
        const step = this.nextStep(device);
        const vout = transaction.outputs.findIndex((output) => equal(output.script, script));
        device.funded({ txid, vout });
        return { device, step: await step };
      }),
    );
    failed.push(...made.flatMap(({ device, step }) => (step === "created" ? [] : [device])));
    return { raw, failed };
  }

  private nextStep(device: LoadDevice): Promise<Parameters<LoadDevice["onOpening"]>[0]> {
    return new Promise((resolve) => {
      device.onOpening = resolve;
      setTimeout(() => resolve("failed"), STEP_MS).unref();
    });
  }

  /** Waits until so many devices are what is wanted. @throws where nothing moves for two minutes. */
  async until(
    isDone: (device: LoadDevice) => boolean,
    progress: Progress,
    count = this.devices.length,
  ): Promise<void> {
    const wanted = Math.min(count, this.devices.length);
    let last = -1;
    let movedMs = performance.now();
    for (;;) {
      const done = this.devices.filter(isDone).length;
      progress(done, this.devices.length);
      if (done >= wanted) return;
      if (done !== last) movedMs = performance.now();
      last = done;
      if (performance.now() - movedMs > STUCK_MS) {
        throw new Error(`${wanted - done} of ${wanted} devices do not get on`);
      }
      await pause(50);
    }
  }

  stop(): void {
    clearInterval(this.timer);
    for (const device of this.devices) device.stop();
  }

  private tick(): void {
    this.part = (this.part + 1) % TICK_PARTS;
    const nowMs = this.world.nowMs();
    for (let i = this.part; i < this.devices.length; i += TICK_PARTS) this.devices[i]?.tick(nowMs);
  }
}

const STUCK_MS = 60_000;
/** Longer than a session lives without a word. */
const STEP_MS = 30_000;

export function pause(ms: number): Promise<void> {
  return new Promise((wake) => setTimeout(wake, ms));
}

/** The node's tip as the newest block that the devices' image knows. */
export async function tipCheckpoint(rpc: BitcoindRpc): Promise<Checkpoint> {
  const hash = await rpc.call<string>("getbestblockhash");
  const { height, time } = await rpc.call<{ height: number; time: number }>("getblockheader", hash);
  const raw = await rpc.call<string>("getblockheader", hash, false);
  const first = await rpc.call<string>("getblockhash", height - (height % 2016));
  const { time: periodTime } = await rpc.call<{ time: number }>("getblockheader", first);
  const header = new Uint8Array(Buffer.from(raw, "hex"));
  const periodBits = new DataView(header.buffer).getUint32(72, true);
  return {
    height: blockHeight(height),
    header,
    periodTime,
    periodBits,
    times: [time],
    chainWork: 0n,
  };
}
