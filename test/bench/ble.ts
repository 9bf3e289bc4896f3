/** What a push costs on BLE at MTU 247: round trips, packets, bytes and time, over BlueZ's virtual controller. */
import { BleRadioLab, type Passed } from "../support/ble-radio.ts";
import { type Latency, percentiles } from "./latency.ts";

export interface BleFigures {
  /** Of the connection, after negotiation. */
  readonly mtu: number;
  /** A push with its receipt, after connect and handshake: there and back again, so often. */
  readonly roundTrips: number;
  /** Writes and notifications for it. */
  readonly packets: number;
  readonly bytes: number;
  /** From the command to the receipt. */
  readonly latency: Latency;
  /** From the search for the machine until both nodes have a session. */
  readonly connectMs: number;
}

const PUSHES = 100;
const ATT_HEADER_BYTES = 3;

export async function measureBle(): Promise<BleFigures> {
  const begin = performance.now();
  const lab = await BleRadioLab.start();
  try {
    await lab.resumed();
    const connectMs = performance.now() - begin;
    // The first one after a handshake also confirms it.
    await lab.pay(1_000);
    const times: number[] = [];
    let worst = { roundTrips: 0, packets: 0, bytes: 0 };
    for (let i = 0; i < PUSHES; i++) {
      lab.passed.length = 0;
      const start = performance.now();
      await lab.pay(1_000);
      times.push(performance.now() - start);
      const cost = costOf(lab.passed);
      if (cost.roundTrips > worst.roundTrips || cost.bytes > worst.bytes) worst = cost;
    }
    const mtu = Math.min(...lab.maxWrites) + ATT_HEADER_BYTES;
    return { mtu, ...worst, latency: percentiles(times), connectMs };
  } finally {
    await lab.stop();
  }
}

/** A round trip is a turn there and the answer to it; several packets in one direction are one turn. */
function costOf(passed: readonly Passed[]) {
  const turns = passed.filter(({ direction }, i) => direction !== passed[i - 1]?.direction);
  const bytes = passed.reduce((sum, one) => sum + one.bytes, 0);
  return { roundTrips: Math.ceil(turns.length / 2), packets: passed.length, bytes };
}
