/** The bench's two faces: a table for people, and one JSON object whose keys later work extends and never renames. */
import { type Figures, perSecond } from "./figures.ts";
import type { CurveOperation } from "./floor.ts";
import type { Measured } from "./measure.ts";
import { BATCHES, BUSY_BATCHES, HTLC_BATCHES } from "./payments.ts";
import type { Rates } from "./rates.ts";

export function asJson(figures: Figures): Readonly<Record<string, unknown>> {
  const { memory, durable, wire } = figures;
  return {
    push: {
      memory: ratesOf(memory),
      durable: ratesOf(durable),
      floor_ratio: rounded(memory.push[1].floorRatio, 3),
      floor_us: rounded(memory.push[1].floorMicros, 1),
      cpu_us: Object.fromEntries(
        BUSY_BATCHES.map((n) => [n, rounded(memory.busy[n].threadMicros / n, 3)]),
      ),
      one_at_a_time_1000: Math.round(perSecond(memory.push[1000], 1000)),
    },
    htlc: {
      memory: Math.round(perSecond(memory.htlc[1], 1)),
      durable: rounded(perSecond(durable.htlc[1], 1), 1),
      floor_ratio: rounded(memory.htlc[1].floorRatio, 3),
      floor_us: rounded(memory.htlc[1].floorMicros, 1),
      batches: { memory: htlcRatesOf(memory), durable: htlcRatesOf(durable) },
    },
    wire: { push_bytes: wire.pushBytes, htlc_bytes: wire.htlcBytes },
    record_bytes: figures.recordBytes,
    flash_bytes_per_payment: figures.flashBytesPerPayment,
    xs: { push_compute: figures.pushCompute },
    memory_bytes: figures.residentBytes,
    crypto: figures.crypto,
  };
}

/** Payments per second; batches of 1000 and more by a payer that always has more. */
function ratesOf({ push, busy }: Rates): Readonly<Record<string, number>> {
  return {
    "1": Math.round(perSecond(push[1], 1)),
    "10": Math.round(perSecond(push[10], 10)),
    "100": Math.round(perSecond(push[100], 100)),
    ...Object.fromEntries(
      BUSY_BATCHES.map((batch) => [batch, Math.round(perSecond(busy[batch], batch))]),
    ),
  };
}

function htlcRatesOf({ htlc }: Rates): Readonly<Record<string, number>> {
  return Object.fromEntries(
    HTLC_BATCHES.map((batch) => [batch, rounded(perSecond(htlc[batch], batch), 1)]),
  );
}

export function asTable(figures: Figures): string {
  const { memory, durable, wire, pushFloor, htlcFloor } = figures;
  const row = (name: string, ...cells: readonly string[]) =>
    `  ${name.padEnd(36)}${cells.map((cell) => cell.padStart(14)).join("")}`;
  const rates = BATCHES.map((batch) =>
    row(
      batch === 1 ? "push, one payment" : `push, batches of ${batch}`,
      grouped(perSecond(memory.push[batch], batch)),
      grouped(perSecond(durable.push[batch], batch)),
      grouped((batch * 1e6) / memory.push[batch].floorMicros),
      ratio(memory.push[batch].floorRatio),
      cpuMicros(memory.push[batch], batch),
    ),
  );
  return [
    `picobolt, two whole nodes in one process, crypto by ${figures.crypto}`,
    "Frames, BOLT 8 encryption and CBOR are included on both sides; medians of several rounds after warming up.",
    "",
    row("payments per second", "in memory", "durable", "crypto floor", "time/floor", "CPU µs each"),
    ...rates,
    ...BUSY_BATCHES.map((batch) =>
      row(
        `push, ${grouped(batch)}s, always more to pay`,
        ...[memory, durable].map(({ busy }) => grouped(perSecond(busy[batch], batch))),
        "",
        "",
        cpuMicros(memory.busy[batch], batch),
      ),
    ),
    ...HTLC_BATCHES.map((batch) =>
      row(
        batch === 1 ? "HTLC, added and fulfilled" : `HTLCs, ${batch} at once`,
        grouped(perSecond(memory.htlc[batch], batch)),
        grouped(perSecond(durable.htlc[batch], batch)),
        ...(batch === 1
          ? [grouped(1e6 / memory.htlc[1].floorMicros), ratio(memory.htlc[1].floorRatio)]
          : ["", ""]),
        cpuMicros(memory.htlc[batch], batch),
      ),
    ),
    "",
    row("bytes on the wire", `push ${wire.pushBytes}`, `HTLC ${wire.htlcBytes}`),
    row("record of an idle channel", `${figures.recordBytes} bytes`),
    row("flash written per push", `${figures.flashBytesPerPayment} bytes`),
    row("XS compute per push, payee", grouped(figures.pushCompute)),
    row("memory of this process", `${Math.round(figures.residentBytes / 1e6)} MB`),
    "",
    "  The floor is what the payment's curve operations take alone, both nodes together:",
    ...floorLines("push", pushFloor, memory.push[1].floorMicros),
    ...floorLines("HTLC", htlcFloor, memory.htlc[1].floorMicros),
    `  durable: SQLite, WAL, synchronous=FULL, every commit flushed. ${Math.round(figures.seconds)} s in all.`,
  ].join("\n");
}

const SHORT: Readonly<Partial<Record<CurveOperation, string>>> = {
  publicKeyOf: "point",
  publicKeyTweakAdd: "point+tweak",
  publicKeyTweakMultiply: "point*tweak",
  publicKeyAdd: "point+point",
};

function floorLines(name: string, floor: Figures["pushFloor"], micros: number): string[] {
  const { counts } = floor;
  const times = Object.entries(floor.timeEach(20));
  const words = times
    .filter(([, time]) => time >= 1)
    .map(([operation, time]) => {
      const label = SHORT[operation as CurveOperation] ?? operation;
      return `${counts[operation]} ${label} (${time.toFixed(0)} µs)`;
    });
  return [`  ${name}: ${words.join(", ")}: ${micros.toFixed(0)} µs`];
}

function grouped(value: number): string {
  return Math.round(value).toLocaleString("en-US");
}

/** Of one payment in memory, both nodes: a busy machine disturbs it less than the clock. */
function cpuMicros({ threadMicros }: Measured, batch: number): string {
  return rounded(threadMicros / batch, 2).toString();
}

function ratio(value: number): string {
  return !Number.isFinite(value) ? "" : `${value.toFixed(2)}x`;
}

function rounded(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}
