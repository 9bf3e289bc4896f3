/** The parts of the bench in the order in which they run: each gives its keys of the JSON and its table, or says why it was skipped. */
import type { Crypto } from "../../core/ports/crypto.ts";
import { takeBleFigures } from "./ble-figures.ts";
import { takeFigures } from "./figures.ts";
import { takeIdleMemory } from "./idle-memory.ts";
import { takeLatencies } from "./latency.ts";
import { takeMcuFigures } from "./mcu.ts";
import { FULL, QUICK } from "./measure.ts";
import { takeSaleFigures } from "./mqtt-sale.ts";
import { takePeerFigures } from "./peer-figures.ts";
import { asJson, asTable } from "./report.ts";

export interface PartBench {
  readonly json: Readonly<Record<string, unknown>>;
  readonly table: string;
}

export interface PartRequest {
  readonly crypto: Crypto;
  readonly quick: boolean;
}

interface Part {
  /** A look does without what takes a minute or has brokers. */
  readonly inALook: boolean;
  take(request: PartRequest): Promise<PartBench>;
}

export const PARTS = {
  /** Emulates a device; the figures of instructions are exact however warm this process is. */
  mcu: {
    inALook: false,
    take: async () => {
      const { json, table } = await takeMcuFigures();
      return { json: { mcu: json }, table };
    },
  },
  rates: {
    inALook: true,
    take: async ({ crypto, quick }) => {
      const figures = await takeFigures(crypto, quick ? QUICK : FULL);
      return { json: asJson(figures), table: asTable(figures) };
    },
  },
  peer: { inALook: true, take: takePeerFigures },
  memory: { inALook: true, take: takeIdleMemory },
  links: { inALook: false, take: takeLatencies },
  ble: {
    inALook: true,
    take: async () => {
      const { json, latency, table } = await takeBleFigures();
      return { json: { ble: json, latency: { ble: latency } }, table };
    },
  },
  sale: {
    inALook: false,
    take: async () => {
      const { json, table } = await takeSaleFigures();
      return { json: { latency: { mqtt_sale: json } }, table };
    },
  },
} as const satisfies Readonly<Record<string, Part>>;

export type PartName = keyof typeof PARTS;

/** One object of all parts; what several parts give under one key stands side by side. */
export function merged(parts: readonly PartBench[]): Readonly<Record<string, unknown>> {
  const all: Record<string, unknown> = {};
  for (const { json } of parts) {
    for (const [key, value] of Object.entries(json)) {
      const before = all[key];
      all[key] = isObject(before) && isObject(value) ? { ...before, ...value } : value;
    }
  }
  return all;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}
