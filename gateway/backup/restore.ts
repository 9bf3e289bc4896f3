/** A gateway's store from its backups: nothing that may be old is published before its peer was heard (rule `outdated-never-broadcasts`). */
import { existsSync, renameSync } from "node:fs";
import { open } from "node:fs/promises";
import { dirname } from "node:path";
import type Database from "better-sqlite3";
import { decodeRecord, encodeRecord } from "../../core/channel/codec.ts";
import { isOpen } from "../../core/channel/record.ts";
import { SeedSigner } from "../../core/keys/seed-signer.ts";
import type { Crypto } from "../../core/ports/crypto.ts";
import { toHex } from "../../core/primitives/bytes.ts";
import type { NodeSecret } from "../secrets/node-secret.ts";
import { syncFolder } from "../secrets/private-file.ts";
import { openDatabase } from "../store/schema.ts";
import { BackupError } from "./backup-error.ts";
import { contentOf, type OpenedBackup, openBackup } from "./backup-file.ts";
import { type BackupChannel, decodeChannels, MAX_BACKUP_BYTES } from "./channel-backup.ts";
import { applyStream, isStream } from "./record-stream.ts";
import { dropPart } from "./snapshot.ts";

export interface RestoreOptions {
  readonly crypto: Crypto;
  readonly secret: NodeSecret;
  /** At most one snapshot of a store and the record stream that continues it, and any number of channels' backups. */
  readonly files: readonly string[];
  /** What peers gave back (gateway/backup/fetch-blobs.ts). */
  readonly fromPeers?: FromPeers | undefined;
  /** Where the store of a network is to be; it must not be there yet. */
  storePath(network: string): string;
}

export interface FromPeers {
  readonly network: string;
  readonly channels: readonly BackupChannel[];
}

export interface Restored {
  readonly path: string;
  readonly network: string;
  /** Of the snapshot: to be asked about, and closed by their peers where they are old. */
  readonly suspects: number;
  /** Of channels' backups alone: to be closed by their peers. */
  readonly outdated: number;
  /** Closing on chain already. */
  readonly ending: number;
  /** Peers whose address is known, as they are called from the next start on. */
  readonly addresses: number;
  /** Records that could not be read: they stay in the store as they are, and nothing is done with them. */
  readonly unreadable: readonly string[];
  /** How far the stream brought it, and what was left out. */
  readonly notes: readonly string[];
}

/**
 * Key indices that were perhaps used after the backup: a channel that got one of them anew would have secrets
 * that a peer knows (rule `key-index-once`).
 */
const KEY_INDEX_LEAP = 1_000_000;
const MAX_KEY_INDEX = 0xffff_fffe;
const KEY_INDEX = "next-key-index";
const CHAIN_HEIGHT = "chain-height";
const DIALLED = "dialled-peers";
/** Names the life of a store: a restored one begins another. */
export const ORIGIN = "backup-origin";

type Counts = Pick<
  Restored,
  "suspects" | "outdated" | "ending" | "addresses" | "unreadable" | "notes"
>;

/** The store appears whole at its path, or not at all. @throws BackupError, StoreError, RecordError. */
export async function restoreGateway(options: RestoreOptions): Promise<Restored> {
  const { crypto, secret, files } = options;
  const key = secret.derive(crypto, "backup");
  const opened: OpenedBackup[] = [];
  try {
    const streams: string[] = [];
    for (const file of files) {
      if (await isStream(file)) streams.push(file);
      else opened.push(await openBackup(key, file));
    }
    const [stream] = streams;
    if (streams.length > 1 || (stream && !opened.some(({ kind }) => kind === "store"))) {
      const message = "a record stream continues one snapshot: name both, and one of each.";
      throw new BackupError("does-not-fit", message);
    }
    const { fromPeers } = options;
    const network = networkOf([...opened, ...(fromPeers ? [fromPeers] : [])]);
    const path = options.storePath(network);
    if (existsSync(path) || existsSync(`${path}-wal`)) {
      const message = `${path} is there already: nothing was written; move it away with its -wal, or restore into another folder.`;
      throw new BackupError("exists", message);
    }
    const part = `${path}.restored`;
    dropPart(part);
    try {
      const counts = await build({ ...options, stream }, opened, part);
      renameSync(part, path);
      syncFolder(dirname(path));
      return { path, network, ...counts };
    } finally {
      dropPart(part);
    }
  } finally {
    for (const backup of opened) await backup.close();
  }
}

function networkOf(opened: readonly Partial<OpenedBackup>[]): string {
  const networks = new Set(opened.map(({ network }) => network));
  const [network] = networks;
  if (network === undefined) throw new BackupError("missing", "name at least one backup.");
  if (networks.size > 1) {
    const message = `the backups are of several networks (${[...networks].join(", ")}): restore those of one.`;
    throw new BackupError("does-not-fit", message);
  }
  if (opened.filter(({ kind }) => kind === "store").length > 1) {
    const message = "there are two snapshots of stores: name the newer one alone.";
    throw new BackupError("does-not-fit", message);
  }
  return network;
}

type Building = RestoreOptions & { readonly stream: string | undefined };

async function build(
  options: Building,
  opened: readonly OpenedBackup[],
  part: string,
): Promise<Counts> {
  const { crypto, secret, fromPeers } = options;
  const signer = new SeedSigner(crypto, secret.seed(crypto));
  const basepointsOf = (keyIndex: number) => signer.channel(keyIndex).basepoints;
  const channels: BackupChannel[] = [];
  const notes: string[] = [];
  for (const backup of opened) {
    if (backup.kind === "store") {
      await unpack(backup, part);
      notes.push(...(await continued(options, backup, part)));
    } else {
      const content = await contentOf(backup, MAX_BACKUP_BYTES);
      channels.push(...decodeChannels(content, basepointsOf));
    }
  }
  channels.push(...(fromPeers?.channels ?? []));
  const db = openDatabase(part);
  try {
    const counts = db.transaction(() => new Rebuilding(db, basepointsOf).run(channels))();
    db.pragma("wal_checkpoint(TRUNCATE)");
    return { ...counts, notes };
  } finally {
    db.close();
  }
}

/** The snapshot becomes as new as its stream. */
async function continued(
  { crypto, secret, stream }: Building,
  { stream: start }: OpenedBackup,
  database: string,
): Promise<readonly string[]> {
  if (stream === undefined) return [];
  if (!start) return [`${stream} was left out: no stream continues this snapshot`];
  const key = secret.derive(crypto, "backup");
  const { parts, note } = await applyStream(key, { database, stream, start });
  return [`${parts} parts of ${stream} were added to the snapshot`, ...(note ? [note] : [])];
}

async function unpack(backup: OpenedBackup, part: string): Promise<void> {
  const file = await open(part, "wx", 0o600);
  try {
    for await (const piece of backup.pieces()) await file.writeFile(piece);
    await file.sync();
  } finally {
    await file.close();
  }
}

class Rebuilding {
  private highestKeyIndex = -1;
  private suspects = 0;
  private outdated = 0;
  private ending = 0;
  private readonly unreadable: string[] = [];

  constructor(
    private readonly db: Database.Database,
    private readonly basepointsOf: Parameters<typeof decodeRecord>[1],
  ) {}

  run(channels: readonly BackupChannel[]): Omit<Counts, "notes"> {
    this.suspectAll();
    this.db.prepare("DELETE FROM settings WHERE name = ?").run(ORIGIN);
    const added = this.add(channels);
    this.leapKeyIndex();
    this.readChainFrom(added);
    const addresses = this.keepAddresses(channels);
    const { suspects, outdated, ending, unreadable } = this;
    return { suspects, outdated, ending, unreadable, addresses };
  }

  /** In the records themselves, not in a list beside them: it holds until the peer was heard, over any restart. */
  private suspectAll(): void {
    const put = this.db.prepare("UPDATE channels SET record = ? WHERE channel_id = ?");
    const rows = this.db.prepare("SELECT channel_id, record FROM channels").all() as {
      readonly channel_id: Buffer;
      readonly record: Buffer;
    }[];
    for (const row of rows) {
      try {
        const record = decodeRecord(new Uint8Array(row.record), this.basepointsOf);
        this.seen(record.terms.keyIndex);
        if (isOpen(record.phase)) {
          put.run(encodeRecord({ ...record, suspect: true }), row.channel_id);
          this.suspects++;
        } else this.ending++;
      } catch (cause) {
        this.unreadable.push(`${toHex(row.channel_id)}: ${(cause as Error).message}`);
      }
    }
  }

  /** Those that no snapshot has; of several backups of one channel the first. */
  private add(channels: readonly BackupChannel[]): readonly BackupChannel[] {
    const put = this.db.prepare("INSERT OR IGNORE INTO channels VALUES (?, ?)");
    return channels.filter(({ record }) => {
      this.seen(record.terms.keyIndex);
      if (put.run(record.channelId, encodeRecord(record)).changes === 0) return false;
      if (record.phase === "outdated") this.outdated++;
      else this.ending++;
      return true;
    });
  }

  private seen(keyIndex: number): void {
    this.highestKeyIndex = Math.max(this.highestKeyIndex, keyIndex);
  }

  private leapKeyIndex(): void {
    const kept = this.value(KEY_INDEX);
    const next = kept?.length === 4 ? kept.readUInt32BE(0) : 0;
    const leapt = Math.max(next, this.highestKeyIndex + 1) + KEY_INDEX_LEAP;
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(Math.min(leapt, MAX_KEY_INDEX));
    this.setValue(KEY_INDEX, bytes);
  }

  /** Whatever ended a channel that was added is in a block after its birth. */
  private readChainFrom(added: readonly BackupChannel[]): void {
    const stored = this.value(CHAIN_HEIGHT);
    const births = added.map(({ record }) => record.createdAtHeight);
    if (stored === undefined || births.length === 0) return;
    const height = Math.min(stored.readUInt32BE(0), ...births.map((birth) => Math.max(1, birth)));
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(height);
    this.setValue(CHAIN_HEIGHT, bytes);
  }

  /** How gateway/run/peer-dialers.ts keeps them. */
  private keepAddresses(channels: readonly BackupChannel[]): number {
    const kept = this.value(DIALLED);
    const peers = kept ? (JSON.parse(kept.toString()) as { readonly nodeId: string }[]) : [];
    for (const { record, address } of channels) {
      const nodeId = toHex(record.remoteNodeId);
      if (!address || peers.some((peer) => peer.nodeId === nodeId)) continue;
      peers.push({ nodeId, ...address });
    }
    if (peers.length > 0) this.setValue(DIALLED, Buffer.from(JSON.stringify(peers)));
    return peers.length;
  }

  private value(name: string): Buffer | undefined {
    return this.db.prepare("SELECT value FROM settings WHERE name = ?").pluck().get(name) as
      | Buffer
      | undefined;
  }

  private setValue(name: string, value: Uint8Array): void {
    this.db.prepare("INSERT OR REPLACE INTO settings VALUES (?, ?)").run(name, value);
  }
}
