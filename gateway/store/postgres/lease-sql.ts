/** What processes ask and tell the database about leases (gateway/store/postgres/leases.ts). */
import type { Statement } from "./session.ts";

/** Of NOTIFY: leases are free. */
export const CHANNEL = "picobolt_leases";

const statement = (name: string, text: string): Statement => ({ name, text });
export const RENEW = statement(
  "renew",
  `UPDATE workers SET alive_until = clock_timestamp() + $3 * interval '1 millisecond'
   WHERE number = $1 AND epoch = $2 AND NOT stopped RETURNING number`,
);
/** One that is in the middle of a commit is left to the next beat. */
export const FIND_DEAD = statement(
  "find_dead",
  `SELECT number FROM workers WHERE NOT stopped AND alive_until < clock_timestamp()
   AND pg_postmaster_start_time() + $1 * interval '1 millisecond' < clock_timestamp()
   FOR UPDATE SKIP LOCKED`,
);
export const EXPEL = statement(
  "expel",
  "UPDATE workers SET epoch = epoch + 1, stopped = true WHERE number = ANY ($1::int[])",
);
export const FREE = statement(
  "free",
  "UPDATE leases SET worker = NULL, former = worker WHERE worker = ANY ($1::int[])",
);
/** Peers without channels are leased as well, and no work. */
export const COUNT = statement(
  "count",
  `SELECT count(*) AS total, count(*) FILTER (WHERE worker = $1) AS mine,
     count(*) FILTER (WHERE has_channels) AS working,
     count(*) FILTER (WHERE has_channels AND worker = $1) AS mine_working,
     (SELECT count(*) FROM workers WHERE NOT stopped) AS alive
   FROM (SELECT worker, subject IN (SELECT channels.subject FROM channels) AS has_channels
     FROM leases) AS l`,
);
/** Which of ours others may have. */
export const SPARE = statement(
  "spare",
  `SELECT subject FROM leases WHERE worker = $1 AND subject <> ALL ($3::bytea[])
   AND EXISTS (SELECT FROM channels WHERE channels.subject = leases.subject) LIMIT $2`,
);
const RETURNING =
  "RETURNING subject, fence, (SELECT name FROM workers WHERE number = leases.former) AS former";
export const TAKE = statement(
  "take",
  `UPDATE leases SET worker = $1, fence = nextval('fences') WHERE subject IN (
     SELECT subject FROM leases WHERE worker IS NULL LIMIT $2 FOR UPDATE SKIP LOCKED
   ) ${RETURNING}`,
);
export const RETAKE = statement(
  "retake",
  `UPDATE leases SET fence = nextval('fences')
   WHERE worker = $1 AND subject = ANY ($2::bytea[]) ${RETURNING}`,
);
/** In one order in all processes: two that wait for each other's rows would be undone. */
export const ACQUIRE = statement(
  "acquire",
  `INSERT INTO leases (subject, worker, fence)
   SELECT subject, $2, nextval('fences') FROM unnest($1::bytea[]) AS s (subject) ORDER BY subject
   ON CONFLICT (subject) DO UPDATE SET worker = excluded.worker, fence = excluded.fence
   WHERE leases.worker IS NULL OR leases.worker = excluded.worker ${RETURNING}`,
);
export const RELEASE = statement(
  "release",
  `UPDATE leases SET worker = NULL, former = worker
   WHERE worker = $1 AND subject = ANY ($2::bytea[])`,
);
export const RELEASE_ALL = statement(
  "release_all",
  "UPDATE leases SET worker = NULL, former = worker WHERE worker = $1",
);
/** Peers without channels. */
export const FORGET = statement(
  "forget",
  `DELETE FROM leases WHERE subject = ANY ($1::bytea[]) AND worker IS NULL
   AND NOT EXISTS (SELECT FROM channels WHERE channels.subject = leases.subject)`,
);
export const HOLDER = statement(
  "holder",
  "SELECT name FROM workers JOIN leases ON worker = number WHERE subject = $1",
);
export const WORKERS = statement(
  "workers",
  `SELECT name, NOT stopped AND alive_until > clock_timestamp() AS alive,
     (SELECT count(*) FROM leases WHERE worker = number) AS leases FROM workers ORDER BY number`,
);
export const STOP_WORKER = statement(
  "stop_worker",
  "UPDATE workers SET stopped = true WHERE number = $1 AND epoch = $2 RETURNING number",
);
export const NOTIFY = statement("notify", `NOTIFY ${CHANNEL}`);
