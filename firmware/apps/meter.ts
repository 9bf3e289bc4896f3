/** A meter: what is paid in small pushes flows for as long, by the second or the watt-hour; the unused rest goes back. */
import type { ChannelEvent } from "../../core/channel/effects.ts";
import type { Message, MessageNamed } from "../../core/messages/message.ts";
import { METER_STATES, METER_UNITS } from "../../core/messages/service.ts";
import { type ChannelId, milliSatoshi, type PublicKey } from "../../core/primitives/brands.ts";
import { ascii, equal, toHex } from "../../core/primitives/bytes.ts";
import { assert } from "../../core/primitives/errors.ts";
import type { App, AppHost, AppStatus } from "./app.ts";
import type { Config } from "./config.ts";
import { Faults } from "./faults.ts";
import type { Arrival } from "./inbox.ts";
import { Flow, type FlowSettings, flowSettings } from "./meter-flow.ts";
import {
  decodeSession,
  encodeSession,
  isSessionOf,
  leftMsat,
  type MeterSession,
  restReference,
  sessionOfReference,
} from "./meter-session.ts";
import { shortened } from "./notes.ts";
import { Till } from "./till.ts";

export interface MeterSettings extends FlowSettings {
  readonly machine: string;
  /** For one unit. */
  readonly priceMsat: number;
  /** Units that may be paid ahead: more goes back. */
  readonly maxAheadUnits: number;
  /** The use is written to flash every so many units: a power cut gives at most so many to the payer. */
  readonly checkpointUnits: number;
  /** Without a payment and without use a session ends after so long. */
  readonly idleSeconds: number;
}

const MAX_NOTE = 96;
/** Ends that are told again to a payer who did not hear of them. */
const MAX_ENDED = 8;
/** A session that nobody pays for makes room for another payer after so long. */
const UNPAID_MS = 30_000;

export function meterSettings(config: Config): MeterSettings {
  const settings: MeterSettings = {
    machine: config.text("machine", "meter"),
    priceMsat: config.integer("priceMsat", { min: 1, max: 1_000_000_000 }),
    maxAheadUnits: config.integer("maxAheadUnits", { min: 1, max: 60_000, otherwise: 120 }),
    checkpointUnits: config.integer("checkpointUnits", { min: 1, max: 3_600, otherwise: 10 }),
    idleSeconds: config.integer("idleSeconds", { min: 5, max: 86_400, otherwise: 600 }),
    ...flowSettings(config),
  };
  config.end();
  return settings;
}

export class MeterApp implements App {
  readonly name = "meter";
  readonly takesPayments = true;
  private till!: Till;
  private flow!: Flow;
  private faults!: Faults;
  private session: MeterSession | undefined;
  private readonly connected = new Map<string, PublicKey>();
  /** Ends of sessions, newest last, by payer and id. */
  private readonly ended = new Map<string, Message>();
  private storedUnits = 0;
  private cancelIdle = () => {};

  constructor(private readonly settings: MeterSettings) {}

  async start(host: AppHost): Promise<void> {
    const { store, pins, clock } = host;
    assert(pins && clock, "a meter needs pins and a clock");
    this.till = new Till(host, { serve: (arrival) => this.take(arrival) });
    this.faults = await Faults.load(store, "something flows while the relay is open");
    this.flow = new Flow(this.settings, {
      pins,
      clock,
      hasUnit: () => this.session !== undefined && leftMsat(this.session) >= this.session.priceMsat,
      takeUnit: () => this.takeUnit(),
      dry: () => this.tellState(),
      leak: () => this.till.run(this.leaks()),
    });
    const kept = decodeSession(this.till.inbox.notes);
    if (kept) this.carryOn(kept);
    this.till.serve();
  }

  stop(): void {
    this.till.stop();
    this.cancelIdle();
    this.flow.stop();
  }

  status(): AppStatus {
    const note = this.fault();
    return { ready: note === undefined, note, faults: this.faults.all, ...this.till.owed };
  }

  async clear(): Promise<void> {
    await this.faults.clear();
    this.till.host.tell({ type: "fault", what: "looked at by the owner", cleared: true });
    this.quoteAll();
  }

  onPeer(peer: PublicKey, connected: boolean): void {
    if (connected) {
      this.connected.set(toHex(peer), peer);
      this.quote(peer);
      return;
    }
    this.connected.delete(toHex(peer));
    const { session } = this;
    if (session && session.paidMsat === 0 && equal(session.payer, peer))
      this.till.run(this.end(""));
  }

  onTip(): void {
    this.quoteAll();
    this.till.serve();
  }

  onChannelEvent(id: ChannelId, event: ChannelEvent): void {
    this.till.onChannelEvent(id, event);
    if (event.type !== "htlcReceived") return;
    const reason = ascii("a meter takes pushes alone");
    const { id: htlcId } = event.htlc;
    this.till.host.node.command(id, { type: "failHtlc", htlcId, reason });
  }

  onMessage(peer: PublicKey, message: Message): boolean {
    switch (message.type) {
      case "meter_start":
        this.till.run(this.begin(peer, message));
        return true;
      case "meter_stop":
        this.till.run(this.stopFor(peer, message.session.slice()));
        return true;
      default:
        return false;
    }
  }

  /** Why nothing can be sold, for people. */
  private fault(): string | undefined {
    return this.till.host.declineReason?.() ?? this.faults.reason();
  }

  // Quotes.

  private quoteAll(): void {
    for (const peer of this.connected.values()) this.quote(peer);
  }

  private quote(peer: PublicKey): void {
    const { machine, priceMsat, unit, unitSize, maxAheadUnits } = this.settings;
    const { session } = this;
    const isInUse = session !== undefined && !equal(session.payer, peer);
    const note = this.fault() ?? (isInUse ? "somebody else uses it" : undefined);
    this.till.host.node.sendService(peer, {
      type: "meter_quote",
      machine,
      ready: note === undefined,
      priceMsat: milliSatoshi(priceMsat),
      unitKind: METER_UNITS[unit],
      unitSize,
      maxAheadUnits,
      note: note === undefined ? undefined : shortened(note, MAX_NOTE),
    });
  }

  // Sessions.

  private async begin(peer: PublicKey, asked: MessageNamed<"meter_start">): Promise<void> {
    const id = asked.session.slice();
    const { unit, unitSize, priceMsat } = this.settings;
    const { session } = this;
    if (session && isSessionOf(session, peer, id)) {
      session.lowUnits = asked.lowUnits;
      this.tellState();
      return;
    }
    const before = this.ended.get(keyOf(peer, id));
    if (before) {
      this.till.host.node.sendService(peer, before);
      return;
    }
    if (session && equal(session.payer, peer)) await this.end("another one was begun");
    const isSame =
      asked.priceMsat === priceMsat &&
      asked.unitKind === METER_UNITS[unit] &&
      asked.unitSize === unitSize;
    const refusal =
      this.fault() ??
      (this.session ? "somebody else uses it" : undefined) ??
      (isSame ? undefined : "the price has changed");
    if (refusal !== undefined) {
      this.sendState(peer, { id, paidMsat: 0, usedUnits: 0 }, METER_STATES.refused, 0, refusal);
      this.quote(peer);
      return;
    }
    const fresh = { channelId: undefined, paidMsat: 0, usedUnits: 0, leftOfUnit: 0 };
    const price = milliSatoshi(priceMsat);
    this.carryOn({ payer: peer, id, priceMsat: price, lowUnits: asked.lowUnits, ...fresh });
    this.tellState();
    this.quoteAll();
  }

  /** Begins, or goes on where power failed: what is paid and unused flows. */
  private carryOn(session: MeterSession): void {
    this.session = session;
    this.storedUnits = session.usedUnits;
    this.flow.begin(session.leftOfUnit);
    this.active();
    if (this.faults.reason() === undefined) this.flow.resume();
    else this.till.run(this.end("the meter is out of order"));
  }

  private async stopFor(peer: PublicKey, id: Uint8Array): Promise<void> {
    if (this.session && isSessionOf(this.session, peer, id)) {
      await this.end("as asked");
      return;
    }
    const before = this.ended.get(keyOf(peer, id));
    if (before) this.till.host.node.sendService(peer, before);
    else {
      const nothing = { id, paidMsat: 0, usedUnits: 0 };
      this.sendState(peer, nothing, METER_STATES.ended, 0, "this session is not known here");
    }
  }

  /** The unused rest stands in the inbox from here on, and goes back like any payment that buys nothing. */
  private async end(note: string): Promise<void> {
    const { session } = this;
    if (!session) return;
    const { inbox, crypto } = this.till.host;
    this.flow.stop();
    this.cancelIdle();
    this.session = undefined;
    const rest = leftMsat(session);
    let arrival: Arrival | undefined;
    if (session.channelId && rest > 0) {
      const { channelId } = session;
      const kept = { channelId, amountMsat: rest, isDuplicate: false, begun: false, owed: true };
      const unnamed = inbox.numbered({ ...kept, reference: new Uint8Array(16) });
      const sha256 = (data: Uint8Array) => crypto.sha256(data);
      arrival = { ...unnamed, reference: restReference(sha256, session, unnamed.number) };
    }
    if (session.channelId) {
      const added = arrival ? [arrival] : [];
      await inbox.update((state) => ({
        ...state,
        arrivals: [...state.arrivals, ...added],
        notes: encodeSession(undefined),
      }));
    }
    const { id, payer, paidMsat, usedUnits } = session;
    const message = this.sendState(payer, session, METER_STATES.ended, rest, note);
    this.ended.set(keyOf(payer, id), message);
    const [oldest] = this.ended.keys();
    if (this.ended.size > MAX_ENDED && oldest) this.ended.delete(oldest);
    if (paidMsat > 0) this.till.host.tell({ type: "metered", session: id, usedUnits, paidMsat });
    this.quoteAll();
    this.till.serve();
  }

  private takeUnit(): void {
    const { session } = this;
    assert(session, "units are taken of a session");
    session.usedUnits++;
    this.active();
    const { checkpointUnits } = this.settings;
    const left = Math.floor(leftMsat(session) / session.priceMsat);
    if (left === session.lowUnits - 1 || (left === 0 && session.lowUnits > 0)) this.tellState();
    if (session.usedUnits - this.storedUnits >= checkpointUnits) {
      this.storedUnits = session.usedUnits;
      this.till.run(
        this.till.host.inbox.update((state) => ({ ...state, notes: this.encoded(session) })),
      );
    }
  }

  /** A payment or a use: the time until it counts as idle begins anew. */
  private active(): void {
    const { clock } = this.till.host;
    this.cancelIdle();
    const idleMs = this.settings.idleSeconds * 1_000;
    const delayMs = this.session?.paidMsat === 0 ? Math.min(UNPAID_MS, idleMs) : idleMs;
    const idle = () => {
      // Time that is paid for is used; power may wait for whoever plugs in.
      if (this.flow.isFlowing && this.settings.unit === "seconds") this.active();
      else this.till.run(this.end("nothing was used"));
    };
    this.cancelIdle = clock?.after(delayMs, idle) ?? (() => {});
  }

  private async leaks(): Promise<void> {
    await this.faults.breakDown();
    this.till.host.tell({
      type: "fault",
      what: "the meter counts while its relay is open",
      cleared: false,
    });
    await this.end("the meter is out of order");
    this.quoteAll();
  }

  // Payments.

  private async take(arrival: Arrival): Promise<void> {
    const refusal = this.refusalOf(arrival);
    const { session, till } = this;
    if (refusal !== undefined || !session) {
      await till.giveBack(arrival, refusal ?? "no session is open");
      return;
    }
    session.paidMsat += arrival.amountMsat;
    session.channelId = arrival.channelId;
    this.storedUnits = session.usedUnits;
    // One write: the payment leaves the inbox, the session has it.
    await till.done(arrival, () => this.encoded(session));
    if (this.session !== session) return;
    this.active();
    this.flow.resume();
    this.tellState();
  }

  /** Why a payment buys nothing. */
  private refusalOf({ reference, channelId, amountMsat }: Arrival): string | undefined {
    const { session } = this;
    const id = sessionOfReference(reference);
    const payer = this.till.host.node.record(channelId)?.remoteNodeId;
    if (!id || !payer || !session || !isSessionOf(session, payer, id)) {
      return "no such session is open";
    }
    const ahead = leftMsat(session) + amountMsat;
    if (ahead > this.settings.maxAheadUnits * session.priceMsat) return "too much is paid ahead";
    return this.faults.reason();
  }

  private encoded(session: MeterSession): Uint8Array {
    session.leftOfUnit = this.flow.leftOfUnit;
    return encodeSession(session);
  }

  // What the payer hears.

  private tellState(): void {
    const { session, flow } = this;
    if (!session) return;
    const state = flow.isFlowing ? METER_STATES.running : METER_STATES.waiting;
    this.sendState(session.payer, session, state, leftMsat(session));
  }

  private sendState(
    peer: PublicKey,
    session: Pick<MeterSession, "id" | "paidMsat" | "usedUnits">,
    state: number,
    left: number,
    note?: string,
  ): Message {
    const message: Message = {
      type: "meter_state",
      session: session.id,
      state,
      usedUnits: session.usedUnits,
      paidMsat: milliSatoshi(session.paidMsat),
      leftMsat: milliSatoshi(left),
      note: note ? shortened(note, MAX_NOTE) : undefined,
    };
    this.till.host.node.sendService(peer, message);
    return message;
  }
}

function keyOf(peer: PublicKey, id: Uint8Array): string {
  return `${toHex(peer)}/${toHex(id)}`;
}
