/** The Ledger in the file of the SQLite store: the same transactions, channel and node ids kept once (gateway/payments/ledger.ts). */
import type Database from "better-sqlite3";
import {
  type ChannelId,
  channelId,
  milliSatoshi,
  type PaymentHash,
  type PublicKey,
  paymentHash,
  preimage,
  publicKey,
} from "../../core/primitives/brands.ts";
import { toHex } from "../../core/primitives/bytes.ts";
import {
  type InvoicePlace,
  isInTheWay,
  isOver,
  type Ledger,
  type ListedPayment,
  MAX_LISTED,
  type Payment,
  type PaymentFilter,
  type PaymentKind,
  type PaymentStatus,
  type PaymentTotals,
  type StoredInvoice,
} from "../payments/ledger.ts";
import type { SqliteStore, SqliteTables } from "./sqlite-store.ts";

/** Their places are what the table holds. */
const KINDS: readonly PaymentKind[] = ["forwarded", "sent", "received"];
const STATUSES: readonly PaymentStatus[] = ["pending", "succeeded", "failed"];

const NONE = new Uint8Array(0);

type Value = number | string | Uint8Array | null;
type Row = Readonly<Record<string, Value>>;

export class SqliteLedger implements Ledger {
  private readonly tables: SqliteTables;
  private readonly statements: ReturnType<typeof prepare>;
  private readonly parties = new Map<string, number>();
  private readonly partyBytes = new Map<number, Uint8Array>();

  constructor(store: SqliteStore) {
    this.tables = store.tables;
    this.statements = prepare(store.tables.db);
  }

  put(payment: Payment): Promise<void> {
    return this.join(() => {
      this.statements.put.run(this.rowOf(payment));
    });
  }

  async claim(payment: Payment): Promise<boolean> {
    let isFree = false;
    await this.join(() => {
      const { kind, paymentHash: hash } = payment;
      const row = this.statements.get.get(hash, KINDS.indexOf(kind)) as Row | undefined;
      isFree = !isInTheWay(row && this.paymentOf(row), payment);
      if (isFree) this.statements.put.run(this.rowOf(payment));
    });
    return isFree;
  }

  get(kind: PaymentKind, hash: PaymentHash): Payment | undefined {
    return this.read(() => {
      const row = this.statements.get.get(hash, KINDS.indexOf(kind)) as Row | undefined;
      return row && this.paymentOf(row);
    });
  }

  pending(incoming?: readonly ChannelId[]): readonly Payment[] {
    const all = this.read(() =>
      (this.statements.pending.all() as Row[]).map((row) => this.paymentOf(row)),
    );
    if (!incoming) return all;
    return all.filter((one) => one.kind === "forwarded" && isOver(one, incoming));
  }

  orphans(): readonly Payment[] {
    return this.pending().filter(({ kind }) => kind === "sent");
  }

  list(filter: PaymentFilter): readonly ListedPayment[] {
    return this.read(() => {
      const limit = Math.min(filter.limit ?? MAX_LISTED, MAX_LISTED);
      const rows = this.statements.list.all({ ...this.named(filter), limit }) as Row[];
      return rows.map((row) => ({ ...this.paymentOf(row), sequence: row.sequence as number }));
    });
  }

  totals(filter: PaymentFilter): PaymentTotals {
    const { before: _, ...all } = filter;
    return this.read(() => this.statements.totals.get(this.named(all)) as PaymentTotals);
  }

  putInvoice(invoice: StoredInvoice): Promise<void> {
    const { amountMsat = null, descriptionHash = null } = invoice;
    const row = { ...invoice, amountMsat, descriptionHash };
    return this.join(() => {
      this.statements.putInvoice.run(row);
    });
  }

  invoice(hash: PaymentHash): StoredInvoice | undefined {
    return this.read(() => {
      const row = this.statements.invoice.get(hash) as Row | undefined;
      return row && invoiceOf(row);
    });
  }

  invoices(options: { readonly limit?: number; readonly before?: InvoicePlace }) {
    const { limit = MAX_LISTED, before } = options;
    const place = [before?.createdAt ?? Number.MAX_SAFE_INTEGER, before?.paymentHash ?? NONE];
    return this.read(() => {
      const most = Math.min(limit, MAX_LISTED);
      const rows = this.statements.invoices.all(...place, most) as Row[];
      return rows.map(invoiceOf);
    });
  }

  private join(work: () => void): Promise<void> {
    return this.tables.join(work, "ledger");
  }

  private read<T>(work: () => T): T {
    return this.tables.read(work, "ledger");
  }

  private rowOf(payment: Payment): Row {
    const { incoming, outgoing, destination } = payment;
    return {
      kind: KINDS.indexOf(payment.kind),
      status: STATUSES.indexOf(payment.status),
      payment_hash: payment.paymentHash,
      preimage: payment.preimage ?? null,
      amount_msat: payment.amountMsat,
      fee_msat: payment.feeMsat,
      failure: payment.failure ?? null,
      incoming: incoming ? this.party(incoming.channelId) : null,
      incoming_htlc: incoming?.htlcId ?? null,
      outgoing: outgoing ? this.party(outgoing) : null,
      destination: destination ? this.party(destination) : null,
      created_at: payment.createdAt,
      resolved_at: payment.resolvedAt ?? null,
      retry: payment.retry ?? null,
    };
  }

  private paymentOf(row: Row): Payment {
    const incoming = this.bytesOf(row.incoming);
    const outgoing = this.bytesOf(row.outgoing);
    const destination = this.bytesOf(row.destination);
    return {
      kind: KINDS[row.kind as number] as PaymentKind,
      paymentHash: paymentHash(copy(row.payment_hash)),
      status: STATUSES[row.status as number] as PaymentStatus,
      amountMsat: milliSatoshi(row.amount_msat as number),
      feeMsat: milliSatoshi(row.fee_msat as number),
      createdAt: row.created_at as number,
      ...(incoming && {
        incoming: { channelId: channelId(incoming), htlcId: row.incoming_htlc as number },
      }),
      ...(outgoing && { outgoing: channelId(outgoing) }),
      ...(destination && { destination: publicKey(destination) }),
      ...(row.resolved_at !== null && { resolvedAt: row.resolved_at as number }),
      ...(row.preimage !== null && { preimage: preimage(copy(row.preimage)) }),
      ...(row.failure !== null && { failure: row.failure as number }),
      ...(row.retry !== null && { retry: copy(row.retry) }),
    };
  }

  private named({ kind, status, from, until, party, before }: PaymentFilter): Row {
    return {
      kind: kind === undefined ? null : KINDS.indexOf(kind),
      status: status === undefined ? null : STATUSES.indexOf(status),
      from: from ?? null,
      until: until ?? null,
      party: party === undefined ? null : (this.knownParty(party) ?? -1),
      before: before ?? null,
    };
  }

  /** The number of a channel or a node; asked for inside the transaction, where a new one is added. */
  private party(bytes: ChannelId | PublicKey): number {
    const known = this.knownParty(bytes);
    if (known !== undefined) return known;
    // Not remembered yet: the transaction may be rolled back.
    return this.statements.addParty.get(bytes) as number;
  }

  private knownParty(bytes: Uint8Array): number | undefined {
    const key = toHex(bytes);
    const cached = this.parties.get(key);
    if (cached !== undefined) return cached;
    const id = this.statements.party.get(bytes) as number | undefined;
    if (id !== undefined && !this.tables.db.inTransaction) this.parties.set(key, id);
    return id;
  }

  private bytesOf(id: Value | undefined): Uint8Array | undefined {
    if (id === null) return undefined;
    const cached = this.partyBytes.get(id as number);
    if (cached) return cached;
    const bytes = copy(this.statements.partyBytes.get(id) as Uint8Array);
    if (!this.tables.db.inTransaction) this.partyBytes.set(id as number, bytes);
    return bytes;
  }
}

function invoiceOf(row: Row): StoredInvoice {
  return {
    paymentHash: paymentHash(copy(row.payment_hash)),
    preimage: preimage(copy(row.preimage)),
    paymentSecret: copy(row.payment_secret),
    ...(row.amount_msat !== null && { amountMsat: milliSatoshi(row.amount_msat as number) }),
    createdAt: row.created_at as number,
    expiresAt: row.expires_at as number,
    minFinalCltvExpiryDelta: row.min_final_cltv_expiry_delta as number,
    memo: row.memo as string,
    ...(row.description_hash !== null && { descriptionHash: copy(row.description_hash) }),
  };
}

/** SQLite's buffers are views of its own memory. */
function copy(value: Value | undefined): Uint8Array {
  return new Uint8Array(value as Uint8Array);
}

const COLUMNS =
  "kind, status, payment_hash, preimage, amount_msat, fee_msat, failure, incoming, " +
  "incoming_htlc, outgoing, destination, created_at, resolved_at, retry";
const WHERE =
  "(@kind IS NULL OR kind = @kind) AND (@status IS NULL OR status = @status) " +
  "AND (@from IS NULL OR created_at >= @from) AND (@until IS NULL OR created_at < @until) " +
  "AND (@before IS NULL OR sequence < @before) " +
  "AND (@party IS NULL OR @party IN (incoming, outgoing, destination))";

function prepare(db: Database.Database) {
  const columns = COLUMNS.split(", ");
  const replaced = columns.filter((name) => name !== "payment_hash" && name !== "kind");
  return {
    put: db.prepare(
      `INSERT INTO payments (${COLUMNS}) VALUES (${columns.map((name) => `@${name}`).join(", ")})
       ON CONFLICT (payment_hash, kind) DO UPDATE
       SET ${replaced.map((name) => `${name} = excluded.${name}`).join(", ")}`,
    ),
    get: db.prepare("SELECT * FROM payments WHERE payment_hash = ? AND kind = ?"),
    pending: db.prepare("SELECT * FROM payments WHERE status = 0 ORDER BY sequence"),
    list: db.prepare(`SELECT * FROM payments WHERE ${WHERE} ORDER BY sequence DESC LIMIT @limit`),
    totals: db.prepare(
      `SELECT count(*) AS count, coalesce(sum(amount_msat), 0) AS amountMsat,
       coalesce(sum(fee_msat), 0) AS feeMsat FROM payments WHERE ${WHERE}`,
    ),
    party: db.prepare("SELECT id FROM payment_parties WHERE bytes = ?").pluck(),
    partyBytes: db.prepare("SELECT bytes FROM payment_parties WHERE id = ?").pluck(),
    addParty: db.prepare("INSERT INTO payment_parties (bytes) VALUES (?) RETURNING id").pluck(),
    putInvoice: db.prepare(
      `INSERT INTO invoices VALUES (@paymentHash, @preimage, @paymentSecret, @amountMsat,
       @createdAt, @expiresAt, @minFinalCltvExpiryDelta, @memo, @descriptionHash) ON CONFLICT DO NOTHING`,
    ),
    invoice: db.prepare("SELECT * FROM invoices WHERE payment_hash = ?"),
    invoices: db.prepare(
      `SELECT * FROM invoices WHERE (created_at, payment_hash) < (?, ?)
       ORDER BY created_at DESC, payment_hash DESC LIMIT ?`,
    ),
  };
}
