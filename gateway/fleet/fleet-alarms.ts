/** What a person must know of a device: raised once when it begins, and cleared when it is over (docs/FLEET.md "Alarms"). */
import type { Alarm, AlarmBoard } from "../operations/alarm-board.ts";
import type { FleetDevice } from "./fleet-types.ts";

export const FLEET_ALARM_NAMES = [
  "device-fault",
  "device-refunds",
  "device-declines",
  "device-liquidity",
  "device-flash",
  "device-silent",
  "device-not-ours",
] as const;
export type FleetAlarmName = (typeof FLEET_ALARM_NAMES)[number];

export interface FleetAlarm extends Alarm {
  readonly name: FleetAlarmName;
  readonly nodeId: string;
}

export interface FleetLimits {
  readonly silentSeconds: number;
  /** Of what its channels hold: less can be received (or sent, by a device that buys). */
  readonly liquidityPercent: number;
  /** Fewer than that are left to the flash. */
  readonly flashPayments: number;
}

/** An app that pays, and is not paid. */
const BUYERS: readonly string[] = ["payer"];

export class FleetAlarms {
  constructor(
    private readonly limits: FleetLimits,
    private readonly board: AlarmBoard,
  ) {}

  of(nodeId: string): readonly Alarm[] {
    return this.board.of(nodeId);
  }

  look(device: FleetDevice, now: number, isConnected: boolean): void {
    const found = alarmsOf(device, this.limits, { now, isConnected });
    this.board.settle(device.nodeId, FLEET_ALARM_NAMES, found);
  }
}

/** At most one of each name. */
export function alarmsOf(
  device: FleetDevice,
  limits: FleetLimits,
  { now, isConnected }: { readonly now: number; readonly isConnected: boolean },
): readonly FleetAlarm[] {
  const { nodeId, name, status, revokedAt, refusal, lastSeen } = device;
  if (revokedAt !== undefined) return [];
  const alarms: FleetAlarm[] = [];
  const raise = (which: FleetAlarmName, text: string) =>
    alarms.push({ name: which, nodeId, text: `${name} (${nodeId.slice(0, 16)}) ${text}` });
  if (refusal === "not-owner") {
    raise("device-not-ours", "has another owner: reset it by its button, and claim it again");
  }
  if (!isConnected && lastSeen !== undefined && now - lastSeen > limits.silentSeconds) {
    const hours = Math.floor((now - lastSeen) / 3_600);
    raise("device-silent", `was not heard of for ${hours} hours: look at its power and network`);
  }
  if (!status) return alarms;
  const { faults, owedMsat, owedPayments, declines, paymentsLeft } = status;
  const whats = faults.map(({ product, what }) =>
    product === undefined ? what : `product ${product}: ${what}`,
  );
  if (whats.length > 0) {
    raise(
      "device-fault",
      `is out of order (${whats.join("; ")}): look at it, then clear the fault`,
    );
  }
  if (owedMsat > 0) {
    raise("device-refunds", `owes ${owedMsat} msat to ${owedPayments} payments: see its log`);
  }
  if (declines !== undefined) raise("device-declines", `takes no payments: ${declines}`);
  const left = liquidityOf(status);
  if (left !== undefined && left < limits.liquidityPercent) {
    const what = BUYERS.includes(status.app) ? "can pay" : "can be paid";
    raise("device-liquidity", `${what} no more than ${Math.floor(left)} % of its channels`);
  }
  if (paymentsLeft !== undefined && paymentsLeft < limits.flashPayments) {
    raise("device-flash", `has flash for ${paymentsLeft} payments more: replace the board`);
  }
  return alarms;
}

/** In percent; undefined without channels. */
function liquidityOf(status: NonNullable<FleetDevice["status"]>): number | undefined {
  const { localMsat, remoteMsat, channels, app } = status;
  const sum = localMsat + remoteMsat;
  if (channels === 0 || sum === 0) return undefined;
  return (100 * (BUYERS.includes(app) ? localMsat : remoteMsat)) / sum;
}
