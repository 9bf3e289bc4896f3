/** What the bearer of a verified macaroon may do, for as long as a call or a connection lasts. */
import type { MilliSatoshi } from "../../core/primitives/brands.ts";
import { toHex } from "../../core/primitives/bytes.ts";
import { AuthError } from "./auth-error.ts";
import { type Caveat, isListed } from "./caveats.ts";
import type { Operation } from "./operations.ts";
import type { SpendingCounters, SpendingLimit } from "./spending.ts";

export interface GrantOptions {
  /** Names it in logs and limits; no secret. */
  readonly macaroonId: string;
  readonly rootKeyName: string;
  readonly caveats: readonly Caveat[];
  /** One for each caveat of an amount per day. */
  readonly limits: readonly SpendingLimit[];
  /** Where the call comes from; undefined for a local socket. */
  readonly address: string | undefined;
  readonly spending: SpendingCounters;
  readonly nowMs: () => number;
  readonly isRevoked: () => boolean;
}

/** An amount that counts against today's limits. */
export interface Spent {
  /** The payment failed for good; a second call does nothing. */
  giveBack(): Promise<void>;
}

const DAY_MS = 86_400_000;
/** Of the first macaroon, and whatever is baked under that name. */
const ADMIN = "admin";

export class Grant {
  readonly macaroonId: string;
  readonly rootKeyName: string;

  constructor(private readonly options: GrantOptions) {
    this.macaroonId = options.macaroonId;
    this.rootKeyName = options.rootKeyName;
  }

  /** The operator's own: nothing was taken from it. */
  get isWholeAdmin(): boolean {
    return this.rootKeyName === ADMIN && this.options.caveats.length === 0;
  }

  /** The only devices that it may touch, by node id; undefined where there is no such limit. */
  get devices(): readonly string[] | undefined {
    const lists = this.options.caveats.flatMap((one) =>
      one.type === "device" ? [one.nodeIds] : [],
    );
    if (lists.length === 0) return undefined;
    return lists.reduce((kept, list) => kept.filter((id) => list.includes(id)));
  }

  /** It may send so much in a day, and no more. */
  get isLimited(): boolean {
    return this.options.limits.length > 0;
  }

  mayCall(operation: Operation): boolean {
    return this.refusal(operation) === undefined;
  }

  /** @throws AuthError which says why not. */
  demand(operation: Operation): void {
    const refusal = this.refusal(operation);
    if (refusal) throw refusal;
  }

  /** Revoked, expired or elsewhere since; asked again for each event of a connection that stays open. */
  staleness(): AuthError | undefined {
    const { options } = this;
    if (options.isRevoked())
      return new AuthError("revoked", "the macaroon was revoked: ask for another one.");
    for (const caveat of options.caveats) {
      if (caveat.type === "time-before" && options.nowMs() >= caveat.timeMs) {
        const expiry = new Date(caveat.timeMs).toISOString();
        return new AuthError("expired", `the macaroon expired at ${expiry}: ask for another one.`);
      }
      const isElsewhere =
        caveat.type === "ip" &&
        (options.address === undefined || !isListed(caveat.addresses, options.address));
      if (isElsewhere) {
        const where = options.address ?? "a local socket";
        return new AuthError("wrong-address", `the macaroon is not for calls from ${where}.`);
      }
    }
    return undefined;
  }

  /**
   * Counts the amount, before the payment leaves and once for each payment (not for each retry of it).
   * @throws AuthError "over-limit", and nothing is counted.
   */
  async spend(amountMsat: MilliSatoshi): Promise<Spent> {
    const { limits, spending, nowMs } = this.options;
    if (limits.length === 0) return { giveBack: async () => {} };
    const day = Math.floor(nowMs() / DAY_MS);
    if (!(await spending.add(day, limits, amountMsat))) {
      const smallest = Math.min(...limits.map(({ limitMsat }) => limitMsat));
      const message = `${amountMsat} msat more would exceed what the macaroon may send today (${smallest} msat); the day ends at midnight UTC.`;
      throw new AuthError("over-limit", message);
    }
    let isGivenBack = false;
    return {
      giveBack: async () => {
        if (isGivenBack) return;
        isGivenBack = true;
        await spending.giveBack(day, limits, amountMsat);
      },
    };
  }

  private refusal(operation: Operation): AuthError | undefined {
    const stale = this.staleness();
    if (stale) return stale;
    const { name, group, device } = operation;
    for (const caveat of this.options.caveats) {
      if (
        caveat.type === "method" &&
        !caveat.names.includes(name) &&
        !caveat.names.includes(group)
      ) {
        const message = `the macaroon does not permit ${name} (${group}): it permits ${caveat.names.join(", ")}.`;
        return new AuthError("not-permitted", message);
      }
      if (caveat.type === "device" && !(device && caveat.nodeIds.includes(toHex(device)))) {
        const message = `the macaroon permits ${name} for ${caveat.nodeIds.join(", ")} alone.`;
        return new AuthError("wrong-device", message);
      }
    }
    return undefined;
  }
}
