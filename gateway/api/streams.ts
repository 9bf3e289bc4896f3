/** Changes as they happen, to whoever follows over HTTP: with what was missed first, and never kept without bound for a slow reader. */
import { randomBytes } from "node:crypto";
import type { Grant } from "../auth/grant.ts";
import type { EventHub, NumberedEvent } from "../run/event-hub.ts";
import { demandGrant } from "./calls.ts";
import { ApiProblem } from "./problem.ts";
import type { ProcessEvents } from "./process-events.ts";

/** Where the events of one follower go. */
export interface Outlet {
  send(event: StreamEvent): void;
  /** Shows that the line is alive. */
  beat(): void;
  /** Bytes that were sent and not yet taken. */
  waitingBytes(): number;
  /** `reason` is for the follower. */
  end(reason: string): void;
  /** Without another word: it would not be read. */
  cut(): void;
}

export interface StreamEvent {
  /** For `last_event_id`; of one run of the gateway. */
  readonly id: string;
  readonly at: string;
  readonly event: { readonly type: string };
}

type Follower = Pick<Grant, "macaroonId" | "staleness">;

/** Another process of this gateway, which is told what happens in this one alone. */
export const PROCESS: Follower = { macaroonId: "", staleness: () => undefined };
export const WATCH_EVENTS = { name: "watchEvents", group: "read" } as const;
export const MAX_FOLLOWERS = 256;
/** Of one macaroon and all that are attenuated from it. */
const MAX_OF_ONE = 32;
const MAX_WAITING_BYTES = 1 << 20;
const BEAT_MS = 15_000;

export class Streams {
  /** Numbers begin anew with each start: what an old one means is not known. */
  private readonly run = randomBytes(4).toString("hex");
  private readonly followers = new Map<Outlet, { readonly grant: Follower; end(): void }>();
  private readonly timer = setInterval(() => this.beat(), BEAT_MS);

  /** `processes`: where this is one of several. */
  constructor(
    private readonly own: EventHub,
    private readonly processes?: ProcessEvents,
  ) {
    this.timer.unref();
  }

  get count(): number {
    return this.grants.length;
  }

  /** Of those that follow, other processes aside. */
  private get grants(): readonly Follower[] {
    const all = [...this.followers.values()].map(({ grant }) => grant);
    return all.filter((grant) => grant !== PROCESS);
  }

  /** Other processes are heard, as far as they answer. @throws AuthError where the grant does not allow it. */
  async ready(grant: Grant): Promise<void> {
    demandGrant(grant, WATCH_EVENTS);
    await this.processes?.wanted();
  }

  /** @throws AuthError or ApiProblem where the grant or the number of followers does not allow it. */
  admit(grant: Grant): void {
    demandGrant(grant, WATCH_EVENTS);
    const { macaroonId } = grant;
    const { grants } = this;
    const ofOne = grants.filter((one) => one.macaroonId === macaroonId);
    if (grants.length < MAX_FOLLOWERS && ofOne.length < MAX_OF_ONE) return;
    throw new ApiProblem("too-many-requests", "too many follow the events already: end some");
  }

  /** Returns the way out, to be called when the follower has gone. */
  follow(grant: Follower, outlet: Outlet, lastEventId: string | undefined): () => void {
    const hub = grant === PROCESS || !this.processes ? this.own : this.processes.all;
    for (const event of this.missed(hub, lastEventId)) outlet.send(event);
    const leave = hub.follow((event) => this.pass(grant, outlet, this.told(event)));
    const end = () => {
      leave();
      this.followers.delete(outlet);
    };
    this.followers.set(outlet, { grant, end });
    return end;
  }

  close(): void {
    clearInterval(this.timer);
    this.processes?.close();
    for (const [outlet, { end }] of [...this.followers]) {
      end();
      outlet.end("the gateway is stopping");
    }
  }

  private pass(grant: Follower, outlet: Outlet, event: StreamEvent | undefined): void {
    const stale = grant.staleness();
    if (stale) {
      this.followers.get(outlet)?.end();
      outlet.end(stale.message);
      return;
    }
    if (outlet.waitingBytes() > MAX_WAITING_BYTES) {
      this.followers.get(outlet)?.end();
      outlet.cut();
      return;
    }
    if (event) outlet.send(event);
    else outlet.beat();
  }

  private beat(): void {
    if (this.count > 0) void this.processes?.wanted();
    for (const [outlet, { grant }] of [...this.followers]) this.pass(grant, outlet, undefined);
  }

  private told({ id, at, event }: NumberedEvent): StreamEvent {
    return { id: `${this.run}-${id}`, at, event };
  }

  /** What is kept since; where that is not all, the first event says so. */
  private missed(hub: EventHub, lastEventId: string | undefined): readonly StreamEvent[] {
    if (lastEventId === undefined || lastEventId === "") return [];
    const [run, number] = lastEventId.split("-");
    const last = run === this.run && /^\d{1,15}$/.test(number ?? "") ? Number(number) : -1;
    const kept = hub.since(Math.max(0, last));
    const first = kept[0];
    const isWhole = last >= 0 && (first === undefined || first.id === last + 1);
    const at = new Date().toISOString();
    const gap = { id: `${this.run}-${Math.max(0, last)}`, at, event: { type: "missed" } };
    return [...(isWhole ? [] : [gap]), ...kept.map((one) => this.told(one))];
  }
}
