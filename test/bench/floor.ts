/** The crypto floor of a payment: the curve operations that it needed, recorded, and run again with nothing around them. */
import type { Crypto } from "../../core/ports/crypto.ts";

/** Operations on the curve and on its scalars; hashes and ciphers count as work around them. */
const CURVE_OPERATIONS = [
  "sign",
  "verify",
  "publicKeyOf",
  "publicKeyTweakAdd",
  "publicKeyTweakMultiply",
  "publicKeyAdd",
  "isPublicKey",
  "isSecretKey",
  "secretKeyTweakAdd",
  "secretKeyTweakMultiply",
  "ecdh",
] as const satisfies readonly (keyof Crypto)[];

export type CurveOperation = (typeof CURVE_OPERATIONS)[number];

interface Call {
  readonly operation: CurveOperation;
  readonly parameters: readonly Uint8Array[];
}

type Method = (...parameters: readonly Uint8Array[]) => unknown;

/** Wraps a provider: what is called while it records can be counted and repeated. */
export class Recorder {
  readonly crypto: Crypto;
  private calls: Call[] = [];
  private all: string[] = [];
  private recording = false;

  constructor(private readonly provider: Crypto) {
    const wrapped: Record<string, unknown> = { ...provider };
    for (const [name, method] of Object.entries(provider)) {
      if (typeof method !== "function") continue;
      wrapped[name] = (...parameters: Uint8Array[]) => {
        if (this.recording) this.note(name, parameters);
        return (method as Method)(...parameters);
      };
    }
    this.crypto = wrapped as unknown as Crypto;
  }

  async record(work: () => Promise<void>): Promise<Floor> {
    this.calls = [];
    this.all = [];
    this.recording = true;
    await work();
    this.recording = false;
    return new Floor(this.provider, this.calls, this.all);
  }

  private note(name: string, parameters: readonly Uint8Array[]): void {
    this.all.push(name);
    const operation = CURVE_OPERATIONS.find((one) => one === name);
    if (operation === undefined) return;
    this.calls.push({ operation, parameters: parameters.map((bytes) => bytes.slice()) });
  }
}

export class Floor {
  constructor(
    private readonly provider: Crypto,
    private readonly calls: readonly Call[],
    private readonly all: readonly string[],
  ) {}

  /** How often each operation, hashes and ciphers included, was called. */
  get counts(): Readonly<Record<string, number>> {
    const counts: Record<string, number> = {};
    for (const name of this.all) counts[name] = (counts[name] ?? 0) + 1;
    return counts;
  }

  /** Everything once more, in the same order. */
  run(): void {
    const { provider } = this;
    for (const { operation, parameters } of this.calls) {
      (provider[operation] as Method)(...parameters);
    }
  }

  /** Microseconds of each operation, timed apart. */
  timeEach(rounds: number): Readonly<Partial<Record<CurveOperation, number>>> {
    const times: Partial<Record<CurveOperation, number>> = {};
    for (const operation of CURVE_OPERATIONS) {
      const some = this.calls.filter((call) => call.operation === operation);
      if (some.length === 0) continue;
      const method = this.provider[operation] as Method;
      const start = performance.now();
      for (let i = 0; i < rounds; i++) {
        for (const { parameters } of some) method(...parameters);
      }
      times[operation] = ((performance.now() - start) * 1000) / (rounds * some.length);
    }
    return times;
  }
}
