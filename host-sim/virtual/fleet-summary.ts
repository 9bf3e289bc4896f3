/** The books of a virtual fleet: what buyers paid, machines earned and motors dropped, as a table, and whether it all agrees. */

/** One machine, each figure counted by whoever saw it: buyers, the machine's channels, the mechanics. */
export interface MachineBooks {
  readonly name: string;
  /** As the buyers saw them end. */
  readonly purchases: number;
  /** So many were to be made, where that is known. */
  readonly wanted?: number;
  readonly delivered: number;
  readonly refunded: number;
  /** What left the buyers' hands, and what came back to them. */
  readonly paidMsat: number;
  readonly refundedMsat: number;
  /** Of purchases that were not delivered, or not to their end: what a machine owes at the end. */
  readonly owedMsat?: number;
  /** What the machine's channels hold. */
  readonly earnedMsat: number;
  /** What fell, by the mechanics; absent where nothing falls (a meter). */
  readonly fallen?: number;
}

export interface FleetResult {
  readonly result: "ok" | "failed";
  readonly devices: number;
  readonly purchases: number;
  readonly delivered: number;
  readonly refunded: number;
  readonly unaccounted_msat: number;
  readonly seconds: number;
}

/** What does not agree, in words; empty: everything does. */
export function problemsOf(books: readonly MachineBooks[]): readonly string[] {
  return books.flatMap((one) => {
    const { name, purchases, delivered, refunded, fallen } = one;
    const problems: string[] = [];
    const { wanted = purchases, owedMsat = 0 } = one;
    if (purchases !== wanted) problems.push(`${name}: ${purchases} of ${wanted} purchases made`);
    const missing = missingMsat(one);
    if (owedMsat !== 0) problems.push(`${name}: ${owedMsat} msat of refunds did not come back`);
    if (missing !== 0) problems.push(`${name}: ${missing} msat unaccounted`);
    if (purchases !== delivered + refunded) {
      problems.push(`${name}: ${purchases - delivered - refunded} purchase(s) without an end`);
    }
    if (fallen !== undefined && fallen !== delivered) {
      problems.push(`${name}: ${delivered} delivered, but ${fallen} fell`);
    }
    return problems;
  });
}

export function fleetResult(books: readonly MachineBooks[], seconds: number): FleetResult {
  const total = (of: (one: MachineBooks) => number) => books.reduce((sum, one) => sum + of(one), 0);
  return {
    result: problemsOf(books).length === 0 ? "ok" : "failed",
    devices: books.length,
    purchases: total(({ purchases }) => purchases),
    delivered: total(({ delivered }) => delivered),
    refunded: total(({ refunded }) => refunded),
    // Without the sign: what one machine lacks does not make good what another has too much.
    unaccounted_msat: total((one) => Math.abs(missingMsat(one))),
    seconds,
  };
}

export function fleetTable(books: readonly MachineBooks[]): string {
  const head = ["machine", "purchases", "delivered", "refunded", "paid", "back", "earned", "fell"];
  const rows = [...books, totalOf(books)].map((one) => [
    one.name,
    ...[one.purchases, one.delivered, one.refunded].map(String),
    ...[one.paidMsat, one.refundedMsat, one.earnedMsat].map((msat) => `${msat / 1000} sat`),
    one.fallen === undefined ? "-" : String(one.fallen),
  ]);
  const all = [head, ...rows];
  const widths = head.map((_, i) => Math.max(...all.map((row) => row[i]?.length ?? 0)));
  const line = (row: readonly string[]) =>
    row
      .map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0)))
      .join("  ")
      .trimEnd();
  return all.map(line).join("\n");
}

function missingMsat({ paidMsat, refundedMsat, earnedMsat }: MachineBooks): number {
  return paidMsat - refundedMsat - earnedMsat;
}

function totalOf(books: readonly MachineBooks[]): MachineBooks {
  const total = (of: (one: MachineBooks) => number) => books.reduce((sum, one) => sum + of(one), 0);
  return {
    name: "all",
    purchases: total((one) => one.purchases),
    delivered: total((one) => one.delivered),
    refunded: total((one) => one.refunded),
    paidMsat: total((one) => one.paidMsat),
    refundedMsat: total((one) => one.refundedMsat),
    earnedMsat: total((one) => one.earnedMsat),
    ...(books.some(({ fallen }) => fallen !== undefined) && {
      fallen: total(({ fallen }) => fallen ?? 0),
    }),
  };
}
