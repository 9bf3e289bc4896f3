/** One node of a channel's life, in Node or inside XS, with all that it sends, stores and tells written down to the byte. */
import { hash } from "node:crypto";
import type { Crypto } from "../../core/ports/crypto.ts";
import { toHex } from "../../core/primitives/bytes.ts";
import type { HostFunctions, XsBridge } from "./bridge.ts";
import { callCrypto } from "./crypto-calls.ts";
import { decodeParts, encodeParts } from "./parts.ts";
import { type CoreParts, type NodeSetup, PortableNode } from "./portable-node.ts";
import { decodeValue, encodeValue } from "./values.ts";

/** Where a node runs: takes its host's functions, gives a machine to start and drive it. */
export type Machines = (host: HostFunctions) => Promise<Machine>;

export interface Machine {
  start(setup: NodeSetup): Promise<void>;
  step(step: string, parameter: Uint8Array): Promise<Uint8Array | undefined>;
  /** At once and without a farewell, as a power cut would. */
  kill(): Promise<void>;
}

export interface Told {
  readonly id: Uint8Array;
  readonly event: { readonly type: string } & Readonly<Record<string, unknown>>;
}

const PAYMENT_BYTES = 24;

export class Player {
  /** One line for everything that left the node, in order. */
  readonly transcript: string[] = [];
  readonly told: Told[] = [];
  readonly alarms: string[] = [];
  readonly closes: Uint8Array[] = [];
  readonly records: Uint8Array[] = [];
  /** Takes what the node sends; set by the cable. */
  onSend: (bytes: Uint8Array) => void = () => {};
  readonly #stored = new Map<string, { parts: Uint8Array[]; archive: Uint8Array[] }>();
  readonly #values = new Map<string, Uint8Array>();
  readonly #credited = new Set<string>();
  readonly #debited = new Set<string>();
  #machine: Machine | undefined;
  #starts = 0;

  constructor(
    readonly name: string,
    private readonly machines: Machines,
    private readonly setup: Omit<NodeSetup, "entropySeed" | "height" | "nowMs">,
  ) {}

  async start(height: number, nowMs: number): Promise<void> {
    const machine = await this.machines(this.#host());
    this.#machine = machine;
    const entropySeed = Uint8Array.of(...this.setup.seed.subarray(0, 4), this.#starts++);
    await machine.start({ ...this.setup, entropySeed, height, nowMs });
  }

  async kill(): Promise<void> {
    await this.#machine?.kill();
    this.#machine = undefined;
  }

  step(step: string, value: unknown): Promise<Uint8Array | undefined> {
    return this.#perform(step, encodeValue(value));
  }

  async receive(bytes: Uint8Array): Promise<void> {
    await this.#perform("bytes", bytes);
  }

  /** All events of one type, oldest first. */
  events(type: string): readonly Told["event"][] {
    return this.told.map(({ event }) => event).filter((event) => event.type === type);
  }

  #perform(step: string, parameter: Uint8Array): Promise<Uint8Array | undefined> {
    if (this.#machine === undefined) throw new Error(`${this.name} is not running`);
    return this.#machine.step(step, parameter);
  }

  /** Each function notes what it was told before it acts. */
  #host(): HostFunctions {
    const noted = Object.entries(this.#functions()).map(([name, body]) => [
      name,
      (...parameters: readonly Uint8Array[]) => {
        this.transcript.push(`${this.name} ${name} ${parameters.map(toHex).join(" ")}`);
        return body(...(parameters as Uint8Array[])) ?? [];
      },
    ]);
    return Object.fromEntries(noted) as HostFunctions;
  }

  #functions(): Record<string, (...all: Uint8Array[]) => readonly Uint8Array[] | undefined> {
    return {
      send: (bytes) => void this.onSend(bytes as Uint8Array),
      event: (value) => void this.told.push(decodeValue(value as Uint8Array) as Told),
      alarm: (text) => void this.alarms.push(String(decodeValue(text as Uint8Array))),
      close: (raw) => void this.closes.push(raw as Uint8Array),
      publish: () => [],
      watch: () => [],
      peer: () => [],
      service: () => [],
      "store-load": () =>
        [...this.#stored.values()].map(({ parts, archive }) => encodeParts([...parts, ...archive])),
      "store-commit": (id, record, credits, debits, archive) =>
        this.#commit([id!, record!], { credits: credits!, debits: debits!, archive: archive! }),
      "store-remove": (id) => void this.#stored.delete(toHex(id!)),
      "store-is-debited": (reference) => found(this.#debited.has(toHex(reference!))),
      "store-is-credited": (reference) => found(this.#credited.has(toHex(reference!))),
      "store-get": (key) => [
        ...(this.#values.get(toHex(key!)) ? [this.#values.get(toHex(key!))!] : []),
      ],
      "store-set": (key, value) => void this.#values.set(toHex(key!), value!),
    };
  }

  #commit(
    parts: [Uint8Array, Uint8Array],
    more: {
      readonly credits: Uint8Array;
      readonly debits: Uint8Array;
      readonly archive: Uint8Array;
    },
  ): readonly Uint8Array[] {
    const key = toHex(parts[0]);
    const archive = [...(this.#stored.get(key)?.archive ?? []), ...decodeParts(more.archive)];
    this.#stored.set(key, { parts, archive });
    this.records.push(parts[1]);
    for (const reference of references(more.debits)) this.#debited.add(reference);
    const duplicates: number[] = [];
    references(more.credits).forEach((reference, i) => {
      if (this.#credited.has(reference)) duplicates.push(i);
      this.#credited.add(reference);
    });
    return [Uint8Array.from(duplicates)];
  }
}

/** A node in this process. */
export function inNode(core: CoreParts, crypto: Crypto): Machines {
  return async (host) => {
    const call = (name: string, ...parameters: Uint8Array[]) => {
      const body = host[name];
      if (body === undefined) throw new Error(`no host function ${name}`);
      return body(...parameters.map((bytes) => bytes.slice()));
    };
    const node = new PortableNode(core, crypto, call);
    return {
      start: (setup) => node.start(setup),
      step: async (step, parameter) => node.perform(step, parameter.slice()),
      kill: async () => {},
    };
  };
}

export interface XsMachineOptions {
  readonly crypto: Crypto;
  /** Whose crypto the node uses: the host's, or noble inside the engine. */
  readonly provider: "host" | "noble";
  /** Frames on the engine's stack below every step. */
  readonly frames?: number;
  /** Told of what each step cost. */
  readonly onCompute?: (step: string, compute: number) => void;
  open(host: HostFunctions): Promise<XsBridge>;
}

/** A node in a worker of the real engine; a new worker for each start. */
export function inXs({
  crypto,
  provider,
  frames = 0,
  onCompute,
  open,
}: XsMachineOptions): Machines {
  const depth = new Uint8Array(4);
  new DataView(depth.buffer).setUint32(0, frames);
  return async (host) => {
    const bridge = await open({
      ...host,
      crypto: (method, ...all) => callCrypto(crypto, Buffer.from(method!).toString(), all),
    });
    return {
      async start(setup) {
        await bridge.call("node-start", Buffer.from(provider), encodeValue(setup));
      },
      async step(step, parameter) {
        const answer = await bridge.call("node-step", depth, Buffer.from(step), parameter);
        onCompute?.(step, answer.meter.compute);
        return answer.parts[0];
      },
      async kill() {
        const { processId } = bridge.worker;
        if (processId !== undefined) process.kill(processId, "SIGKILL");
        await bridge.close();
      },
    };
  };
}

/** A short name of a transcript, for messages. */
export function digestOf(transcript: readonly string[]): string {
  return hash("sha256", transcript.join("\n")).slice(0, 16);
}

function found(is: boolean): readonly Uint8Array[] {
  return is ? [Uint8Array.of(1)] : [];
}

function references(packed: Uint8Array): readonly string[] {
  const out: string[] = [];
  for (let at = 0; at < packed.length; at += PAYMENT_BYTES) {
    out.push(toHex(packed.subarray(at, at + 16)));
  }
  return out;
}
