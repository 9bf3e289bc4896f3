/** What a device's `info` says, as the fleet keeps it; and what its state is called (docs/FLEET.md "States"). */
import type { PlainObject, PlainValue } from "../../core/messages/admin-values.ts";
import type { DeviceStatus, FleetDevice } from "./fleet-types.ts";

/** `expected`: never seen as ours yet. */
export type DeviceState = "expected" | "online" | "asleep" | "offline" | "revoked";
export const DEVICE_STATES: readonly DeviceState[] = [
  "expected",
  "online",
  "asleep",
  "offline",
  "revoked",
];

export interface Sight {
  readonly isConnected: boolean;
  /** What the broker says. */
  readonly presence?: "online" | "offline" | undefined;
  /** Unix seconds. */
  readonly now: number;
  /** A device that is silent for longer is no sleeper. */
  readonly silentSeconds: number;
}

export function stateOf(device: FleetDevice, sight: Sight): DeviceState {
  if (device.revokedAt !== undefined) return "revoked";
  if (sight.isConnected) return "online";
  if (sight.presence === "online") return "asleep";
  if (device.lastSeen === undefined) return "expected";
  return sight.now - device.lastSeen <= sight.silentSeconds ? "asleep" : "offline";
}

/** Of any shape: a device is not trusted to answer well. */
export function statusOf(info: PlainObject, askedAt: number): DeviceStatus {
  const app = objectOf(info.app);
  const offline = objectOf(info.offline);
  const channels = objectOf(info.channels);
  const flash = objectOf(info.flash);
  const prices = objectOf(info.priceList);
  const note = textOf(app.note);
  const declines = textOf(offline.declineReason);
  return {
    askedAt,
    uptimeSeconds: numberOf(info.uptimeSeconds) ?? 0,
    model: textOf(info.model) ?? "",
    firmware: textOf(info.version) ?? "",
    imageNumber: numberOf(info.imageNumber) ?? 0,
    isConfirmed: objectOf(info.update).confirmed !== false,
    resetReason: textOf(info.resetReason) ?? "unknown",
    app: textOf(app.name) ?? "",
    isReady: app.ready === true,
    ...(note !== undefined && { note }),
    faults: faultsOf(app.faults),
    owedMsat: numberOf(app.owedMsat) ?? 0,
    owedPayments: numberOf(app.owedPayments) ?? 0,
    ...named("paymentsLeft", numberOf(flash.paymentsLeft)),
    ...(declines !== undefined && { declines }),
    localMsat: numberOf(channels.localMsat) ?? 0,
    remoteMsat: numberOf(channels.remoteMsat) ?? 0,
    channels: numberOf(channels.count) ?? 0,
    ...named("priceListVersion", numberOf(prices.version)),
    ...named("priceListTotal", numberOf(prices.total)),
  };
}

/** What changed is more than the time: it is worth a write. */
export function isNews(before: DeviceStatus | undefined, after: DeviceStatus): boolean {
  if (!before) return true;
  const { askedAt: _a, uptimeSeconds: _u, paymentsLeft: _p, ...old } = before;
  const { askedAt, uptimeSeconds, paymentsLeft: _q, ...young } = after;
  const hasRestarted = uptimeSeconds < askedAt - before.askedAt;
  return hasRestarted || JSON.stringify(old) !== JSON.stringify(young);
}

const MAX_FAULTS = 16;
const MAX_TEXT = 200;

function faultsOf(value: PlainValue | undefined): DeviceStatus["faults"] {
  if (!Array.isArray(value)) return [];
  return value.slice(0, MAX_FAULTS).map((one: PlainValue) => {
    const { product, what } = objectOf(one);
    return { ...named("product", numberOf(product)), what: textOf(what) ?? "a fault" };
  });
}

function named<N extends string>(name: N, value: number | undefined): { [K in N]?: number } {
  return (value === undefined ? {} : { [name]: value }) as { [K in N]?: number };
}

function objectOf(value: PlainValue | undefined): PlainObject {
  const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
  return isObject && !(value instanceof Uint8Array) ? (value as PlainObject) : {};
}

function numberOf(value: PlainValue | undefined): number | undefined {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0 ? value : undefined;
}

function textOf(value: PlainValue | undefined): string | undefined {
  return typeof value === "string" ? value.slice(0, MAX_TEXT) : undefined;
}
