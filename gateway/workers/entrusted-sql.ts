/** The table `entrusted_htlcs` (gateway/store/postgres/schema.ts), and what is asked of it. */
import type { Statement } from "../store/postgres/session.ts";

export type Named = Statement;

/** Asked: nobody has offered it. Taken: it may have been, in `channel_id`. The others are answers. */
export const TAKEN = 1;
export const FULFILLED = 2;
export const FAILED = 3;
export const REFUSED = 4;

export const CHANNEL = "picobolt_htlcs";
export const NOTIFY: Named = { name: "notify_htlcs", text: `NOTIFY ${CHANNEL}` };

/** Where some process has, or will have, channels with that peer. */
export const ASK: Named = {
  name: "ask_htlc",
  text: `INSERT INTO entrusted_htlcs (payment_hash, subject, state, amount_msat, cltv_expiry, onion)
    SELECT $1, $2, 0, $3::bigint, $4::bigint, $5
    WHERE EXISTS (SELECT FROM channels WHERE subject = $2)
    ON CONFLICT DO NOTHING RETURNING state`,
};
/** A channel that is in no table any more ended: an HTLC that was in it is decided, and the asker hears that it failed. */
export const HAND_OVER: Named = {
  name: "hand_htlc_over",
  text: `INSERT INTO entrusted_htlcs (payment_hash, subject, state, channel_id, answer)
    SELECT $1, coalesce(subject, ''), CASE WHEN subject IS NULL THEN 3 ELSE 1 END, $2::bytea,
      CASE WHEN subject IS NULL THEN ''::bytea END
    FROM (SELECT) AS one LEFT JOIN channels ON channel_id = $2::bytea
    ON CONFLICT DO NOTHING`,
};
/** Pending payments that go out over channels which come to a process: whoever has the other side learns from it. */
export const HAND_ALL_OVER: Named = {
  name: "hand_all_htlcs_over",
  text: `INSERT INTO entrusted_htlcs (payment_hash, subject, state, channel_id)
    SELECT DISTINCT ON (payment_hash) payment_hash, subject, 1, channel_id FROM payments
    JOIN payment_parties ON payment_parties.id = outgoing JOIN channels ON channel_id = bytes
    WHERE status = 0 AND channel_id = ANY ($1::bytea[])
    ON CONFLICT DO NOTHING`,
};
export const IN_CHANNELS: Named = {
  name: "htlcs_in_channels",
  text: "SELECT * FROM entrusted_htlcs WHERE channel_id = ANY ($1::bytea[]) AND state = 1",
};
export const KNOWN: Named = {
  name: "known_htlcs",
  text: "SELECT payment_hash FROM entrusted_htlcs WHERE payment_hash = $1",
};
export const ANSWERS: Named = {
  name: "answers_of_htlcs",
  text: `SELECT payment_hash, state, answer FROM entrusted_htlcs
    WHERE payment_hash = ANY ($1::bytea[]) AND state > 1`,
};
export const ASKED: Named = {
  name: "asked_htlcs",
  text: `SELECT entrusted_htlcs.* FROM entrusted_htlcs JOIN leases USING (subject)
    WHERE worker = $1 AND state < 2`,
};
export const TAKE: Named = {
  name: "take_htlc",
  text: `UPDATE entrusted_htlcs SET state = 1, channel_id = $2 WHERE payment_hash = $1 AND state = 0
    RETURNING state`,
};
export const ANSWER: Named = {
  name: "answer_htlc",
  text: "UPDATE entrusted_htlcs SET state = $2, answer = $3 WHERE payment_hash = $1 AND state < 2",
};
export const WITHDRAW: Named = {
  name: "withdraw_htlc",
  text: `INSERT INTO entrusted_htlcs (payment_hash, subject, state) VALUES ($1, '', 4)
    ON CONFLICT (payment_hash) DO UPDATE SET state = 4 WHERE entrusted_htlcs.state = 0`,
};
export const FORGET: Named = {
  name: "forget_htlc",
  text: "DELETE FROM entrusted_htlcs WHERE payment_hash = $1 AND state > 1",
};
