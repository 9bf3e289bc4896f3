/** How often one caller may ask: a token bucket for each macaroon and each address, in a table of bounded size. */
import { isIP } from "node:net";
import { AuthError } from "./auth-error.ts";
import { plainAddress } from "./caveats.ts";

export interface RateLimit {
  /** In the long run. */
  readonly perSecond: number;
  /** At once, after a pause. */
  readonly burst: number;
}

export interface RateLimiterOptions extends RateLimit {
  /** Of a clock that never goes back. */
  readonly nowMs: () => number;
  /** Callers that are remembered; beyond, who asked longest ago is forgotten. */
  readonly maxCallers?: number;
}

const MAX_CALLERS = 10_000;

/** In thousandths of a token: what a millisecond brings is then a whole number. */
interface Bucket {
  readonly thousandths: number;
  readonly atMs: number;
}

export class RateLimiter {
  /** In the order of their last use. */
  private readonly buckets = new Map<string, Bucket>();
  private readonly maxCallers: number;

  constructor(private readonly options: RateLimiterOptions) {
    this.maxCallers = options.maxCallers ?? MAX_CALLERS;
  }

  get size(): number {
    return this.buckets.size;
  }

  /** Milliseconds to wait; 0 where the call may go on, and only then are its tokens taken. */
  take(caller: string, tokens = 1): number {
    const { perSecond, burst, nowMs } = this.options;
    const now = nowMs();
    const cost = 1000 * tokens;
    const full = 1000 * burst;
    const old = this.buckets.get(caller) ?? { thousandths: full, atMs: now };
    const filled = Math.min(full, old.thousandths + (now - old.atMs) * perSecond);
    const isEnough = filled >= cost;
    this.buckets.delete(caller);
    this.buckets.set(caller, { thousandths: isEnough ? filled - cost : filled, atMs: now });
    if (this.buckets.size > this.maxCallers) {
      this.buckets.delete(this.buckets.keys().next().value as string);
    }
    return isEnough ? 0 : Math.ceil((cost - filled) / perSecond);
  }
}

export interface CallLimitsOptions {
  readonly perMacaroon: RateLimit;
  readonly perAddress: RateLimit;
  readonly nowMs: () => number;
}

/** A call that is refused for its macaroon costs its address so many: guessing is slow. */
const COST_OF_REFUSAL = 10;

/** Asked twice for each call: before its macaroon is looked at, and after. */
export class CallLimits {
  private readonly macaroons: RateLimiter;
  private readonly addresses: RateLimiter;

  constructor({ perMacaroon, perAddress, nowMs }: CallLimitsOptions) {
    this.macaroons = new RateLimiter({ ...perMacaroon, nowMs });
    this.addresses = new RateLimiter({ ...perAddress, nowMs });
  }

  /** @throws TooManyRequests. */
  admitAddress(address: string | undefined): void {
    admit(this.addresses.take(callerAt(address)));
  }

  /** @throws TooManyRequests. */
  admitMacaroon(macaroonId: string): void {
    admit(this.macaroons.take(macaroonId));
  }

  /** A macaroon was wrong. */
  punish(address: string | undefined): void {
    this.addresses.take(callerAt(address), COST_OF_REFUSAL - 1);
  }
}

export class TooManyRequests extends AuthError {
  constructor(readonly retryAfterMs: number) {
    const seconds = Math.ceil(retryAfterMs / 1000);
    super("too-many-requests", `too many calls: try again in ${seconds} s.`);
  }
}

/** A household or a host has all of an IPv6 /64, so it counts as one caller. */
export function callerAt(address: string | undefined): string {
  if (address === undefined) return "local";
  const plain = plainAddress(address);
  if (isIP(plain) !== 6) return plain;
  const [left = "", right = ""] = plain.toLowerCase().split("::");
  const head = left.split(":").filter(Boolean);
  const tail = right.split(":").filter(Boolean);
  const zeros = plain.includes("::") ? Math.max(0, 8 - head.length - tail.length) : 0;
  const words = [...head, ...new Array<string>(zeros).fill("0"), ...tail];
  const network = words.slice(0, 4).map((word) => Number.parseInt(word, 16).toString(16));
  return `${network.join(":")}::/64`;
}

function admit(waitMs: number): void {
  if (waitMs > 0) throw new TooManyRequests(waitMs);
}
