/** Which of several processes hears a device on the broker, where all of them hear all of its frames (docs/OPERATIONS.md "Several processes"). */
import { createHash } from "node:crypto";
import type { PublicKey } from "../../core/primitives/brands.ts";
import { toHex } from "../../core/primitives/bytes.ts";
import { topicName } from "../../core/transport/mqtt-topics.ts";
import type { PostgresStore } from "../store/postgres/postgres-store.ts";

/** An answer of the database about a device that is not ours holds so long. */
const ANSWER_MS = 5_000;
/** Where it is about to change: a lease that nobody has, or that was just taken here. */
const CHANGING_MS = 200;
/** Questions are gathered so long. */
const ASK_AFTER_MS = 20;
const MAX_ASKED = 4_096;
const MAX_ANSWERS = 100_000;
const TOPIC_NAME = /^[0-9a-f]{16}$/;

interface Answer {
  readonly isOurs: boolean;
  readonly untilMs: number;
}

interface Question {
  readonly answer: Promise<boolean>;
  resolve(isOurs: boolean): void;
}

export interface DevicePlacesOptions {
  readonly store: PostgresStore;
  /** Served here, as far as this process knows. */
  readonly nowMs: () => number;
}

export class DevicePlaces {
  /** Names in topics of the peers that are served here. */
  private readonly here = new Set<string>();
  /** Called here, and their channels are not ready yet. */
  private readonly coming = new Set<string>();
  private readonly answers = new Map<string, Answer>();
  private asked = new Map<string, Question>();

  constructor(private readonly options: DevicePlacesOptions) {}

  served(peer: PublicKey, isServed: boolean): void {
    const name = topicName(toHex(peer));
    this.answers.delete(name);
    this.coming.delete(name);
    if (isServed) this.here.add(name);
    else this.here.delete(name);
  }

  /** It called here; a further call is kept until it is served, or known to be another's. */
  comes(peer: PublicKey, isComing: boolean): void {
    const name = topicName(toHex(peer));
    this.answers.delete(name);
    if (isComing && !this.here.has(name)) this.coming.add(name);
    else this.coming.delete(name);
  }

  /** By its name in topics. A device that nobody has leased is one process's to answer, the same in the eyes of all. */
  isOurs(device: string): boolean | Promise<boolean> {
    if (this.here.has(device)) return true;
    if (this.coming.has(device)) return false;
    const known = this.answers.get(device);
    if (known && this.options.nowMs() < known.untilMs) return known.isOurs;
    const waiting = this.asked.get(device);
    if (waiting) return waiting.answer;
    if (this.asked.size >= MAX_ASKED) return false;
    if (this.asked.size === 0) setTimeout(() => void this.ask(), ASK_AFTER_MS);
    let resolve = (_: boolean) => {};
    const answer = new Promise<boolean>((done) => {
      resolve = done;
    });
    this.asked.set(device, { answer, resolve });
    return answer;
  }

  private async ask(): Promise<void> {
    const { asked } = this;
    this.asked = new Map();
    try {
      await this.answer(asked);
    } catch {
      for (const { resolve } of asked.values()) resolve(false); // the device calls again
    }
  }

  private async answer(asked: ReadonlyMap<string, Question>): Promise<void> {
    const { store, nowMs } = this.options;
    const names = [...asked.keys()].filter((name) => TOPIC_NAME.test(name));
    const { leases, workers } = await store.tables.read(async (session) => ({
      leases: await session.query(LEASES, [names.map((name) => Buffer.from(name, "hex"))]),
      workers: await session.query(WORKERS),
    }));
    const holders = new Map(leases.map(({ name, worker }) => [String(name), worker]));
    const alive = workers.map(({ name }) => String(name));
    if (this.answers.size > MAX_ANSWERS) this.answers.clear();
    for (const [device, { resolve }] of asked) {
      const holder = holders.get(device);
      const isChanging = holder === null || holder === store.workerNumber;
      const isOurs = holder === undefined && host(alive, device) === store.leases.worker;
      const untilMs = nowMs() + (isChanging ? CHANGING_MS : ANSWER_MS);
      this.answers.set(device, { isOurs, untilMs });
      resolve(isOurs || this.here.has(device));
    }
  }
}

/** Of all processes that live, the one whose hash with the device is highest: few devices move when one comes or goes. */
function host(workers: readonly string[], device: string): string | undefined {
  const weighed = workers.map((name) => {
    const hash = createHash("sha256").update(`${name}/${device}`).digest("hex");
    return { name, hash };
  });
  return weighed.sort((a, b) => (a.hash < b.hash ? 1 : -1))[0]?.name;
}

const LEASES = {
  name: "leases_by_topic_name",
  text: `SELECT encode(substr(subject, 2, 8), 'hex') AS name, worker FROM leases
    WHERE substr(subject, 2, 8) = ANY ($1::bytea[])`,
};
const WORKERS = {
  name: "living_workers",
  text: "SELECT name FROM workers WHERE NOT stopped AND alive_until > clock_timestamp()",
};
