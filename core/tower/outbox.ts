/** Slots of one channel on their way to the tower, made from its backlog a few at a time; lost with the process, and made again (docs/PROTOCOL.md "Watchtower"). */
import { lookupSecret } from "../keys/shachain.ts";
import type { Crypto } from "../ports/crypto.ts";
import type { ChannelSigner } from "../ports/signer.ts";
import { equal } from "../primitives/bytes.ts";
import { assert } from "../primitives/errors.ts";
import type { CommitmentSpec } from "../transactions/terms.ts";
import type { Backlog } from "./backlog.ts";
import { encodeKit } from "./justice-kit.ts";
import { makeKit } from "./make-kit.ts";
import type { ProtectedChannel } from "./protected-store.ts";
import { nextDigest } from "./receipt.ts";
import { sealSlots } from "./slot.ts";

export interface OutboxTerms {
  readonly crypto: Crypto;
  readonly signer: ChannelSigner;
  readonly payoutScript: Uint8Array;
  readonly feeratePerKw: number;
}

interface Waiting {
  readonly slot: Uint8Array;
  /** Of this slot and all before it. */
  readonly digest: Uint8Array;
  /** States that are protected once the tower holds this slot. */
  states: number;
}

export class TowerOutbox {
  readonly epoch: number;
  /** Of the first slot here. */
  #from: number;
  #digest: Uint8Array;
  #slots: Waiting[] = [];
  /** States of the backlog whose slots are here, oldest first. */
  #specs: CommitmentSpec[] = [];
  /** Slots that must be here before the tower's answer can be checked. */
  #needed = 0;
  /** States at the beginning of the backlog that need no slot. */
  #done = 0;
  /** An update is under way since then: nothing more is sent before its answer. */
  sentAtMs: number | undefined;

  constructor(
    readonly tag: Uint8Array,
    backlog: Backlog,
    private readonly terms: OutboxTerms,
  ) {
    this.epoch = backlog.epoch;
    this.#from = backlog.acknowledged;
    this.#digest = backlog.digest;
  }

  /** Whether it still holds what the backlog begins with. */
  fits({ epoch, waiting }: Backlog): boolean {
    return epoch === this.epoch && this.#specs.every((spec, i) => waiting[i] === spec);
  }

  /** Makes slots for at most so many states, as long as fewer than `slots` are here. */
  prepare({ record, backlog }: ProtectedChannel, states: number, slots: number): number {
    let made = 0;
    const { crypto } = this.terms;
    while (made < states && this.#slots.length < Math.max(slots, this.#needed)) {
      const spec = backlog.waiting[this.#specs.length];
      if (!spec) break;
      this.#specs.push(spec);
      made++;
      const secret = lookupSecret(crypto, record.secrets, spec.number);
      assert(secret, "a revoked state has its secret");
      const found = makeKit({ ...this.terms, terms: record.terms }, spec, secret);
      const sealed = found ? sealSlots(crypto, found.txid, encodeKit(found.kit)) : [];
      for (const slot of sealed) this.#add(slot);
      // A state in which a tower could take nothing is as good as protected.
      const last = this.#slots[this.#slots.length - 1];
      if (last) last.states++;
      else this.#done++;
    }
    return made;
  }

  /** The next slots; undefined while there are none, or the tower has more of them than are made by now. */
  update(
    backlog: Backlog,
    most: number,
  ): { readonly from: number; readonly slots: readonly Uint8Array[] } | undefined {
    const isShort = this.#slots.length < this.#needed && this.#hasMore(backlog);
    if (this.#slots.length === 0 || isShort) return undefined;
    return { from: this.#from, slots: this.#slots.slice(0, most).map(({ slot }) => slot) };
  }

  /**
   * The backlog after the tower said that it holds `count` slots with this digest; undefined where that is not what was
   * sent. After a restart it may have more than were made anew by now: then nothing changes yet.
   */
  acknowledged(backlog: Backlog, count: number, digest: Uint8Array): Backlog | undefined {
    const known = count - this.#from;
    if (known > this.#slots.length && this.#hasMore(backlog)) {
      this.#needed = known;
      return backlog;
    }
    this.#needed = 0;
    if (known < 0 || known > this.#slots.length) return undefined;
    const expected = known === 0 ? backlog.digest : this.#slots[known - 1]?.digest;
    if (!expected || !equal(expected, digest)) return undefined;
    return this.#taken(backlog, known);
  }

  /** States that need no slot leave the backlog as they are found. */
  withoutIdle(backlog: Backlog): Backlog {
    return this.#done > 0 ? this.#taken(backlog, 0) : backlog;
  }

  /** Up to the last slot that ends a state: the tower passes over what it has of the next one. */
  #taken(backlog: Backlog, known: number): Backlog {
    let [states, slots] = [this.#done, 0];
    this.#done = 0;
    for (let i = 0; i < known; i++) {
      const { states: ended } = this.#slots[i] as Waiting;
      if (ended === 0) continue;
      states += ended;
      slots = i + 1;
    }
    const digest = slots === 0 ? backlog.digest : (this.#slots[slots - 1] as Waiting).digest;
    this.#slots = this.#slots.slice(slots);
    this.#specs = this.#specs.slice(states);
    this.#from += slots;
    const waiting = backlog.waiting.slice(states);
    return { ...backlog, acknowledged: this.#from, digest, waiting };
  }

  #hasMore({ waiting }: Backlog): boolean {
    return this.#specs.length < waiting.length;
  }

  #add(slot: Uint8Array): void {
    this.#digest = nextDigest(this.terms.crypto, this.#digest, slot);
    this.#slots.push({ slot, digest: this.#digest, states: 0 });
  }
}
