/**
 * All updates of a channel, each with the numbers of the two commitments that first hold it (BOLT 2
 * "Normal Operation"): every state is counted anew from this.
 */
import type { Bytes } from "./bytes.ts";
import { type Balances, type Htlc, other, type Role } from "./commitment.ts";
import type { Message } from "./messages.ts";

export type Update =
  | { readonly type: "add"; readonly htlc: Htlc }
  | { readonly type: "fulfill"; readonly id: number; readonly preimage: Bytes }
  | { readonly type: "fail"; readonly id: number }
  | {
      readonly type: "push";
      readonly id: number;
      readonly payments: Bytes;
      readonly amountMsat: number;
    }
  | { readonly type: "fee"; readonly feeratePerKw: number };

export interface Entry {
  readonly by: Role;
  readonly update: Update;
  /** As it was sent, to send it again. */
  readonly message: Message;
  /** The number of the first commitment of each side that holds it. */
  readonly since: { [role in Role]?: number };
}

export class UpdateLog {
  private entries: Entry[] = [];

  constructor(private readonly first: Balances) {}

  add(by: Role, update: Update, message: Message): Entry {
    const entry: Entry = { by, update, message, since: {} };
    this.entries.push(entry);
    return entry;
  }

  by(role: Role): readonly Entry[] {
    return this.entries.filter((entry) => entry.by === role);
  }

  /** What a new commitment of `role` would hold besides what the last one did. */
  fresh(role: Role, acknowledged: number): readonly Entry[] {
    const sender = other(role);
    return this.entries.filter(({ by, since }) => {
      if (since[role] !== undefined) return false;
      return by === sender || (since[sender] ?? Number.POSITIVE_INFINITY) <= acknowledged;
    });
  }

  /** Forgets what was proposed and never signed: all of it by its sender, or its receiver. */
  forgetProposals(): void {
    this.entries = this.entries.filter(({ by, since }) => since[other(by)] !== undefined);
  }

  /** The state of `role`'s commitment with this number, with `proposed` updates besides. */
  balances(role: Role, number: number, proposed: readonly Entry[] = []): Balances {
    const state = { ...this.first, htlcs: new Map<string, Htlc>() };
    const move = (to: Role, amountMsat: number) => {
      if (to === "opener") state.openerMsat += amountMsat;
      else state.acceptorMsat += amountMsat;
    };
    for (const entry of this.entries) {
      const { by, update, since } = entry;
      const holds = (since[role] ?? Number.POSITIVE_INFINITY) <= number;
      if (!holds && !proposed.includes(entry)) continue;
      if (update.type === "fee") state.feeratePerKw = update.feeratePerKw;
      if (update.type === "push") {
        move(by, -update.amountMsat);
        move(other(by), update.amountMsat);
      }
      if (update.type === "add") {
        move(by, -update.htlc.amountMsat);
        state.htlcs.set(`${by} ${update.htlc.id}`, update.htlc);
      }
      if (update.type === "fulfill" || update.type === "fail") {
        const key = `${other(by)} ${update.id}`;
        const htlc = state.htlcs.get(key);
        if (!htlc) throw new Error(`commitment ${number} of ${role} has no HTLC ${key}`);
        state.htlcs.delete(key);
        move(update.type === "fulfill" ? by : other(by), htlc.amountMsat);
      }
    }
    return { ...state, htlcs: [...state.htlcs.values()] };
  }
}
