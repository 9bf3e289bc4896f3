/** Payments that were credited and not yet served: written in the commit that credits them, so that no power cut loses one (DESIGN "Ready → pay → delivered"). */
import { PUSH_PAYMENT_BYTES } from "../../core/messages/update.ts";
import { unpackPayments } from "../../core/payments/push.ts";
import type { CommitOutcome, NamedValue, Store, StoreCommit } from "../../core/ports/store.ts";
import {
  type ChannelId,
  channelId,
  type MilliSatoshi,
  milliSatoshi,
} from "../../core/primitives/brands.ts";
import { equal, toHex } from "../../core/primitives/bytes.ts";
import { ByteReader, ByteWriter } from "../../core/transactions/codec.ts";

export interface Arrival {
  /** Of this device; never used again. */
  readonly number: number;
  readonly channelId: ChannelId;
  /** 16 bytes; 32 for an HTLC, its payment hash. */
  readonly reference: Uint8Array;
  readonly amountMsat: MilliSatoshi;
  /** The reference was credited before: the money came, nothing is to be delivered for it. */
  readonly isDuplicate: boolean;
  /** The motor may have run for it. */
  readonly begun: boolean;
  /** It was decided that it goes back: it buys nothing any more. */
  readonly owed?: boolean | undefined;
  /** Its HTLC stands open in the channel: the money comes when the preimage is shown, or never was ours. */
  readonly held?: HeldHtlc | undefined;
  /** Of a held one: it was served, and the preimage is to be shown. */
  readonly delivered?: boolean | undefined;
}

export interface HeldHtlc {
  readonly htlcId: number;
  /** The payment secret, of which the preimage follows. */
  readonly secret: Uint8Array;
}

export interface InboxState {
  readonly arrivals: readonly Arrival[];
  /** What the app keeps beside it. */
  readonly notes: Uint8Array;
  /** What could not be given back because its channel has ended: for the owner to settle. */
  readonly owedMsat: number;
  readonly owedPayments: number;
}

type Outcome<T> = T | Promise<T>;

const KEY = "app/inbox";
/** 2: what is owed. 3: held HTLCs. */
const VERSION = 3;
const NOTHING = new Uint8Array(0);

/** The store that a node is given, and the list that grows by what its commits credit. */
export class Inbox implements Store {
  readonly name: string;
  readonly suspects?: readonly ChannelId[];
  private state: InboxState = { arrivals: [], notes: NOTHING, owedMsat: 0, owedPayments: 0 };
  private nextNumber = 0;
  /** Arrivals from this number on are of this run: each is served once the node has told of it, with why it declined it. */
  private firstOfRun = 0;
  private readonly heard = new Map<number, string | undefined>();
  private busy: Promise<unknown> | undefined;

  private constructor(private readonly inner: Store) {
    this.name = inner.name;
    if (inner.suspects) this.suspects = inner.suspects;
  }

  static async open(inner: Store): Promise<Inbox> {
    const inbox = new Inbox(inner);
    const stored = await inner.getValue(KEY);
    if (stored) inbox.decode(stored);
    inbox.firstOfRun = inbox.nextNumber;
    return inbox;
  }

  /** Oldest first. */
  get arrivals(): readonly Arrival[] {
    return this.state.arrivals;
  }

  /** What may be served: a store that takes its time has credited a payment before the node says that it declined it. */
  isHeard({ number }: Arrival): boolean {
    return number < this.firstOfRun || this.heard.has(number);
  }

  /** Why the node declined it, in this run. */
  declined({ number }: Arrival): string | undefined {
    return this.heard.get(number);
  }

  /** The node told of a push that it received. */
  hear(id: ChannelId, payments: Uint8Array, declined?: string): void {
    const references = new Set<string>();
    for (const { reference } of unpackPayments(payments)) references.add(toHex(reference));
    for (const arrival of this.arrivals) {
      const isThis = equal(arrival.channelId, id) && references.has(toHex(arrival.reference));
      if (isThis && !this.isHeard(arrival)) this.heard.set(arrival.number, declined);
    }
  }

  get notes(): Uint8Array {
    return this.state.notes;
  }

  get owedMsat(): number {
    return this.state.owedMsat;
  }

  get owedPayments(): number {
    return this.state.owedPayments;
  }

  isWaiting(reference: Uint8Array): boolean {
    return this.arrivals.some((one) => equal(one.reference, reference));
  }

  /** One durable change; what `change` gets is the newest state. */
  async update(change: (state: InboxState) => InboxState): Promise<void> {
    await this.inTurn(() => {
      const next = change(this.state);
      const stored = this.inner.setValue(KEY, this.encode(next, this.nextNumber));
      const done = () => {
        this.state = next;
        if (this.heard.size > next.arrivals.length) this.forgetServed();
      };
      return stored instanceof Promise ? stored.then(done) : done();
    });
  }

  /** For an HTLC that was paid, or what the app itself owes: joined by the app, in an `update`. */
  numbered(arrival: Omit<Arrival, "number">): Arrival {
    const number = this.nextNumber++;
    this.heard.set(number, undefined);
    return { ...arrival, number };
  }

  commit(change: StoreCommit): Outcome<CommitOutcome> {
    const { credits } = change;
    if (!credits) return this.inner.commit(change);
    return this.inTurn(() => {
      const known = this.areKnown(credits);
      return known instanceof Promise
        ? known.then((each) => this.credit(change, credits, each))
        : this.credit(change, credits, known);
    });
  }

  private credit(
    change: StoreCommit,
    credits: Uint8Array,
    known: readonly boolean[],
  ): Outcome<CommitOutcome> {
    const seen = new Set<string>();
    let number = this.nextNumber;
    const fresh = unpackPayments(credits).map(({ reference, amountMsat }, i): Arrival => {
      const isDuplicate = known[i] === true || seen.has(toHex(reference));
      seen.add(toHex(reference));
      const { channelId: id } = change;
      const kept = { channelId: channelId(id.slice()), reference, amountMsat };
      return { ...kept, number: number++, isDuplicate, begun: false };
    });
    const next = { ...this.state, arrivals: [...this.state.arrivals, ...fresh] };
    const value: NamedValue = { key: KEY, bytes: this.encode(next, number) };
    const done = (outcome: CommitOutcome) => {
      this.state = next;
      this.nextNumber = number;
      return outcome;
    };
    const outcome = this.inner.commit({ ...change, values: [...(change.values ?? []), value] });
    return outcome instanceof Promise ? outcome.then(done) : done(outcome);
  }

  private forgetServed(): void {
    const waiting = new Set(this.arrivals.map(({ number }) => number));
    for (const number of this.heard.keys()) {
      // What was numbered a moment ago may stand in the next update.
      if (!waiting.has(number) && number < this.nextNumber - 64) this.heard.delete(number);
    }
  }

  private areKnown(credits: Uint8Array): Outcome<readonly boolean[]> {
    const answers: Outcome<boolean>[] = [];
    for (let at = 0; at < credits.length; at += PUSH_PAYMENT_BYTES) {
      answers.push(this.inner.isCredited(credits.slice(at, at + 16)));
    }
    return answers.some((one) => one instanceof Promise)
      ? Promise.all(answers)
      : (answers as boolean[]);
  }

  /** Changes of the list come one after the other, also where the store takes its time. */
  private inTurn<T>(work: () => Outcome<T>): Outcome<T> {
    const outcome = this.busy ? this.busy.then(work) : work();
    if (!(outcome instanceof Promise)) return outcome;
    const settled = outcome
      .catch(() => {})
      .then(() => {
        if (this.busy === settled) this.busy = undefined;
      });
    this.busy = settled;
    return outcome;
  }

  private encode(
    { arrivals, notes, owedMsat, owedPayments }: InboxState,
    nextNumber: number,
  ): Uint8Array {
    const writer = new ByteWriter();
    writer.u8(VERSION);
    writer.u32(nextNumber);
    writer.prefixed(notes);
    writer.varint(owedMsat);
    writer.varint(owedPayments);
    writer.varint(arrivals.length);
    for (const one of arrivals) {
      writer.u32(one.number);
      writer.raw(one.channelId);
      writer.prefixed(one.reference);
      writer.u64(one.amountMsat);
      writer.u8(flagsOf(one));
      if (!one.held) continue;
      writer.u64(one.held.htlcId);
      writer.raw(one.held.secret);
    }
    return writer.bytes();
  }

  private decode(bytes: Uint8Array): void {
    const reader = new ByteReader(bytes);
    const version = reader.u8();
    if (version > VERSION) throw new Error("the inbox was written by a newer firmware");
    this.nextNumber = reader.u32();
    const notes = reader.prefixed().slice();
    const owedMsat = version > 1 ? reader.varint() : 0;
    const owedPayments = version > 1 ? reader.varint() : 0;
    const arrivals: Arrival[] = [];
    for (let count = reader.varint(); count > 0; count--) {
      const number = reader.u32();
      const id = channelId(reader.raw(32).slice());
      const reference = reader.prefixed().slice();
      const amountMsat = milliSatoshi(reader.u64());
      const flags = reader.u8();
      const held =
        (flags & 8) === 0 ? undefined : { htlcId: reader.u64(), secret: reader.raw(32).slice() };
      arrivals.push({
        number,
        channelId: id,
        reference,
        amountMsat,
        isDuplicate: (flags & 1) !== 0,
        begun: (flags & 2) !== 0,
        owed: (flags & 4) !== 0,
        held,
        delivered: (flags & 16) !== 0,
      });
    }
    this.state = { arrivals, notes, owedMsat, owedPayments };
  }

  // The rest of the store is as it was.

  load() {
    return this.inner.load();
  }
  isDebited(reference: Uint8Array) {
    return this.inner.isDebited(reference);
  }
  isCredited(reference: Uint8Array) {
    return this.inner.isCredited(reference);
  }
  getValue(key: string) {
    return this.inner.getValue(key);
  }
  setValue(key: string, value: Uint8Array) {
    return this.inner.setValue(key, value);
  }
  close() {
    return this.inner.close();
  }
}

function flagsOf({ isDuplicate, begun, owed, held, delivered }: Arrival): number {
  const flags = (isDuplicate ? 1 : 0) | (begun ? 2 : 0) | (owed ? 4 : 0);
  return flags | (held ? 8 : 0) | (delivered ? 16 : 0);
}
