/** Two nodes with an open channel, and every step that production takes from any state of either, each worked out once. */
import { createHash } from "node:crypto";
import type { Input } from "../../core/channel/inputs.ts";
import { freshSession } from "../../core/channel/record.ts";
import { SeedSigner } from "../../core/keys/seed-signer.ts";
import type { Message } from "../../core/messages/message.ts";
import type { ChannelId } from "../../core/primitives/brands.ts";
import { equal, toHex } from "../../core/primitives/bytes.ts";
import type { ChannelType } from "../../core/transactions/terms.ts";
import { crypto, Pair, type TestNode } from "../support/node-pair.ts";
import { answerOf, commandOf, hashOf, type Plan, type SideName } from "./plan.ts";
import { remembering } from "./remembering.ts";
import { keyOf, outcomes, type SideKeys, type SideState } from "./side.ts";

/** One outcome of a step, with states and messages by their numbers. */
export interface Step {
  readonly state: number;
  readonly sent: readonly number[];
  readonly crashed: boolean;
}

const PUSHED_MSAT = 400_000_000;
const CRYPTO = remembering(crypto);
const ESTABLISHED = {
  ...freshSession,
  connected: true,
  reestablishSent: true,
  reestablishReceived: true,
};

export class Stage {
  private readonly numbers = new Map<string, number>();
  /** The same by the object, which costs less. */
  private readonly seen = new WeakMap<SideState, number>();
  readonly states: SideState[] = [];
  private readonly messageNumbers = new Map<string, number>();
  readonly messages: Message[] = [];
  private readonly known = { a: new Map<string, Step[]>(), b: new Map<string, Step[]>() };
  /** Steps that production was asked for. */
  worked = 0;

  private constructor(
    readonly plan: Plan,
    private readonly keys: Readonly<Record<SideName, SideKeys>>,
    readonly start: Readonly<Record<SideName, number>>,
  ) {}

  static async make(channelType: ChannelType, plan: Plan): Promise<Stage> {
    const pair = await Pair.make();
    const id = await pair.open({ channelType, pushMsat: PUSHED_MSAT });
    const keys = { a: sideKeys(pair.a, id, plan), b: sideKeys(pair.b, id, plan) };
    const stage = new Stage(plan, keys, { a: 0, b: 1 });
    for (const name of ["a", "b"] as const) {
      const record = pair[name].node.record(id);
      if (!record) throw new Error("the channel is not open");
      stage.numberOf(name, {
        channel: { kind: "live", record, session: ESTABLISHED },
        debited: [],
        credited: [],
        told: [],
        signed: "",
        todo: plan.flatMap(({ by }, i) => (by === name ? [String(i)] : [])),
      });
    }
    return stage;
  }

  state(number: number): SideState {
    return this.states[number] as SideState;
  }

  message(number: number): Message {
    return this.messages[number] as Message;
  }

  connect(side: SideName, state: number): readonly Step[] {
    return this.step(side, state, { name: "connected", input: { type: "connected" } });
  }

  disconnect(side: SideName, state: number): readonly Step[] {
    return this.step(side, state, { name: "disconnected", input: { type: "disconnected" } });
  }

  /** `places`: what its application says while the message waits to be read. */
  deliver(
    side: SideName,
    state: number,
    message: number,
    places: readonly number[] = [],
  ): readonly Step[] {
    const input: Input = { type: "message", message: this.message(message) };
    return this.step(side, state, { name: `m${message}`, input }, places);
  }

  /** Its application says what stands at these places of its list, in one breath. */
  say(side: SideName, state: number, places: readonly number[]): readonly Step[] {
    return this.step(side, state, undefined, places);
  }

  private command(todo: string): Input {
    const [first, second] = todo.split("/").map(Number);
    if (second === undefined) return commandOf(this.wish(first), first as number);
    return answerOf(this.wish(second), second, first as number);
  }

  private wish(index: number | undefined) {
    const wish = this.plan[index ?? -1];
    if (!wish) throw new Error(`there is no wish ${index}`);
    return wish;
  }

  private step(
    side: SideName,
    from: number,
    first: { readonly name: string; readonly input: Input } | undefined,
    places: readonly number[] = [],
  ): readonly Step[] {
    const cache = this.known[side];
    const key = `${from} ${first?.name} ${places.join(",")}`;
    const found = cache.get(key);
    if (found) return found;
    this.worked++;
    const state = this.state(from);
    const todo = state.todo.filter((_, place) => !places.includes(place));
    const said = places.map((place) => this.command(state.todo[place] as string));
    const inputs = [...(first ? [first.input] : []), ...said];
    const seen = new Set<string>();
    const steps: Step[] = [];
    for (const { crashed, ...outcome } of outcomes(this.keys[side], { ...state, todo }, inputs)) {
      const sent = outcome.sent.map((message) => this.messageNumber(message));
      const next = this.numberOf(side, outcome.state);
      const same = `${next} ${sent.join(",")} ${crashed}`;
      if (seen.has(same)) continue;
      seen.add(same);
      steps.push({ state: next, sent, crashed });
    }
    cache.set(key, steps);
    return steps;
  }

  private numberOf(side: SideName, state: SideState): number {
    const known = this.seen.get(state);
    if (known !== undefined) return known;
    const number = this.newNumberOf(side, state);
    this.seen.set(state, number);
    return number;
  }

  private newNumberOf(side: SideName, state: SideState): number {
    const key = createHash("sha256")
      .update(`${side} ${keyOf(state)}`)
      .digest("base64");
    const found = this.numbers.get(key);
    if (found !== undefined) return found;
    this.numbers.set(key, this.states.length);
    return this.states.push(state) - 1;
  }

  private messageNumber(message: Message): number {
    const key = JSON.stringify(message, (_, value: unknown) =>
      value instanceof Uint8Array ? toHex(value) : value,
    );
    const found = this.messageNumbers.get(key);
    if (found !== undefined) return found;
    this.messageNumbers.set(key, this.messages.length);
    return this.messages.push(message) - 1;
  }
}

function sideKeys(side: TestNode, id: ChannelId, plan: Plan): SideKeys {
  const found = side.node.contextOf(id);
  if (!found) throw new Error("the channel is not open");
  const { signer, commitments, ...context } = found;
  const { basepoints } = signer;
  return {
    name: side.name,
    signer: new SeedSigner(CRYPTO, new Uint8Array(32).fill(side.seed)),
    basepoints,
    context: { ...context, crypto: CRYPTO, archive: [] },
    answers: ({ htlc }) => {
      const index = plan.findIndex((_, i) => equal(hashOf(i), htlc.paymentHash));
      return `${htlc.id}/${index}`;
    },
  };
}
