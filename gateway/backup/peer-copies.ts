/** Our channels' backup as a blob at the peers: placed where they keep it, compared when they give it back (docs/PROTOCOL.md "Peer storage"). */
import type { BasepointsOf } from "../../core/channel/codec.ts";
import { MAX_STORED_BYTES } from "../../core/messages/storage.ts";
import { equal, toHex } from "../../core/primitives/bytes.ts";
import { BackupError } from "./backup-error.ts";
import { sealBackup, unsealBackup } from "./backup-file.ts";
import { type BackupChannel, decodeChannels, encodeChannels } from "./channel-backup.ts";
import type { KeptChannel } from "./channel-keeper.ts";
import { countLost, lostIn, type StoreLife } from "./other-life.ts";

export interface PeerCopiesOptions extends StoreLife {
  channels(): readonly KeptChannel[];
  hasChannel(peer: string): boolean;
  /** It is connected, has a channel with us and keeps blobs of that size. */
  isHolder(peer: string, bytes: number): boolean;
  send(peer: string, blob: Uint8Array): boolean;
  nowMs(): number;
  onProblem(text: string): void;
}

export interface PeerCopy {
  readonly peer: string;
  /** Handed over by this process, since 1970; undefined: not yet. */
  readonly givenAtMs: number | undefined;
  /** It has what is current now, as far as it says. */
  readonly isCurrent: boolean;
  /** Of our channels; the blob has a largest size. */
  readonly channels: number;
}

interface Holder {
  /** What it has is known, and may be replaced. */
  isReady: boolean;
  isForeign: boolean;
  sent: Uint8Array | undefined;
  /** When `sent` was made, by the clock that stands in it (seconds since 1970). */
  sentSeconds: number;
  /** It surely had one that was made then, 0: none. What it gives back may be newer: another process's. */
  hadSeconds: number;
  sentAtMs: number | undefined;
  sentVersion: number;
  channels: number;
}

/** What one change begins is sent together. */
const GATHER_MS = 1_000;
/**
 * What was sent so shortly before a session was over may not have arrived, and the peer is not blamed: a session over
 * MQTT takes over a minute to notice that nobody hears it (core/transport/timing.ts).
 */
const ARRIVED_MS = 90_000;
/** A peer is written to no more often. */
const SEND_EVERY_MS = 2_000;

export class PeerCopies {
  private readonly holders = new Map<string, Holder>();
  private version = 1;
  private changedAtMs = 0;

  constructor(private readonly options: PeerCopiesOptions) {}

  get copies(): readonly PeerCopy[] {
    return [...this.holders].map(([peer, { sentAtMs, sentSeconds, sentVersion, channels }]) => {
      // sentAtMs measures intervals: it counts from the start of this process.
      const givenAtMs = sentAtMs === undefined ? undefined : sentSeconds * 1_000;
      return { peer, givenAtMs, isCurrent: sentVersion === this.version, channels };
    });
  }

  /** The channels are others now. */
  changed(): void {
    this.version++;
    this.changedAtMs = this.options.nowMs();
  }

  connected(peer: string): void {
    const holder = this.holderOf(peer);
    // A peer with a channel says first what it has; one without has nothing. Of a channel that was another process's a moment
    // ago the backup does not know yet: what is sent too early is answered, as it seems, by what the peer had before.
    holder.isReady = !this.options.hasChannel(peer);
    this.doubt(holder); // it may come anew without having gone
  }

  disconnected(peer: string): void {
    const holder = this.holders.get(peer);
    if (!holder) return;
    holder.isReady = false;
    if (holder.sentAtMs === undefined) this.holders.delete(peer);
    else this.doubt(holder);
  }

  /** What was sent a moment ago may not have come there. */
  private doubt(holder: Holder): void {
    if (this.hasArrived(holder)) holder.hadSeconds = holder.sentSeconds;
    else holder.sent = undefined;
  }

  private hasArrived({ sent, sentAtMs }: Holder): boolean {
    return sent !== undefined && this.options.nowMs() >= (sentAtMs ?? 0) + ARRIVED_MS;
  }

  /** Another process runs its channels from now on, and gives it what it likes. */
  left(peer: string): void {
    this.holders.delete(peer);
  }

  returned(peer: string, blob: Uint8Array): void {
    const holder = this.holderOf(peer);
    holder.isReady = true;
    const { sent, hadSeconds } = holder;
    if (sent) holder.hadSeconds = holder.sentSeconds;
    if (sent && equal(sent, blob)) return;
    holder.sent = undefined;
    holder.sentVersion = 0; // whatever we sent: this is what it has
    if (blob.length === 0) {
      if (sent || hadSeconds > 0) this.tell(`peer ${peer} no longer has the backup that it took`);
      holder.hadSeconds = 0;
      return;
    }
    this.judge(peer, holder, blob);
  }

  /** Some times a minute or more. */
  tick(): void {
    const nowMs = this.options.nowMs();
    if (nowMs < this.changedAtMs + GATHER_MS) return;
    for (const [peer, holder] of this.holders) {
      if (!holder.isReady || holder.isForeign || holder.sentVersion === this.version) continue;
      if (holder.sentAtMs !== undefined && nowMs < holder.sentAtMs + SEND_EVERY_MS) continue;
      if (!this.options.isHolder(peer, MAX_STORED_BYTES)) continue;
      this.place(peer, holder, nowMs);
    }
  }

  private place(peer: string, holder: Holder, nowMs: number): void {
    const { key, network, origin, channels, send } = this.options;
    const createdAtSeconds = Math.floor(Date.now() / 1_000);
    const { blob, count } = blobFor(key, {
      about: { network, createdAtSeconds, origin },
      channels: channels(),
      peer,
    });
    if (!send(peer, blob)) return;
    if (this.hasArrived(holder)) holder.hadSeconds = holder.sentSeconds;
    Object.assign(holder, { sent: blob, sentAtMs: nowMs, channels: count });
    holder.sentSeconds = createdAtSeconds;
    holder.sentVersion = this.version;
  }

  private judge(peer: string, holder: Holder, blob: Uint8Array): void {
    try {
      const found = lostIn(this.options, blob, `the blob of peer ${peer}`);
      if (found.isOurs) {
        const isOlder = found.createdAtSeconds < holder.hadSeconds;
        if (isOlder) this.tell(`peer ${peer} gave back an older backup than the one it took`);
        holder.hadSeconds = found.createdAtSeconds;
        return;
      }
      const { lost } = found;
      if (lost.length === 0) return;
      holder.isForeign = true;
      if (!this.options.elsewhere) this.tellLost(peer, lost.length);
      else void this.judgeWithOthers(peer, holder, lost);
    } catch (cause) {
      if (!(cause instanceof BackupError)) throw cause;
      this.tell(`peer ${peer} gave back no backup of ours (${cause.code}): it gets a new one`);
    }
  }

  private async judgeWithOthers(
    peer: string,
    holder: Holder,
    ids: readonly string[],
  ): Promise<void> {
    try {
      const lost = await countLost(this.options, ids);
      if (lost === 0) holder.isForeign = false;
      else this.tellLost(peer, lost);
    } catch (cause) {
      this.tell(`the backup that peer ${peer} gave back stays there: ${(cause as Error).message}`);
    }
  }

  private tellLost(peer: string, lost: number): void {
    const what = `peer ${peer} keeps a backup of this node with ${lost} channels that the store lacks`;
    this.tell(
      `${what}: it stays there; if the store was lost, stop and run picobolt restore-gateway --from-peer`,
    );
  }

  private tell(text: string): void {
    this.options.onProblem(text);
  }

  private holderOf(peer: string): Holder {
    const known = this.holders.get(peer);
    if (known) return known;
    const made: Holder = {
      isReady: false,
      isForeign: false,
      sent: undefined,
      sentSeconds: 0,
      hadSeconds: 0,
      sentAtMs: undefined,
      sentVersion: 0,
      channels: 0,
    };
    this.holders.set(peer, made);
    return made;
  }
}

/** What a blob's cover takes, at most: header, two chunks' lengths and tags, and what it is of. */
const COVER_BYTES = 256;

/** The channels with this peer first, then others while there is room; always of nearly one size. */
export function blobFor(
  key: Uint8Array,
  {
    about,
    channels,
    peer,
  }: {
    readonly about: Parameters<typeof sealBackup>[2];
    readonly channels: readonly Pick<KeptChannel, "peer" | "bytes">[];
    readonly peer: string;
  },
): { readonly blob: Uint8Array; readonly count: number } {
  const own = channels.filter((one) => one.peer === peer);
  const others = channels.filter((one) => one.peer !== peer).reverse();
  const chosen: Uint8Array[] = [];
  let room = MAX_STORED_BYTES - COVER_BYTES;
  for (const { bytes } of [...own, ...others]) {
    const needs = bytes.length + 3;
    if (needs > room) continue;
    room -= needs;
    chosen.push(bytes);
  }
  const blob = sealBackup(key, "channels", about, encodeChannels(chosen, room));
  return { blob, count: chosen.length };
}

/** All that blobs of several peers have, the newest of each channel; what does not open is told and left out. */
export function gatherBlobs(
  key: Uint8Array,
  blobs: readonly { readonly from: string; readonly blob: Uint8Array }[],
  basepointsOf: BasepointsOf,
): {
  readonly network: string | undefined;
  readonly channels: readonly BackupChannel[];
  readonly rejected: readonly string[];
} {
  const rejected: string[] = [];
  const opened = blobs.flatMap(({ from, blob }) => {
    try {
      const one = unsealBackup(key, blob, `the blob of ${from}`);
      return [{ ...one, channels: decodeChannels(one.content, basepointsOf) }];
    } catch (cause) {
      rejected.push((cause as Error).message);
      return [];
    }
  });
  opened.sort((a, b) => b.createdAtSeconds - a.createdAtSeconds);
  const byId = new Map<string, BackupChannel>();
  for (const { channels } of opened) {
    for (const one of channels) {
      const id = toHex(one.record.channelId);
      if (!byId.has(id)) byId.set(id, one);
    }
  }
  return { network: opened[0]?.network, channels: [...byId.values()], rejected };
}
