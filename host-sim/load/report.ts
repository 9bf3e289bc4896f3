/** The figures of a run, for people and for programs. */
import type { Audit } from "./audit.ts";
import type { LoadFigures } from "./load.ts";
import type { TwoFigures } from "./two-processes.ts";

const MB = 1_000_000;

/** Where a part was not run, its figures are null. */
export function jsonOf(one: LoadFigures | undefined, two: TwoFigures | undefined) {
  const sum = (of: (audit: Audit) => number) =>
    [one?.audit, two?.audit].reduce((all, audit) => all + (audit ? of(audit) : 0), 0);
  return {
    devices: one?.devices ?? two?.devices ?? null,
    payments_per_s: round(one?.paymentsPerSecond ?? two?.paymentsPerSecond),
    p99_ms: round(one?.p99Ms),
    rss_bytes: one?.rssBytes ?? null,
    bytes_per_idle_device: one?.bytesPerIdleDevice ?? null,
    lost: sum(({ lost }) => lost),
    doubled: sum(({ doubled }) => doubled),
    // Where the killed process served nobody, nothing was taken over.
    takeover_ms: two && two.takenOver > 0 ? round(two.takeoverMs) : null,
    leases_taken_ms: two && two.takenOver > 0 ? round(two.leasesMs) : null,
    failed_around_takeover: two?.failed ?? null,
    empty_rss_bytes: one?.emptyRssBytes ?? null,
    idle_rss_bytes: one?.idleRssBytes ?? null,
    bytes_per_stored_channel: one?.audit.bytesPerChannel ?? null,
    payments: sum(({ succeeded }) => succeeded),
    failed: sum(({ failed }) => failed),
    disagreeing_channels: sum(({ disagreeing }) => disagreeing),
    median_ms: round(one?.medianMs),
    worst_ms: round(one?.worstMs),
    restart_ms: round(one?.startMs),
    reconnect_ms: round(one?.reconnectMs),
    idle_cpu_percent: round(one?.idleCpuPercent),
    load_cpu_percent: round(one?.loadCpuPercent),
    devices_taken_over: two?.takenOver ?? null,
    problems: [one, two].flatMap((part) => (part ? [...part.audit.problems, ...part.alarms] : [])),
  };
}

type Rows = readonly (readonly [string, string])[];

export function tableOf(one: LoadFigures | undefined, two: TwoFigures | undefined): string {
  const parts = [one && oneRows(one), two && twoRows(two)].flatMap((rows) => (rows ? [rows] : []));
  const lines = parts.map((rows) =>
    rows.map(([name, value]) => `${name.padEnd(38)}${value}\n`).join(""),
  );
  const problems = jsonOf(one, two).problems.map((text) => `! ${text}\n`);
  return `${lines.join("\n")}${problems.join("")}`;
}

function oneRows(figures: LoadFigures): Rows {
  const megabytes = (bytes: number) => `${(bytes / MB).toFixed(0)} MB RSS`;
  return [
    ["one process, SQLite; devices", String(figures.devices)],
    ["payments per second", figures.paymentsPerSecond.toFixed(1)],
    ["median, p99, worst", times([figures.medianMs, figures.p99Ms, figures.worstMs])],
    ...auditRows(figures.audit),
    ["gateway's memory, empty", megabytes(figures.emptyRssBytes)],
    ["gateway's memory, everybody idle", megabytes(figures.idleRssBytes)],
    ["gateway's memory, after the load", megabytes(figures.rssBytes)],
    ["for each connected idle device", `${figures.bytesPerIdleDevice} bytes`],
    ["stored for each channel", `${figures.audit.bytesPerChannel} bytes`],
    ["gateway restarts in", times([figures.startMs])],
    ["and every device is back after", times([figures.reconnectMs])],
    ["funding blocks, to the last channel", times([figures.blockMs])],
    ["processor, idle and paying", cpu([figures.idleCpuPercent, figures.loadCpuPercent])],
  ];
}

function twoRows(figures: TwoFigures): Rows {
  const { before, meanwhile, after } = figures.failed;
  return [
    ["two processes, PostgreSQL; devices", String(figures.devices)],
    ["payments per second", figures.paymentsPerSecond.toFixed(1)],
    ...auditRows(figures.audit),
    ["failed before, during, after takeover", `${before}, ${meanwhile}, ${after}`],
    ["one killed: its leases are taken after", times([figures.leasesMs])],
    ["and all devices pay again after", times([figures.takeoverMs])],
    ["devices that had to come back", String(figures.takenOver)],
  ];
}

function auditRows(audit: Audit): Rows {
  return [
    ["payments", `${audit.succeeded}, ${audit.failed} failed cleanly`],
    ["lost, doubled", `${audit.lost}, ${audit.doubled}`],
    ["channels whose sides disagree", String(audit.disagreeing)],
  ];
}

function times(all: readonly number[]): string {
  return `${all.map((ms) => Math.round(ms)).join(", ")} ms`;
}

function cpu(percents: readonly number[]): string {
  return `${percents.map((percent) => percent.toFixed(0)).join(", ")} % of a core`;
}

function round(value: number | undefined): number | null {
  return value === undefined ? null : Math.round(value * 10) / 10;
}
