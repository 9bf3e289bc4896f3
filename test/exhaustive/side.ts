/** One node of the exploration as a plain value, and production's runner as a function from one such value to the next. */

import { decodeRecord, encodeRecord } from "../../core/channel/codec.ts";
import type { Context } from "../../core/channel/context.ts";
import type { Channel } from "../../core/channel/draft.ts";
import type { ChannelEvent } from "../../core/channel/effects.ts";
import type { Input } from "../../core/channel/inputs.ts";
import type { ChannelRecord } from "../../core/channel/record.ts";
import { restored } from "../../core/channel/transition.ts";
import type { SeedSigner } from "../../core/keys/seed-signer.ts";
import type { Message } from "../../core/messages/message.ts";
import { ChannelRunner, type RunnerHost } from "../../core/node/channel-runner.ts";
import { unpackPayments } from "../../core/payments/push.ts";
import type { StoreCommit } from "../../core/ports/store.ts";
import { toHex } from "../../core/primitives/bytes.ts";
import type { Basepoints } from "../../core/transactions/terms.ts";
import { SeenFault, watchEvent, watchMessage } from "./observer.ts";

export type Live = Extract<Channel, { kind: "live" }>;

export interface SideState {
  readonly channel: Live;
  /** References, as the store has them: in the same commits as the record. */
  readonly debited: readonly string[];
  readonly credited: readonly string[];
  /** What its application heard, each word once; outlives the process, as whoever looks on does. */
  readonly told: readonly string[];
  /** The newest remote commitment whose signature left: its number and digest. */
  readonly signed: string;
  /** What its application is yet to say: indices of wishes, and answers "htlcId/index". */
  readonly todo: readonly string[];
}

/** What never changes about a side. */
export interface SideKeys {
  readonly name: string;
  readonly signer: SeedSigner;
  readonly basepoints: Basepoints;
  readonly context: Omit<Context, "signer" | "commitments">;
  /** Which wish an HTLC that came belongs to. */
  answers(event: Extract<ChannelEvent, { type: "htlcReceived" }>): string;
}

/** Where an input may lead: to the end, or to a process that stopped on the way and began again. */
export interface Outcome {
  readonly state: SideState;
  readonly sent: readonly Message[];
  readonly crashed: boolean;
}

type Stop = Omit<Outcome, "crashed">;

type Deed =
  | { readonly type: "commit"; readonly change: StoreCommit }
  | { readonly type: "send"; readonly message: Message }
  | { readonly type: "notify"; readonly event: ChannelEvent };

/**
 * The whole way first, then one outcome for each place where the power may go; the last is before anything happened.
 * Inputs that came together wait for each other in the runner's queue.
 */
export function outcomes(
  keys: SideKeys,
  before: SideState,
  inputs: readonly Input[],
): readonly Outcome[] {
  const { channel, deeds } = run(keys, before, inputs);
  const stops: Stop[] = [{ state: before, sent: [] }];
  for (const deed of deeds) {
    const { state, sent } = stops.at(-1) as Stop;
    const isSent = deed.type === "send";
    stops.push({ state: after(keys, state, deed), sent: isSent ? [...sent, deed.message] : sent });
  }
  const last = stops.at(-1) as Stop;
  const anew = new Map<SideState, SideState>();
  const crashes = stops.map(({ state, sent }): Outcome => {
    const again = anew.get(state) ?? restarted(keys, state);
    anew.set(state, again);
    return { state: again, sent, crashed: true };
  });
  return [{ state: { ...last.state, channel }, sent: last.sent, crashed: false }, ...crashes];
}

/** The process is gone; the people behind it forget nothing but what they answered. */
function restarted(keys: SideKeys, state: SideState): SideState {
  const channel = reread(keys, state.channel.record);
  return { ...state, channel, todo: state.todo.filter((one) => !one.includes("/")) };
}

/** What a new process makes of the bytes that the old one stored. */
function reread({ basepoints }: SideKeys, record: ChannelRecord): Live {
  return restored(decodeRecord(encodeRecord(record), () => basepoints)) as Live;
}

/** Lets production work on its inputs, and writes down each commit, message and event in the order in which they come. */
function run(
  keys: SideKeys,
  before: SideState,
  inputs: readonly Input[],
): { channel: Live; deeds: Deed[] } {
  const deeds: Deed[] = [];
  const forbidden = (what: string) => () => {
    throw new SeenFault(`${keys.name} did what peace forbids: ${what}`);
  };
  let halt: unknown;
  const host: RunnerHost = {
    options: { policy: keys.context.policy, signer: keys.signer },
    store: {
      name: "explored",
      load: () => [],
      commit: (change) => {
        deeds.push({ type: "commit", change });
        return { duplicateCredits: [] };
      },
      isDebited: (reference) => before.debited.includes(toHex(reference)),
      isCredited: (reference) => before.credited.includes(toHex(reference)),
      getValue: () => undefined,
      setValue: () => {},
      close: () => {},
    },
    context: ({ signer, commitments }, archive) => ({
      ...keys.context,
      signer,
      commitments,
      archive,
    }),
    send: (_, message) => deeds.push({ type: "send", message }),
    notify: (_, event) => deeds.push({ type: "notify", event }),
    disconnect: (_, reason) => forbidden(`it hung up: ${reason}`)(),
    watch: () => {},
    publish: forbidden("it published a claim"),
    publishClose: forbidden("it published a close"),
    ended: forbidden("its channel ended"),
    halted: (_, cause) => {
      halt = cause;
    },
  };
  const { record } = before.channel;
  const { channelId: id, remoteNodeId } = record;
  const signer = keys.signer.channel(record.terms.keyIndex);
  const runner = new ChannelRunner(host, { id, remoteNodeId, signer, channel: before.channel });
  runner.inputs(inputs);
  if (halt instanceof SeenFault) throw halt;
  if (halt !== undefined) throw new SeenFault(`${keys.name} halted: ${String(halt)}`);
  return { channel: runner.channel as Live, deeds };
}

/** What a deed changes, but for the session: that is known at the end alone. */
function after(keys: SideKeys, state: SideState, deed: Deed): SideState {
  switch (deed.type) {
    case "commit":
      return committed(keys, state, deed.change);
    case "send":
      return watchMessage(keys, state, deed.message);
    case "notify":
      return watchEvent(keys, state, deed.event);
  }
}

function committed(keys: SideKeys, state: SideState, change: StoreCommit): SideState {
  const record = change.live as ChannelRecord;
  return {
    ...state,
    told: withHeld(state.told, record),
    channel: { ...state.channel, record },
    debited: joined(keys, state.debited, change.debits),
    credited: joined(keys, state.credited, change.credits),
  };
}

/** HTLCs that stood in both commitments: each will be resolved, and both sides must know of the same. */
function withHeld(told: readonly string[], { base }: ChannelRecord): readonly string[] {
  const held = base.htlcs.map(({ paymentHash }) => `held ${toHex(paymentHash)}`);
  const more = held.filter((one) => !told.includes(one));
  return more.length > 0 ? [...told, ...more].sort() : told;
}

function joined(
  { name }: SideKeys,
  known: readonly string[],
  packed?: Uint8Array,
): readonly string[] {
  if (!packed) return known;
  const more = unpackPayments(packed).map(({ reference }) => toHex(reference));
  for (const one of more) {
    if (known.includes(one)) throw new SeenFault(`${name} credited or debited ${one} twice`);
  }
  return [...known, ...more].sort();
}

/** Equal for states from which the same can happen; what a record keeps is what its codec keeps. */
export function keyOf({ channel, ...others }: SideState): string {
  const bytes = (_: string, value: unknown) =>
    value instanceof Uint8Array ? `h'${toHex(value)}'` : value;
  return `${toHex(encodeRecord(channel.record))} ${JSON.stringify([channel.session, others], bytes)}`;
}
