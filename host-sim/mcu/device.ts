/** The program on the emulated microcontroller: the firmware's portable device on the platform's host functions. */
import { networkNamed } from "../../core/chain/networks.ts";
import { SeedSigner } from "../../core/keys/seed-signer.ts";
import type { Crypto } from "../../core/ports/crypto.ts";
import type { Link } from "../../core/ports/link.ts";
import { milliSatoshi, publicKey } from "../../core/primitives/brands.ts";
import { p2wpkh } from "../../core/transactions/script.ts";
import { makeApp } from "../../firmware/apps/catalog.ts";
import type { Clock, Pins } from "../../firmware/board.ts";
import { nativeCrypto, nativeEntropy } from "../../firmware/crypto/native.ts";
import { selfTest } from "../../firmware/crypto/self-test.ts";
import { Device } from "../../firmware/device.ts";
import type { Flash } from "../../firmware/store/flash.ts";
import { FlashLogStore } from "../../firmware/store/flash-log.ts";
import { cryptoService } from "./crypto-service.ts";
import "./natives.ts";
import { decodeSettings, type McuSettings } from "./straps.ts";

const SECTOR_BYTES = 4096;
/** Of `resetReason`. */
const AFTER_POWER = 0;
/** 16 bytes of RAM each, for credits and for debits. */
const REFERENCE_WINDOW = 256;
/** From the motor's pulse until the product passes the sensor, and for how long it does. */
const FALL_MS = 30;
const PASS_MS = 20;

/** What the platform's loop calls. */
export interface Running {
  onBytes(bytes: ArrayBuffer): void;
  tick(nowMs: number): void;
}

/** Called by the platform once the machine has come up. */
export function start(): Running {
  const board = picoboltBoard;
  const settings = decodeSettings(new Uint8Array(board.settings()));
  const crypto = nativeCrypto(picoboltNative);
  if (settings.app === "crypto") {
    const receive = cryptoService(crypto, (bytes) => board.uartWrite(bytes));
    return { onBytes: (bytes) => receive(new Uint8Array(bytes)), tick: () => {} };
  }
  const clock = new TickClock();
  const uart = uartLink();
  let device: Device | undefined;
  run(settings, { crypto, clock, uart })
    .then((started) => {
      device = started;
      board.print("ready");
    })
    .catch((cause: unknown) => {
      board.print(`start failed: ${cause instanceof Error ? cause.message : cause}`);
      // Once more: memory may have been short. What fails twice stays off, without its keys.
      if (board.resetReason() === AFTER_POWER) board.restart();
    });
  return {
    onBytes: (bytes) => uart.onBytes(new Uint8Array(bytes)),
    tick: (nowMs) => {
      clock.tick(nowMs);
      device?.tick(nowMs);
    },
  };
}

interface Parts {
  readonly crypto: Crypto;
  readonly clock: TickClock;
  readonly uart: Link;
}

async function run(settings: McuSettings, { crypto, clock, uart }: Parts): Promise<Device> {
  const board = picoboltBoard;
  const entropy = nativeEntropy(picoboltNative);
  const failed = selfTest(crypto, entropy);
  if (failed !== undefined) throw new Error(`the self-test failed: ${failed}`);
  const signer = new SeedSigner(crypto, settings.seed);
  const { app, toSelfDelay, minimumDepth } = settings;
  const isVending = app === "vending";
  const device = await Device.start({
    crypto,
    entropy,
    signer,
    store: new FlashLogStore(flash(), { label: "norflash", referenceWindow: REFERENCE_WINDOW }),
    app: makeApp(
      app,
      isVending ? { machine: "mcu", products: settings.products.map((p) => ({ ...p })) } : {},
    ),
    network: networkNamed("regtest"),
    gatewayId: publicKey(settings.gatewayId),
    payoutScript: p2wpkh(crypto, signer.nodeId),
    budget: {
      maxOfflineBlocks: Math.floor(toSelfDelay / 2),
      maxUnsyncedMsat: milliSatoshi(100_000_000),
    },
    policy: { toSelfDelay, minimumDepth },
    maxChannels: 2,
    maxLinks: 1,
    nowMs: clock.nowMs(),
    pins: loopback(clock),
    clock,
    events: {
      onChannelEvent: (_id, event) => board.print(`channel ${event.type}`),
      onApp: (event) => board.print(`app ${event.type}`),
      onPeer: (_peer, state, reason) => board.print(`peer ${state} ${reason ?? ""}`),
      onTip: () => {},
      onProven: () => board.print("proven"),
      onAlarm: (text) => board.print(`alarm ${text}`),
    },
  });
  device.attach(uart);
  return device;
}

function uartLink(): Link {
  return {
    name: "uart",
    kind: "stream",
    send: (bytes) => picoboltBoard.uartWrite(bytes),
    close() {},
    onBytes() {},
    onClosed() {},
  };
}

function flash(): Flash {
  const board = picoboltBoard;
  return {
    size: board.flashSize(),
    sectorSize: SECTOR_BYTES,
    read: (offset, length) => new Uint8Array(board.flashRead(offset, length)),
    program: (offset, bytes) => board.flashProgram(offset, bytes),
    erase: (sector) => board.flashErase(sector),
    isErased: (offset, length) => board.flashIsErased(offset, length),
  };
}

/** Timers that the platform's tick fires. */
class TickClock implements Clock {
  private readonly due = new Set<{ readonly atMs: number; readonly work: () => void }>();

  nowMs(): number {
    return picoboltBoard.nowMs();
  }

  nowSeconds(): undefined {
    return undefined;
  }

  after(delayMs: number, work: () => void): () => void {
    const timer = { atMs: this.nowMs() + delayMs, work };
    this.due.add(timer);
    return () => this.due.delete(timer);
  }

  tick(nowMs: number): void {
    for (const timer of [...this.due]) {
      if (timer.atMs > nowMs || !this.due.delete(timer)) continue;
      timer.work();
    }
  }
}

/** The machine has no pins of its own: each motor lets something fall past the sensor. */
function loopback(clock: Clock): Pins {
  let isSeen = false;
  let onEdge: (on: boolean) => void = () => {};
  const see = (on: boolean) => {
    isSeen = on;
    onEdge(on);
  };
  return {
    names: ["button", "led", "sensor", "motor1", "motor2"],
    write: (name, on) => {
      if (!name.startsWith("motor") || !on) return;
      clock.after(FALL_MS, () => {
        see(true);
        clock.after(PASS_MS, () => see(false));
      });
    },
    read: (name) => name === "sensor" && isSeen,
    watch: (name, listener) => {
      if (name === "sensor") onEdge = listener;
    },
  };
}
