/** The way of every call, whatever it came on: limits, macaroon, input, permission, key, work, audit. */
import { performance } from "node:perf_hooks";
import type { PublicKey } from "../../core/primitives/brands.ts";
import type { AuditEntry } from "../auth/audit-log.ts";
import { AuthError } from "../auth/auth-error.ts";
import type { MacaroonAuthority } from "../auth/authority.ts";
import type { Grant } from "../auth/grant.ts";
import { CallLimits } from "../auth/rate-limit.ts";
import type { Voucher } from "../auth/vouching.ts";
import type { Json } from "./event-json.ts";
import type { ForwardedCall, Forwarding } from "./forwarding.ts";
import type { Idempotency, Once } from "./idempotency.ts";
import { type Checked, InputCheck, type Parts } from "./input.ts";
import type { AnyOperation, OperationShape } from "./operation.ts";
import { ApiProblem, problemOf } from "./problem.ts";

export interface Caller {
  readonly macaroon: string | undefined;
  /** Undefined on a local socket. */
  readonly address: string | undefined;
  /** Where another process of this node passed it on, which knows the macaroon. */
  readonly voucher?: Voucher;
  readonly signal: AbortSignal;
}

export interface Request {
  readonly operation: AnyOperation;
  readonly given: { readonly params: unknown } | Parts;
  readonly idempotencyKey: string | undefined;
}

export interface CallsOptions {
  readonly authority: MacaroonAuthority;
  readonly idempotency: Idempotency;
  /** Of one macaroon; an address may have twice as many. */
  readonly callsPerSecond: number;
  /** Where several processes share the channels. */
  readonly forwarding?: Forwarding | undefined;
  /** On the disk when it is fulfilled. */
  record(entry: AuditEntry): Promise<void>;
  /** What was not foreseen: for the log. */
  onFailure(operation: string, cause: unknown): void;
}

/** At once, after a pause: so many seconds' worth. */
const BURST_SECONDS = 5;
const MAX_KEY_LENGTH = 200;

export class Calls {
  private readonly checks = new Map<OperationShape, InputCheck>();
  private readonly limits: CallLimits;

  constructor(private readonly options: CallsOptions) {
    const { callsPerSecond } = options;
    const rate = (perSecond: number) => ({ perSecond, burst: perSecond * BURST_SECONDS });
    this.limits = new CallLimits({
      perMacaroon: rate(callsPerSecond),
      perAddress: rate(callsPerSecond * 2),
      nowMs: () => performance.now(),
    });
  }

  /** What anybody may ask, within limits. @throws TooManyRequests. */
  admit(address: string | undefined): void {
    this.limits.admitAddress(address);
  }

  /** @throws AuthError. */
  grantOf({ macaroon, address, voucher }: Caller): Grant {
    this.limits.admitAddress(address);
    let grant: Grant;
    try {
      grant = this.options.authority.verify(macaroon, address, voucher?.rootKeyName);
    } catch (cause) {
      this.limits.punish(address);
      throw cause;
    }
    this.limits.admitMacaroon(grant.macaroonId);
    return grant;
  }

  /** @throws ApiProblem or AuthError; anything else was told to `onFailure`. */
  async perform(caller: Caller, request: Request): Promise<Json> {
    const grant = this.grantOf(caller);
    const { shape } = request.operation;
    const checked = this.checked(request);
    const { idempotencyKey } = request;
    const input = checked.ok ? checked.input : {};
    const call: ForwardedCall = { caller, grant, shape, input, idempotencyKey };
    const { forwarding } = this.options;
    try {
      const passedOn = checked.ok ? await forwarding?.elsewhere(call) : undefined;
      if (passedOn !== undefined) return passedOn; // what is to be noted is noted there
      const own = await this.permitted(grant, caller, request, checked);
      const answer = forwarding ? await forwarding.completed(call, own) : own;
      await this.audit(grant, caller, shape, checked, "done");
      return answer;
    } catch (cause) {
      const isForeseen = cause instanceof ApiProblem || cause instanceof AuthError;
      if (!isForeseen) this.options.onFailure(shape.name, cause);
      const outcome = problemOf(cause).type.split(":").at(-1) as string;
      await this.audit(grant, caller, shape, checked, outcome);
      throw cause;
    }
  }

  private async permitted(
    grant: Grant,
    { signal }: Caller,
    { operation, idempotencyKey }: Request,
    checked: Checked,
  ): Promise<Json> {
    const { shape } = operation;
    const device = checked.ok ? operation.device?.(checked.input as never) : undefined;
    demandGrant(grant, shape, device);
    if (!checked.ok) throw checked.problem;
    const { input } = checked;
    if (!shape.movesMoney) return (await operation.run(input as never, { grant, signal })) as Json;
    // Whoever asked may go; what was begun is finished, and its answer kept.
    const run = (once: Once) =>
      operation.run(input as never, { grant, once, signal: new AbortController().signal });
    const key = checkedKey(idempotencyKey);
    const request = { name: shape.name, input: input as Json };
    const named = { caller: this.nameOf(grant), key, request };
    return this.options.idempotency.once(named, async (once) => (await run(once)) as Json);
  }

  /** The operator has a macaroon of each process, and asks the next one when one has died: under one name, or it would pay twice. */
  private nameOf(grant: Grant): string {
    return this.options.forwarding && grant.isWholeAdmin ? grant.rootKeyName : grant.macaroonId;
  }

  private checked({ operation: { shape }, given }: Request): Checked {
    let check = this.checks.get(shape);
    if (!check) {
      check = new InputCheck(shape);
      this.checks.set(shape, check);
    }
    return "params" in given ? check.params(given.params) : check.parts(given);
  }

  /** Whoever only looks leaves no line. */
  private async audit(
    grant: Grant,
    { address }: Caller,
    { name, group }: OperationShape,
    checked: Checked,
    outcome: string,
  ): Promise<void> {
    if (group === "read" || group === "invoice") return;
    const input = checked.ok ? checked.input : {};
    const target = targetOf(input);
    const amountMsat = amountOf(input);
    await this.options.record({
      who: `${grant.macaroonId} ${grant.rootKeyName}`,
      from: address ?? "",
      what: name,
      ...(target !== undefined && { target }),
      ...(amountMsat !== undefined && { amountMsat }),
      outcome,
    });
  }
}

/** Of the operation's group, or of one that will do as well. @throws AuthError */
export function demandGrant(
  grant: Grant,
  { name, group, alsoFor = [] }: Pick<OperationShape, "name" | "group" | "alsoFor">,
  device?: PublicKey,
): void {
  const about = device ? { device } : {};
  if (alsoFor.some((one) => grant.mayCall({ name, group: one, ...about }))) return;
  grant.demand({ name, group, ...about });
}

function checkedKey(key: string | undefined): string {
  if (!key) {
    throw new ApiProblem(
      "idempotency-key-missing",
      "send a key of your own, new for each new payment and the same for each retry: the header " +
        "Idempotency-Key, or idempotency_key among the params of JSON-RPC",
    );
  }
  if (key.length > MAX_KEY_LENGTH) {
    throw new ApiProblem("invalid-request", `a key has ${MAX_KEY_LENGTH} characters at most`);
  }
  return key;
}

const TARGETS = ["channel_id", "peer_node_id", "node_id", "payment_hash", "address", "name"];

function targetOf(input: Record<string, unknown>): string | undefined {
  const name = TARGETS.find((one) => typeof input[one] === "string");
  return name && (input[name] as string);
}

function amountOf(input: Record<string, unknown>): number | undefined {
  const { amount_msat: msat } = input;
  if (typeof msat === "number") return msat;
  const sat = input.amount ?? input.amount_sat ?? input.capacity;
  return typeof sat === "number" ? sat * 1000 : undefined;
}
