/** The Ledger in the PostgreSQL store's own transactions; what many put in one turn is written at once (gateway/payments/ledger.ts). */
import {
  type ChannelId,
  channelId,
  milliSatoshi,
  type PaymentHash,
  paymentHash,
  preimage,
  publicKey,
} from "../../../core/primitives/brands.ts";
import { toHex } from "../../../core/primitives/bytes.ts";
import {
  type InvoicePlace,
  type Ledger,
  type ListedPayment,
  MAX_LISTED,
  type Payment,
  type PaymentFilter,
  type PaymentKind,
  type PaymentStatus,
  type PaymentTotals,
  type StoredInvoice,
} from "../../payments/ledger.ts";
import type { PostgresStore, PostgresTables } from "./postgres-store.ts";
import type { Parameter, Row, Session } from "./session.ts";

/** Their places are what the table holds. */
const KINDS: readonly PaymentKind[] = ["forwarded", "sent", "received"];
const STATUSES: readonly PaymentStatus[] = ["pending", "succeeded", "failed"];

interface Batch {
  /** The newest of each kind and hash, in the order in which they first came. */
  readonly payments: Map<string, Payment>;
  readonly written: Promise<void>;
}

export class PostgresLedger implements Ledger {
  private readonly tables: PostgresTables;
  private gathering: Batch | undefined;

  constructor(private readonly store: PostgresStore) {
    this.tables = store.tables;
  }

  /** A row of its own in the transaction: of two that want the same, in whatever process, one has it. */
  async claim(payment: Payment): Promise<boolean> {
    let isOurs = false;
    await this.tables.join(async (session) => {
      await session.query(PUT_PARTIES, [partiesOf([payment])]);
      const row = [...columnsOf([payment]), this.store.workerNumber];
      isOurs = (await session.query(CLAIM, row)).length > 0;
    });
    return isOurs;
  }

  put(payment: Payment): Promise<void> {
    const batch = this.gathering ?? this.begin();
    batch.payments.set(`${payment.kind} ${toHex(payment.paymentHash)}`, payment);
    return batch.written;
  }

  get(kind: PaymentKind, hash: PaymentHash): Promise<Payment | undefined> {
    return this.tables.read(async (session) => {
      const [row] = await session.query(GET, [hash, KINDS.indexOf(kind)]);
      return row && paymentOf(row);
    });
  }

  pending(incoming?: readonly ChannelId[]): Promise<readonly Payment[]> {
    return this.tables.read(async (session) => {
      const rows = incoming ? session.query(PENDING_OF, [incoming]) : session.query(PENDING);
      return (await rows).map(paymentOf);
    });
  }

  async orphans(isStart: boolean): Promise<readonly Payment[]> {
    let rows: readonly Row[] = [];
    await this.tables.join(async (session) => {
      const found = await session.query(TAKE_ORPHANS, [this.store.workerNumber, isStart]);
      rows = await session.query(BY_SEQUENCE, [found.map(({ sequence }) => Number(sequence))]);
    });
    return rows.map(paymentOf);
  }

  list(filter: PaymentFilter): Promise<readonly ListedPayment[]> {
    const limit = Math.min(filter.limit ?? MAX_LISTED, MAX_LISTED);
    return this.tables.read(async (session) => {
      const rows = await session.query(LIST, [...parametersOf(filter), limit]);
      return rows.map((row) => ({ ...paymentOf(row), sequence: Number(row.sequence) }));
    });
  }

  totals({ before: _, ...all }: PaymentFilter): Promise<PaymentTotals> {
    return this.tables.read(async (session) => {
      const [row] = await session.query(TOTALS, parametersOf(all));
      return {
        count: Number(row?.count),
        amountMsat: Number(row?.amount_msat),
        feeMsat: Number(row?.fee_msat),
      };
    });
  }

  putInvoice(invoice: StoredInvoice): Promise<void> {
    const row = [
      invoice.paymentHash,
      invoice.preimage,
      invoice.paymentSecret,
      invoice.amountMsat ?? null,
      invoice.createdAt,
      invoice.expiresAt,
      invoice.minFinalCltvExpiryDelta,
      new TextEncoder().encode(invoice.memo),
      invoice.descriptionHash ?? null,
    ];
    return this.tables.join(async (session) => {
      await session.query(PUT_INVOICE, row);
    });
  }

  invoice(hash: PaymentHash): Promise<StoredInvoice | undefined> {
    return this.tables.read(async (session) => {
      const [row] = await session.query(INVOICE, [hash]);
      return row && invoiceOf(row);
    });
  }

  invoices(options: { readonly limit?: number; readonly before?: InvoicePlace }) {
    const { limit = MAX_LISTED, before } = options;
    const place = [before?.createdAt ?? Number.MAX_SAFE_INTEGER, before?.paymentHash ?? NONE];
    const most = Math.min(limit, MAX_LISTED);
    return this.tables.read(async (session) =>
      (await session.query(INVOICES, [...place, most])).map(invoiceOf),
    );
  }

  /** It stands where its first payment was given, before all commits that come after that. */
  private begin(): Batch {
    const payments = new Map<string, Payment>();
    const written = this.tables.join(async (session) => {
      // From here on it is what it is: it may have to be written again.
      if (this.gathering?.payments === payments) this.gathering = undefined;
      await writePayments(session, [...payments.values()]);
    });
    this.gathering = { payments, written };
    const over = () => {
      if (this.gathering?.payments === payments) this.gathering = undefined;
    };
    written.then(over, over);
    return this.gathering;
  }
}

async function writePayments(session: Session, all: readonly Payment[]): Promise<void> {
  const parties = partiesOf(all);
  if (parties.length > 0) await session.query(PUT_PARTIES, [parties]);
  await session.query(PUT, columnsOf(all));
}

function partiesOf(all: readonly Payment[]): Uint8Array[] {
  return all.flatMap(({ incoming, outgoing, destination }) => [
    ...(incoming ? [incoming.channelId] : []),
    ...(outgoing ? [outgoing] : []),
    ...(destination ? [destination] : []),
  ]);
}

function columnsOf(all: readonly Payment[]): Parameter[] {
  const column = (value: (payment: Payment) => number | Uint8Array | null): Parameter =>
    all.map(value) as readonly (number | null)[];
  return [
    column(({ kind }) => KINDS.indexOf(kind)),
    column(({ status }) => STATUSES.indexOf(status)),
    column((one) => one.paymentHash),
    column((one) => one.preimage ?? null),
    column(({ amountMsat }) => amountMsat),
    column(({ feeMsat }) => feeMsat),
    column(({ failure }) => failure ?? null),
    column(({ incoming }) => incoming?.channelId ?? null),
    column(({ incoming }) => incoming?.htlcId ?? null),
    column(({ outgoing }) => outgoing ?? null),
    column(({ destination }) => destination ?? null),
    column(({ createdAt }) => createdAt),
    column(({ resolvedAt }) => resolvedAt ?? null),
    column(({ retry }) => retry ?? null),
  ];
}

function parametersOf(filter: PaymentFilter): Parameter[] {
  const { kind, status, from, until, party, before } = filter;
  return [
    kind === undefined ? null : KINDS.indexOf(kind),
    status === undefined ? null : STATUSES.indexOf(status),
    from ?? null,
    until ?? null,
    before ?? null,
    party ?? null,
  ];
}

function paymentOf(row: Row): Payment {
  const { incoming_bytes: incoming, outgoing_bytes: outgoing, destination_bytes: payee } = row;
  return {
    kind: KINDS[Number(row.kind)] as PaymentKind,
    paymentHash: paymentHash(copy(row.payment_hash)),
    status: STATUSES[Number(row.status)] as PaymentStatus,
    amountMsat: milliSatoshi(Number(row.amount_msat)),
    feeMsat: milliSatoshi(Number(row.fee_msat)),
    createdAt: Number(row.created_at),
    ...(incoming !== null && {
      incoming: { channelId: channelId(copy(incoming)), htlcId: Number(row.incoming_htlc) },
    }),
    ...(outgoing !== null && { outgoing: channelId(copy(outgoing)) }),
    ...(payee !== null && { destination: publicKey(copy(payee)) }),
    ...(row.resolved_at !== null && { resolvedAt: Number(row.resolved_at) }),
    ...(row.preimage !== null && { preimage: preimage(copy(row.preimage)) }),
    ...(row.failure !== null && { failure: Number(row.failure) }),
    ...(row.retry !== null && { retry: copy(row.retry) }),
  };
}

function invoiceOf(row: Row): StoredInvoice {
  return {
    paymentHash: paymentHash(copy(row.payment_hash)),
    preimage: preimage(copy(row.preimage)),
    paymentSecret: copy(row.payment_secret),
    ...(row.amount_msat !== null && { amountMsat: milliSatoshi(Number(row.amount_msat)) }),
    createdAt: Number(row.created_at),
    expiresAt: Number(row.expires_at),
    minFinalCltvExpiryDelta: Number(row.min_final_cltv_expiry_delta),
    memo: new TextDecoder().decode(copy(row.memo)),
    ...(row.description_hash !== null && { descriptionHash: copy(row.description_hash) }),
  };
}

function copy(value: unknown): Uint8Array {
  return new Uint8Array(value as Uint8Array);
}

const SELECT = `
  SELECT payments.*, i.bytes AS incoming_bytes, o.bytes AS outgoing_bytes,
    d.bytes AS destination_bytes
  FROM payments LEFT JOIN payment_parties i ON i.id = incoming
    LEFT JOIN payment_parties o ON o.id = outgoing LEFT JOIN payment_parties d ON d.id = destination`;
const WHERE = `
  ($1::int IS NULL OR kind = $1) AND ($2::int IS NULL OR status = $2)
  AND ($3::bigint IS NULL OR created_at >= $3) AND ($4::bigint IS NULL OR created_at < $4)
  AND ($5::bigint IS NULL OR sequence < $5)
  AND ($6::bytea IS NULL OR
    (SELECT id FROM payment_parties WHERE bytes = $6) IN (incoming, outgoing, destination))`;
const FIELDS =
  "status, preimage, amount_msat, fee_msat, failure, incoming, incoming_htlc, outgoing, " +
  "destination, created_at, resolved_at, retry";

const GET = {
  name: "get_payment",
  text: `${SELECT} WHERE payment_hash = $1 AND kind = $2`,
};
const PENDING = { name: "pending_payments", text: `${SELECT} WHERE status = 0 ORDER BY sequence` };
const PENDING_OF = {
  name: "pending_payments_of",
  text: `${SELECT} WHERE status = 0 AND kind = 0 AND i.bytes = ANY ($1::bytea[]) ORDER BY sequence`,
};
const LIST = {
  name: "list_payments",
  text: `${SELECT} WHERE ${WHERE} ORDER BY sequence DESC LIMIT $7`,
};
const TOTALS = {
  name: "payment_totals",
  text: `SELECT count(*) AS count, coalesce(sum(amount_msat), 0) AS amount_msat,
    coalesce(sum(fee_msat), 0) AS fee_msat FROM payments WHERE ${WHERE}`,
};
const PUT_PARTIES = {
  name: "put_parties",
  text: `INSERT INTO payment_parties (bytes)
    SELECT DISTINCT bytes FROM unnest($1::bytea[]) AS p (bytes)
    WHERE NOT EXISTS (SELECT FROM payment_parties known WHERE known.bytes = p.bytes)
    ORDER BY bytes ON CONFLICT DO NOTHING`,
};
/** Payments that are known are changed in their places; a number is drawn for new ones alone. */
/** What was forwarded for another HTLC, perhaps by another process, is no business of this one's. */
const MAY_BE_PUT = `(p.kind <> 0 OR p.status = 2 OR (p.incoming IS NOT DISTINCT FROM given.incoming
  AND p.incoming_htlc IS NOT DISTINCT FROM given.incoming_htlc))`;
const GIVEN = `
    WITH given AS (
      SELECT p.kind, status, payment_hash, preimage, amount_msat, fee_msat, failure,
        i.id AS incoming, incoming_htlc, o.id AS outgoing, d.id AS destination, created_at,
        resolved_at, retry, place
      FROM unnest($1::smallint[], $2::smallint[], $3::bytea[], $4::bytea[], $5::bigint[],
        $6::bigint[], $7::int[], $8::bytea[], $9::bigint[], $10::bytea[], $11::bytea[],
        $12::bigint[], $13::bigint[], $14::bytea[]) WITH ORDINALITY
      AS p (kind, status, payment_hash, preimage, amount_msat, fee_msat, failure, incoming_bytes,
        incoming_htlc, outgoing_bytes, destination_bytes, created_at, resolved_at, retry, place)
      LEFT JOIN payment_parties i ON i.bytes = incoming_bytes
      LEFT JOIN payment_parties o ON o.bytes = outgoing_bytes
      LEFT JOIN payment_parties d ON d.bytes = destination_bytes
    )`;
const PUT = {
  name: "put_payments",
  text: `${GIVEN}, changed AS (
      UPDATE payments p SET (${FIELDS}) = ROW (${FIELDS.replaceAll(/\w+/g, "given.$&")})
      FROM given WHERE p.payment_hash = given.payment_hash AND p.kind = given.kind AND ${MAY_BE_PUT}
      RETURNING p.payment_hash, p.kind
    )
    INSERT INTO payments (payment_hash, kind, ${FIELDS})
    SELECT payment_hash, kind, ${FIELDS} FROM given
    WHERE NOT EXISTS (
      SELECT FROM changed c WHERE c.payment_hash = given.payment_hash AND c.kind = given.kind
    ) ORDER BY place
    ON CONFLICT (payment_hash, kind) DO UPDATE
    SET (${FIELDS}) = ROW (${FIELDS.replaceAll(/\w+/g, "excluded.$&")})
    WHERE payments.kind <> 0`,
};
const CLAIM = {
  name: "claim_payment",
  text: `${GIVEN}
    INSERT INTO payments (payment_hash, kind, sender, ${FIELDS})
    SELECT payment_hash, kind, $15::int, ${FIELDS} FROM given
    ON CONFLICT (payment_hash, kind) DO UPDATE
    SET (sender, ${FIELDS}) = ROW (excluded.sender, ${FIELDS.replaceAll(/\w+/g, "excluded.$&")})
    WHERE payments.status = 2 OR (payments.status IN (0, excluded.status)
      AND payments.incoming = excluded.incoming AND payments.incoming_htlc = excluded.incoming_htlc)
    RETURNING sequence`,
};
const TAKE_ORPHANS = {
  name: "take_orphans",
  text: `UPDATE payments SET sender = $1 WHERE sequence IN (
      SELECT sequence FROM payments LEFT JOIN workers ON number = sender
      WHERE status = 0 AND kind = 1 AND 
        (CASE WHEN sender = $1 THEN $2 ELSE sender IS NULL OR stopped END)
      FOR UPDATE OF payments SKIP LOCKED
    ) RETURNING sequence`,
};
const BY_SEQUENCE = {
  name: "payments_by_sequence",
  text: `${SELECT} WHERE sequence = ANY ($1::bigint[]) ORDER BY sequence`,
};
const PUT_INVOICE = {
  name: "put_invoice",
  text: "INSERT INTO invoices VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING",
};
const INVOICE = { name: "invoice", text: "SELECT * FROM invoices WHERE payment_hash = $1" };
const NONE = new Uint8Array(0);
const INVOICES = {
  name: "invoices",
  text: `SELECT * FROM invoices WHERE (created_at, payment_hash) < ($1, $2)
    ORDER BY created_at DESC, payment_hash DESC LIMIT $3`,
};
