/** A board in memory with a clock that tests turn, a cable to it, and owners who call over it. */
import { randomBytes } from "node:crypto";
import { REGTEST } from "../../core/chain/networks.ts";
import { nobleCrypto } from "../../core/crypto/noble.ts";
import { formatPublicKey, masterKey, toExtendedPublicKey } from "../../core/keys/bip32.ts";
import type { Crypto, Entropy } from "../../core/ports/crypto.ts";
import type { Link } from "../../core/ports/link.ts";
import { type PublicKey, type SecretKey, secretKey } from "../../core/primitives/brands.ts";
import type { IdentityCard } from "../../core/transport/identity.ts";
import { IdentityQuestion } from "../../core/transport/identity.ts";
import type { Board, Image, ResetReason, UpdateSlots } from "../../firmware/board.ts";
import type { SerialDriver } from "../../firmware/links/drivers.ts";
import { type Program, startProgram } from "../../firmware/program.ts";
import { AdminClient, type ClaimRequest } from "../../gateway/admin/client.ts";
import { NorFlash } from "../../host-sim/flash/nor-flash.ts";
import { PATIENCE_MS } from "./patience.ts";

export const noble = nobleCrypto();
export const entropy: Entropy = { random: (length) => new Uint8Array(randomBytes(length)) };
export const testImage: Image = { version: "0.2.0", number: 5, network: "regtest" };
const KB = 1024;

export interface Owner {
  readonly secret: SecretKey;
  readonly nodeId: PublicKey;
}

export function newOwner(): Owner {
  const secret = secretKey(entropy.random(32));
  return { secret, nodeId: noble.publicKeyOf(secret) };
}

export function payoutKey(network: "testnet" | "mainnet" = "testnet"): string {
  const key = toExtendedPublicKey(noble, masterKey(noble, entropy.random(32)));
  return formatPublicKey(noble, key, network);
}

export function claimRequest(more: Partial<ClaimRequest> = {}): ClaimRequest {
  const gateway = newOwner().nodeId;
  return { name: "coffee", payout: payoutKey(), gateway, network: "regtest", ...more };
}

/** What outlives a restart. */
export interface Chips {
  readonly settings: NorFlash;
  readonly records: NorFlash;
  retained?: Uint8Array | undefined;
}

export function newChips(): Chips {
  return {
    settings: new NorFlash({ size: 64 * KB }),
    records: new NorFlash({ size: 512 * KB }),
  };
}

export interface LabOptions {
  readonly chips?: Chips;
  readonly image?: Image;
  readonly crypto?: Crypto;
  readonly resetReason?: ResetReason;
  readonly update?: UpdateSlots;
  readonly cables?: number;
  readonly pins?: readonly string[];
}

export class LabBoard implements Board {
  readonly model = "lab";
  readonly crypto: Crypto;
  readonly entropy = entropy;
  readonly chips: Chips;
  readonly printed: string[] = [];
  readonly levels = new Map<string, boolean>();
  restarts = 0;
  fed = 0;
  /** Beside the real time, for what takes long. */
  aheadMs = 0;
  seconds: number | undefined;
  readonly update?: UpdateSlots;
  readonly ends: readonly CableEnd[];
  readonly pins: Board["pins"];
  readonly links: Board["links"];
  readonly system: Board["system"];
  readonly clock: Board["clock"];
  private readonly timers = new Set<ReturnType<typeof setTimeout>>();

  constructor(readonly options: LabOptions = {}) {
    const { chips = newChips(), crypto = noble, cables = 1, resetReason = "power" } = options;
    this.chips = chips;
    this.crypto = crypto;
    if (options.update) this.update = options.update;
    this.ends = Array.from({ length: cables }, (_, i) => new CableEnd(`uart${i}`));
    this.links = { serial: this.ends.map((end) => end.driver) };
    const names = options.pins ?? ["led", "button", "sensor", "relay", "motor1", "motor2"];
    this.pins = {
      names,
      write: (name, on) => void this.levels.set(name, on),
      read: (name) => this.levels.get(name) ?? false,
      watch: () => {},
    };
    this.system = {
      resetReason,
      restart: () => void this.restarts++,
      watchdog: { start: () => {}, feed: () => void this.fed++ },
      retained: {
        size: 2048,
        read: () => chips.retained,
        write: (bytes) => {
          chips.retained = bytes.slice();
        },
      },
      print: (line) => void this.printed.push(line),
    };
    this.clock = {
      nowMs: () => Math.floor(performance.now()) + this.aheadMs,
      nowSeconds: () => this.seconds,
      setSeconds: (seconds) => {
        this.seconds = seconds;
      },
      after: (ms, work) => {
        const timer = setTimeout(work, ms);
        this.timers.add(timer);
        return () => clearTimeout(timer);
      },
    };
  }

  get flash() {
    return { records: this.chips.records, settings: this.chips.settings };
  }

  stopTimers(): void {
    for (const timer of this.timers) clearTimeout(timer);
  }
}

/** A cable: the driver at the device's end, a link at the other. */
export class CableEnd {
  readonly driver: SerialDriver;
  readonly link: Link;

  constructor(name: string) {
    const driver = { name, onBytes: (_: Uint8Array) => {}, write: (_: Uint8Array) => {} };
    const link: Link = {
      name: `lab:${name}`,
      kind: "stream",
      send: (bytes) => {
        const copy = bytes.slice();
        queueMicrotask(() => driver.onBytes(copy));
      },
      close: () => {},
      onBytes: () => {},
      onClosed: () => {},
    };
    driver.write = (bytes) => {
      const copy = bytes.slice();
      queueMicrotask(() => link.onBytes(copy));
    };
    this.driver = driver;
    this.link = link;
  }
}

export class ProgramLab {
  private readonly clients: AdminClient[] = [];
  private constructor(
    readonly board: LabBoard,
    readonly program: Program,
    readonly alarms: readonly string[],
  ) {}

  static async start(options: LabOptions = {}): Promise<ProgramLab> {
    const board = new LabBoard(options);
    const alarms: string[] = [];
    const program = await startProgram(board, options.image ?? testImage, {
      onAlarm: (text) => alarms.push(text),
    });
    return new ProgramLab(board, program, alarms);
  }

  /** The same chips in another life. */
  async restart(options: Partial<LabOptions> = {}): Promise<ProgramLab> {
    this.stop();
    return ProgramLab.start({
      ...this.board.options,
      chips: this.board.chips,
      resetReason: "restart",
      ...options,
    });
  }

  async card(cable = 0): Promise<IdentityCard> {
    return new Promise((resolve) => {
      const link = this.board.ends[cable]?.link as Link;
      new IdentityQuestion(link, resolve).tick(0);
    });
  }

  async owner(owner: Owner, cable = 0, timeoutMs = 30_000): Promise<AdminClient> {
    const client = await ownerOf(this.board, this.program.nodeId, owner, { cable, timeoutMs });
    this.clients.push(client);
    return client;
  }

  stop(): void {
    for (const client of this.clients) client.close();
    this.program.stop();
    this.board.stopTimers();
  }
}

/** An owner at one of the board's cables. */
export function ownerOf(
  board: LabBoard,
  deviceId: PublicKey,
  owner: Owner,
  { cable = 0, timeoutMs = 30_000 } = {},
): Promise<AdminClient> {
  const link = board.ends[cable]?.link as Link;
  const { secret: ownerSecret } = owner;
  const session = { crypto: noble, entropy, link, deviceId, ownerSecret };
  return AdminClient.connect({ ...session, network: REGTEST, timeoutMs });
}

export async function until(holds: () => boolean, ms = PATIENCE_MS): Promise<void> {
  const end = performance.now() + ms;
  while (!holds()) {
    if (performance.now() > end) throw new Error("it never came true");
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
