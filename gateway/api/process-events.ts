/** Events of all processes of one gateway, for whoever follows at this one: it follows the others as long as somebody follows it. */
import type { ClientRequest, IncomingMessage } from "node:http";
import { VOUCHER_HEADER, type Vouching } from "../auth/vouching.ts";
import { EventHub, type GatewayEvent } from "../run/event-hub.ts";
import type { ProcessPlace, ProcessPlaces } from "../workers/process-places.ts";
import { askProcess } from "./forwarding.ts";

export interface ProcessEventsOptions {
  readonly own: EventHub;
  readonly places: Pick<ProcessPlaces, "name" | "others">;
  readonly vouching: Vouching;
}

/** What a process is vouched for when it follows. */
export const FOLLOWING = { macaroon: "", body: "GET /api/events" } as const;
/** Every process tells these itself, of the same thing. */
const TOLD_BY_ALL: readonly string[] = ["block", "presence", "discovered"];
/** Whoever comes back within that time finds what it missed. */
const LINGER_MS = 5 * 60_000;
const LOOK_EVERY_MS = 1_000;
/** Others are waited for no longer before a follower hears the first events. */
const BEGIN_MS = 3_000;
/** A process beats every 15 s (streams.ts). */
const SILENT_MS = 45_000;
const MAX_EVENT_CHARACTERS = 1 << 20;
/** Of a process that came while others were followed: all that it kept since its start. */
const FROM_START = "0-0";

export class ProcessEvents {
  /** Of all processes, each with its name; numbered here. */
  readonly all = new EventHub();
  private readonly followed = new Map<string, ProcessFollower>();
  private readonly leave: () => void;
  private timer: NodeJS.Timeout | undefined;
  private looking: Promise<void> | undefined;
  private wantedUntilMs = 0;
  /** Whoever follows here hears events by now. */
  private hasBegun = false;

  constructor(private readonly options: ProcessEventsOptions) {
    const { own, places } = options;
    this.leave = own.follow(({ event }) => this.all.emit({ ...event, process: places.name }));
  }

  /** Somebody follows, or is about to: when it resolves the others are heard, as far as they answer. */
  async wanted(): Promise<void> {
    this.wantedUntilMs = performance.now() + LINGER_MS;
    if (this.timer) return this.looking;
    this.hasBegun = false;
    this.timer = setInterval(() => void this.look(false), LOOK_EVERY_MS).unref();
    this.looking = this.look(true);
    // What happened since others were followed last is not known here.
    if (this.all.since(0).length > 0) this.all.emit({ type: "missed" });
    await this.looking;
  }

  close(): void {
    this.leave();
    this.rest();
  }

  private rest(): void {
    clearInterval(this.timer);
    this.timer = undefined;
    for (const one of this.followed.values()) one.end();
    this.followed.clear();
  }

  private async look(isFirst: boolean): Promise<void> {
    if (performance.now() > this.wantedUntilMs) {
      this.rest();
      return;
    }
    const { places, vouching } = this.options;
    let others: readonly ProcessPlace[];
    try {
      others = await places.others();
    } catch {
      return; // the database comes back, or this process ends
    }
    if (!this.timer) return; // ended meanwhile
    // One that is not among them is left alone: it may be back, and then goes on where its stream broke.
    const begun: Promise<void>[] = [];
    for (const place of others) {
      const known = this.followed.get(place.name);
      const one = known ?? new ProcessFollower(vouching, isFirst ? undefined : FROM_START);
      one.heard = (event) => this.heard(place.name, event);
      one.begins = () => {
        if (this.hasBegun) this.heard(place.name, { type: "missed" });
      };
      this.followed.set(place.name, one);
      begun.push(one.follow(place));
    }
    if (!isFirst) return;
    await within(BEGIN_MS, Promise.all(begun));
    this.hasBegun = true;
  }

  private heard(process: string, event: GatewayEvent): void {
    if (!TOLD_BY_ALL.includes(event.type)) this.all.emit({ ...event, process });
  }
}

/** Another process's stream: taken up where it broke. */
class ProcessFollower {
  heard: (event: GatewayEvent) => void = () => {};
  /** From now on, and not from where it left off. */
  begins: () => void = () => {};
  private request: ClientRequest | undefined;
  private isEnded = false;
  private isFresh = true;

  constructor(
    private readonly vouching: Vouching,
    private lastId: string | undefined,
  ) {}

  /** Where it is not followed yet, or no longer; resolves when it is, or cannot be now. */
  follow(place: ProcessPlace): Promise<void> {
    if (this.request || this.isEnded || place.url === undefined) return Promise.resolve();
    return new Promise((done) => {
      const headers = {
        [VOUCHER_HEADER]: this.vouching.vouch({ rootKeyName: "processes" }, FOLLOWING),
        ...(this.lastId !== undefined && { "last-event-id": this.lastId }),
      };
      const request = askProcess(place, "/api/events", { method: "GET", headers }, (answer) => {
        if (answer.statusCode === 200) {
          if (this.lastId === undefined) this.begins();
          this.read(answer);
        } else request.destroy();
        done();
      });
      this.request = request;
      request.setTimeout(SILENT_MS, () => request.destroy());
      request.on("error", () => {});
      request.on("close", () => {
        if (this.request === request) this.request = undefined;
        done();
      });
      request.end();
    });
  }

  end(): void {
    this.isEnded = true;
    this.request?.destroy();
  }

  private read(answer: IncomingMessage): void {
    let waiting = "";
    answer.setEncoding("utf8");
    answer.on("error", () => {});
    answer.on("data", (text: string) => {
      waiting += text;
      const parts = waiting.split("\n\n");
      waiting = parts.pop() ?? "";
      for (const part of parts) this.event(part);
      if (waiting.length > MAX_EVENT_CHARACTERS) answer.destroy();
    });
  }

  private event(text: string): void {
    const data = text.split("\n").find((line) => line.startsWith("data: "));
    if (this.isEnded || data === undefined) return;
    const { id, event } = JSON.parse(data.slice(6)) as { id?: string; event?: GatewayEvent };
    if (id === undefined || !event) return; // its last word
    const isBeginning = this.isFresh && event.type === "missed";
    this.lastId = id;
    this.isFresh = false;
    if (!isBeginning) this.heard(event);
  }
}

async function within(ms: number, work: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((done) => {
    timer = setTimeout(done, ms);
  });
  await Promise.race([work, late]);
  clearTimeout(timer);
}
