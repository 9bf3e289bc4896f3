/** The static channel backup: for each channel what it takes to have its peer close it, and to claim what the peer's commitment pays us. */
import { type BasepointsOf, decodeRecord, encodeRecord } from "../../core/channel/codec.ts";
import { type ChannelRecord, isOpen, type Update } from "../../core/channel/record.ts";
import { decodeCbor, encodeCbor } from "../../core/messages/cbor.ts";
import { ProtocolViolation } from "../../core/primitives/errors.ts";
import { BackupError } from "./backup-error.ts";

export interface PeerAddress {
  readonly host: string;
  readonly port: number;
}

export interface BackupChannel {
  /** Signs and publishes nothing: phase `outdated`, but where the channel was closing on chain already. */
  readonly record: ChannelRecord;
  /** Where the peer was called, if it was. */
  readonly address?: PeerAddress | undefined;
}

export const MAX_BACKUP_CHANNELS = 100_000;
export const MAX_BACKUP_BYTES = 256 * 1024 * 1024;
/** What ended a channel is found in the chain again where it is larger. */
const MAX_ENDED_BYTES = 64 * 1024;
const VERSION = 1;
const LIMITS = {
  maxBytes: MAX_BACKUP_BYTES,
  maxDepth: 4,
  maxItems: 4 * MAX_BACKUP_CHANNELS + 8,
} as const;

/**
 * The record with which a channel comes back from a static backup. Its balances and numbers are those of the day; what
 * happened since is unknown, so it counts as outdated from the start (rule `outdated-never-broadcasts`).
 */
export function staticRecord(record: ChannelRecord): ChannelRecord {
  if (!isOpen(record.phase) && record.phase !== "outdated") {
    return encodeRecord(record).length <= MAX_ENDED_BYTES ? record : outdatedRecord(record);
  }
  return outdatedRecord(record);
}

function outdatedRecord(record: ChannelRecord): ChannelRecord {
  const { base, pending } = record;
  // Pushes have no output on the chain, and may be half a megabyte.
  const withoutPushes = (updates: readonly Update[]) =>
    updates.filter(({ type }) => type !== "push");
  return {
    ...record,
    phase: "outdated",
    outdated: true,
    suspect: undefined,
    // Known at its peer, or it would not be here: it is not forgotten while the funding has yet to be found.
    readySent: true,
    base: { ...base, htlcs: base.htlcs.map((htlc) => ({ ...htlc, onion: new Uint8Array(0) })) },
    pending: {
      localSigned: withoutPushes(pending.localSigned),
      localAcked: withoutPushes(pending.localAcked),
      remoteAcked: withoutPushes(pending.remoteAcked),
      remoteSigned: withoutPushes(pending.remoteSigned),
    },
    receiptsAwaited: [],
    receiptsOwed: [],
    mutualCloses: [],
    facts: [],
    failedOnChain: [],
  };
}

/** One channel of the content, for whoever keeps those that did not change. */
export function encodeChannel({ record, address }: BackupChannel): Uint8Array {
  const { host, port } = address ?? { host: "", port: 0 };
  return encodeCbor([encodeRecord(staticRecord(record)), host, port]);
}

/** `channels` are what `encodeChannel` gave; `padBytes` of nothing hide how many there are. */
export function encodeChannels(channels: readonly Uint8Array[], padBytes = 0): Uint8Array {
  const pad = padBytes > 0 ? [new Uint8Array(padBytes)] : [];
  return encodeCbor([VERSION, [...channels], ...pad]);
}

/** @throws BackupError "damaged", "newer-format", RecordError. */
export function decodeChannels(
  content: Uint8Array,
  basepointsOf: BasepointsOf,
): readonly BackupChannel[] {
  return encodedChannels(content).map((channel) => {
    const [record, host, port] = listIn(channel);
    if (!(record instanceof Uint8Array)) throw damaged();
    const address =
      typeof host === "string" && host !== "" ? { host, port: Number(port) } : undefined;
    // Whoever wrote it: nothing that is open comes back as anything else than outdated.
    return { record: staticRecord(decodeRecord(record, basepointsOf)), address };
  });
}

/** What `encodeChannels` was given. @throws BackupError "damaged", "newer-format". */
export function encodedChannels(content: Uint8Array): readonly Uint8Array[] {
  const [version, channels] = listIn(content);
  if (version !== VERSION) {
    throw new BackupError("newer-format", "the channels were backed up by a newer picobolt.");
  }
  const list = listOf(channels);
  if (list.length > MAX_BACKUP_CHANNELS) throw damaged();
  return list.map((channel) => {
    if (!(channel instanceof Uint8Array)) throw damaged();
    return channel;
  });
}

function listIn(content: Uint8Array): readonly unknown[] {
  try {
    return listOf(decodeCbor(content, LIMITS));
  } catch (cause) {
    if (cause instanceof ProtocolViolation) throw damaged({ cause });
    throw cause;
  }
}

function listOf(value: unknown): readonly unknown[] {
  if (!Array.isArray(value)) throw damaged();
  return value;
}

function damaged(options?: ErrorOptions): BackupError {
  return new BackupError("damaged", "the channels' backup opens, but holds no channels.", options);
}
