/**
 * First-party caveats: what narrows a macaroon. One that is not in this list, or not written as here, is refused.
 *
 * | caveat | the call |
 * |---|---|
 * | `method = a,b` | is one of these operations, or of these groups (operations.ts) |
 * | `device = <node id>` | is about this device; several by commas |
 * | `time-before <RFC 3339>` | comes before |
 * | `amount-per-day <= <msat>` | with all others under this caveat sends no more in a day of UTC |
 * | `ip = 10.0.0.0/8,::1` | comes from one of these addresses |
 */
import { BlockList, isIP } from "node:net";
import { type MilliSatoshi, milliSatoshi } from "../../core/primitives/brands.ts";
import { AuthError } from "./auth-error.ts";
import { isOperationName } from "./operations.ts";

export type Caveat =
  | { readonly type: "method"; readonly names: readonly string[] }
  | { readonly type: "device"; readonly nodeIds: readonly string[] }
  | { readonly type: "time-before"; readonly timeMs: number }
  | { readonly type: "amount-per-day"; readonly limitMsat: MilliSatoshi }
  | { readonly type: "ip"; readonly addresses: BlockList };

const MAX_LIST = 32;

/** @throws AuthError "unknown-caveat". */
export function parseCaveat(caveat: string): Caveat {
  const parsed =
    listed(caveat, "method = ", methodOf) ??
    listed(caveat, "device = ", deviceOf) ??
    listed(caveat, "ip = ", addressesOf) ??
    timeBefore(caveat) ??
    amountPerDay(caveat);
  if (parsed) return parsed;
  const shown = JSON.stringify(caveat.length > 80 ? `${caveat.slice(0, 80)}…` : caveat);
  throw new AuthError("unknown-caveat", `the caveat ${shown} is not known here: it is refused.`);
}

/** An IPv4 address that came in on an IPv6 socket is that IPv4 address. */
export function plainAddress(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1] ?? address;
  return mapped.replace(/%.*$/, "");
}

export function isListed(addresses: BlockList, address: string): boolean {
  const plain = plainAddress(address);
  const family = isIP(plain);
  return family !== 0 && addresses.check(plain, family === 4 ? "ipv4" : "ipv6");
}

function listed(
  caveat: string,
  start: string,
  make: (items: readonly string[]) => Caveat | undefined,
): Caveat | undefined {
  if (!caveat.startsWith(start)) return undefined;
  const items = caveat.slice(start.length).split(",");
  return items.length <= MAX_LIST ? make(items) : undefined;
}

function methodOf(names: readonly string[]): Caveat | undefined {
  return names.every(isOperationName) ? { type: "method", names } : undefined;
}

function deviceOf(nodeIds: readonly string[]): Caveat | undefined {
  const areNodes = nodeIds.every((id) => /^0[23][0-9a-f]{64}$/.test(id));
  return areNodes ? { type: "device", nodeIds } : undefined;
}

function addressesOf(items: readonly string[]): Caveat | undefined {
  const addresses = new BlockList();
  for (const item of items) {
    const [, address = "", bits] = /^([0-9a-fA-F.:]+)(?:\/(\d{1,3}))?$/.exec(item) ?? [];
    const family = isIP(address);
    const widest = family === 4 ? 32 : 128;
    if (family === 0 || Number(bits ?? widest) > widest) return undefined;
    const type = family === 4 ? "ipv4" : "ipv6";
    addresses.addSubnet(address, Number(bits ?? widest), type);
  }
  return { type: "ip", addresses };
}

/** RFC 3339, section 5.6; leap seconds are not taken. */
function timeBefore(caveat: string): Caveat | undefined {
  const match =
    /^time-before ((\d{4})-(\d\d)-(\d\d)T\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d))$/.exec(
      caveat,
    );
  if (!match) return undefined;
  const [, time, year, month, day] = match as unknown as [string, string, string, string, string];
  // JavaScript takes 30 February for 2 March.
  const date = new Date(Date.UTC(Number(year), Number(month) - 1, Number(day)));
  if (date.getUTCMonth() !== Number(month) - 1) return undefined;
  const timeMs = Date.parse(time);
  return Number.isNaN(timeMs) ? undefined : { type: "time-before", timeMs };
}

function amountPerDay(caveat: string): Caveat | undefined {
  const digits = /^amount-per-day <= (0|[1-9]\d{0,15})$/.exec(caveat)?.[1];
  if (digits === undefined || !Number.isSafeInteger(Number(digits))) return undefined;
  return { type: "amount-per-day", limitMsat: milliSatoshi(Number(digits)) };
}
