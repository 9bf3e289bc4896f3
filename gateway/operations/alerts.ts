/** Alarms of a gateway that runs: each is raised once when something needs a person, and cleared when it no longer does. */
import type { Phase } from "../../core/channel/record.ts";
import type { GatewayNetwork } from "../run/settings.ts";
import type { AlarmBoard, Alarm as AnyAlarm } from "./alarm-board.ts";
import { messageOf } from "./check.ts";
import { type DiskSpace, freeText, isLow } from "./disk.ts";

export const ALARM_NAMES = [
  "chain-silent",
  "chain-stuck",
  "chain-fork",
  "disk-low",
  "channel-closing",
  "outbound-low",
  "inbound-low",
  "tower-silent",
  "wallet-low",
] as const;
export type AlarmName = (typeof ALARM_NAMES)[number];

export interface Alarm extends AnyAlarm {
  readonly name: AlarmName;
}

export interface WatchedState {
  readonly channelId: string;
  readonly peer: string;
  readonly phase: Phase;
  readonly capacitySat: number;
  readonly localMsat: number;
  readonly remoteMsat: number;
}

export interface AlertLimits {
  /** No block for so long, where blocks have a pace. */
  readonly silentChainMinutes: number;
  /** Of a channel's capacity; 0: not looked at. */
  readonly outboundPercent: number;
  readonly inboundPercent: number;
  /** Fewer free confirmed coins than that; looked at while there are channels. */
  readonly walletCoins: number;
}

export interface AlertPorts {
  readonly network: GatewayNetwork;
  readonly limits: AlertLimits;
  nowMs(): number;
  tip(): Promise<{ readonly height: number }>;
  /** What speaks for it that the node is on a fork; rejects where nobody can be asked. */
  fork(): Promise<string | undefined>;
  freeCoins(): Promise<number>;
  disk(): DiskSpace;
  channels(): readonly WatchedState[];
  /** States that wait for the tower; undefined where none is named. */
  statesForTower(): number | undefined;
  /** Where what is found is told. */
  readonly board: AlarmBoard;
}

type Found = readonly Alarm[];

const MINUTE_MS = 60_000;
/** A node that is restarted is back by then. */
const CHAIN_SILENT_MS = 2 * MINUTE_MS;
const TOWER_SILENT_MS = 60 * MINUTE_MS;
/** A source that takes longer says nothing. */
const ANSWER_MS = 10_000;
/** Where more channels are low, one alarm tells of all. */
const MAX_NAMED_CHANNELS = 20;
/** Their blocks come when somebody makes them. */
const WITHOUT_PACE: readonly GatewayNetwork[] = ["regtest", "sim"];
const BY_FORCE: readonly string[] = ["local", "remote", "revoked", "future", "unknown"];
const NOTHING: Found = [];
/** On the board. */
const SCOPE = "gateway";

export class Alerts {
  /** Channels whose commitment is in a block: their phase does not tell it from a mutual close. */
  private readonly endings = new Map<string, string>();
  private chainFailedAtMs: number | undefined;
  private newest: { readonly height: number; readonly atMs: number } | undefined;
  private towerOwesAtMs: number | undefined;
  private isLooking = false;
  private isStopped = false;

  constructor(private readonly ports: AlertPorts) {}

  /** A channel told how it ends (core/channel/effects.ts: onChain, closed). */
  channelEnds(channelId: string, ending: string): void {
    if (BY_FORCE.includes(ending)) this.endings.set(channelId, ending);
    else this.endings.delete(channelId);
  }

  /** It took something that waited. */
  towerAnswered(): void {
    this.towerOwesAtMs = undefined;
  }

  /** Looks at everything; what cannot be asked now stays as it was. Never throws. */
  async look(): Promise<void> {
    if (this.isLooking) return;
    this.isLooking = true;
    try {
      const chain = await this.chain();
      const fork = await this.fork();
      const channels = this.ports.channels();
      const wallet = await this.wallet(channels.length);
      if (this.isStopped) return;
      this.settle(["chain-silent", "chain-stuck"], () => chain);
      this.settle(["chain-fork"], () => fork);
      this.settle(["wallet-low"], () => wallet);
      this.settle(["disk-low"], () => this.disk());
      this.settle(["channel-closing"], () => this.closing(channels));
      this.settle(["outbound-low", "inbound-low"], () => this.liquidity(channels));
      this.settle(["tower-silent"], () => this.tower());
    } finally {
      this.isLooking = false;
    }
  }

  stop(): void {
    this.isStopped = true;
  }

  /** Of those names. */
  private settle(names: readonly AlarmName[], find: () => Found | undefined): void {
    let found: Found | undefined;
    try {
      found = find();
    } catch {
      return; // unknown: nothing is raised, nothing cleared
    }
    if (found) this.ports.board.settle(SCOPE, names, found);
  }

  private async chain(): Promise<Found | undefined> {
    const { network, limits, nowMs, tip } = this.ports;
    let height: number;
    try {
      height = (await inTime(tip())).height;
    } catch (cause) {
      this.chainFailedAtMs ??= nowMs();
      if (nowMs() - this.chainFailedAtMs < CHAIN_SILENT_MS) return undefined;
      const text = `the Bitcoin node does not answer (${messageOf(cause)}): start it; penalties and deadlines depend on it`;
      return [{ name: "chain-silent", text }];
    }
    this.chainFailedAtMs = undefined;
    if (height !== this.newest?.height) this.newest = { height, atMs: nowMs() };
    if (WITHOUT_PACE.includes(network)) return NOTHING;
    const minutes = Math.floor((nowMs() - this.newest.atMs) / MINUTE_MS);
    if (minutes < limits.silentChainMinutes) return NOTHING;
    const text = `no block came after ${height} for ${minutes} minutes: look whether the Bitcoin node has peers`;
    return [{ name: "chain-stuck", text }];
  }

  /** Who does not answer says nothing: what was so stays so. */
  private async fork(): Promise<Found | undefined> {
    try {
      const found = await inTime(this.ports.fork());
      if (found === undefined) return NOTHING;
      const text = `the Bitcoin node may be on a fork: ${found}. Compare it with others before you trust a confirmation; upgrade it, or let it look again (bitcoin-cli reconsiderblock)`;
      return [{ name: "chain-fork", text }];
    } catch {
      return undefined;
    }
  }

  private async wallet(channels: number): Promise<Found | undefined> {
    const { freeCoins, limits } = this.ports;
    if (limits.walletCoins === 0 || channels === 0) return NOTHING;
    const coins = await inTime(freeCoins()).catch(() => undefined);
    if (coins === undefined) return undefined;
    if (coins >= limits.walletCoins) return NOTHING;
    const text = `the wallet has ${coins} confirmed coins ready: send it bitcoin, for without coins a commitment cannot confirm`;
    return [{ name: "wallet-low", text }];
  }

  private disk(): Found {
    const space = this.ports.disk();
    if (!isLow(space)) return NOTHING;
    const text = `only ${freeText(space)} of the disk are free: make room, for a full disk halts every channel`;
    return [{ name: "disk-low", text }];
  }

  private closing(channels: readonly WatchedState[]): Found {
    const known = new Set(channels.map(({ channelId }) => channelId));
    for (const id of this.endings.keys()) if (!known.has(id)) this.endings.delete(id);
    return channels.flatMap(({ channelId, peer, phase }) => {
      const how = this.howItCloses(channelId, phase);
      if (how === undefined) return [];
      const text = `channel ${channelId} with ${peer} ${how}: keep the gateway and its Bitcoin node running until it is settled`;
      return [{ name: "channel-closing" as const, channelId, text }];
    });
  }

  private howItCloses(channelId: string, phase: Phase): string | undefined {
    if (phase === "force-closing") return "is being closed by force";
    if (phase === "outdated") return "has an outdated record, and waits for its peer to close it";
    const ending = phase === "on-chain" ? this.endings.get(channelId) : undefined;
    if (ending === undefined) return undefined;
    if (ending === "revoked") return "was closed with a revoked commitment, which is punished";
    return `was closed by force (${ending} commitment)`;
  }

  private liquidity(channels: readonly WatchedState[]): Found {
    const { outboundPercent, inboundPercent } = this.ports.limits;
    const open = channels.filter(({ phase }) => phase === "normal");
    const outbound = lowOf(open, outboundPercent, {
      name: "outbound-low",
      msat: ({ localMsat }) => localMsat,
      side: "on our side: little can be paid to that peer; move some back, or open another",
    });
    const inbound = lowOf(open, inboundPercent, {
      name: "inbound-low",
      msat: ({ remoteMsat }) => remoteMsat,
      side: "on the peer's side: little can be received from it",
    });
    return [...outbound, ...inbound];
  }

  private tower(): Found {
    const { nowMs, statesForTower } = this.ports;
    const states = statesForTower() ?? 0;
    if (states === 0) {
      this.towerOwesAtMs = undefined;
      return NOTHING;
    }
    this.towerOwesAtMs ??= nowMs();
    const silentMs = nowMs() - this.towerOwesAtMs;
    if (silentMs < TOWER_SILENT_MS) return NOTHING;
    const minutes = Math.floor(silentMs / MINUTE_MS);
    const text = `the watchtower has taken nothing for ${minutes} minutes, and ${states} states wait for it: look whether it runs and is connected`;
    return [{ name: "tower-silent", text }];
  }
}

interface Side {
  readonly name: "outbound-low" | "inbound-low";
  msat(channel: WatchedState): number;
  /** The end of the sentence. */
  readonly side: string;
}

function lowOf(
  channels: readonly WatchedState[],
  percent: number,
  { name, msat, side }: Side,
): readonly Alarm[] {
  const low = channels.filter((one) => msat(one) * 100 < one.capacitySat * 1_000 * percent);
  if (low.length > MAX_NAMED_CHANNELS) {
    const text = `more than ${MAX_NAMED_CHANNELS} channels have less than ${percent} % of their capacity ${side}`;
    return [{ name, text }];
  }
  return low.map((one) => {
    const { channelId, peer } = one;
    const sat = Math.floor(msat(one) / 1_000);
    return { name, channelId, text: `channel ${channelId} with ${peer} has ${sat} sat ${side}` };
  });
}

async function inTime<T>(work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error("it takes too long")), ANSWER_MS);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
