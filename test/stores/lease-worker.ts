/** A process for leases.test.ts: runs the channels of its leases, each commit crediting one payment, and tells every one, until it is killed. */
import { keyOfSubject, type LeaseEvents, type Subject } from "../../gateway/store/lease.ts";
import { openPostgresStore } from "../../gateway/store/postgres/postgres-store.ts";
import { changeOf, numberOf, packed, peerOf, versionOf } from "../support/store-changes.ts";

const [url, worker, leaseMs] = process.argv.slice(2) as [string, string, string];
const store = await openPostgresStore(url, { worker, leaseMs: Number(leaseMs) });
const running = new Map<string, { stopped: boolean; ended: Promise<void> }>();

const say = (line: string) => process.stdout.write(`${line}\n`);

/** Channel n credits the references n × 1,000,000 + its version. */
async function run(n: number, from: number, state: { stopped: boolean }): Promise<void> {
  for (let version = from + 1; !state.stopped; version++) {
    try {
      const credits = packed(n * 1_000_000 + version);
      const live = { channel: n, version, remoteNodeId: peerOf(n) };
      const { duplicateCredits } = await store.commit({
        ...changeOf(n, version, { credits }),
        live,
      });
      say(duplicateCredits.length > 0 ? `doubled ${n} ${version}` : `stored ${n} ${version}`);
    } catch (error) {
      say(`refused ${n} ${(error as { code?: string }).code}`);
      return;
    }
  }
}

async function stop(subjects: readonly Subject[]): Promise<void> {
  for (const subject of subjects) {
    const one = running.get(keyOfSubject(subject));
    if (!one) continue;
    one.stopped = true;
    await one.ended;
    running.delete(keyOfSubject(subject));
  }
}

const events: LeaseEvents = {
  taken: (leases) => {
    void (async () => {
      for (const { record } of await store.loadOf(leases.map(({ subject }) => subject))) {
        const n = numberOf(record as Uint8Array);
        const state = { stopped: false };
        say(`runs ${n}`);
        const ended = run(n, versionOf(record as Uint8Array), state);
        running.set(keyOfSubject(peerOf(n)), Object.assign(state, { ended }));
      }
    })();
  },
  lost: (subjects) => void stop(subjects),
  asked: (subjects) => void stop(subjects).then(() => store.leases.release(subjects)),
};
store.leases.start(events);
process.on("SIGTERM", () => void stop(store.leases.held()).then(() => store.close()));
