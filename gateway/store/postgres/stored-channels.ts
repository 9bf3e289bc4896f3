/** The channels that are in the database. */
import type { StoredChannel } from "../../../core/ports/store.ts";
import { channelId } from "../../../core/primitives/brands.ts";
import { toHex } from "../../../core/primitives/bytes.ts";
import type { Subject } from "../lease.ts";
import type { PostgresTables } from "./postgres-store.ts";
import type { Row, Session } from "./session.ts";

interface FoundChannel {
  readonly channel: StoredChannel;
  readonly subject: Subject;
}

/** All of them, or those of these subjects. */
export async function readChannels(
  session: Session,
  subjects: readonly Subject[] | undefined,
): Promise<readonly FoundChannel[]> {
  const of = subjects ? [subjects] : [];
  const channels = await session.query(subjects ? LOAD_OF : LOAD, of);
  const archives = archivesOf(await session.query(subjects ? ARCHIVE_OF : ARCHIVE, of));
  return channels.map((row) => {
    const id = channelId(new Uint8Array(row.channel_id as Uint8Array));
    const record = new Uint8Array(row.record as Uint8Array);
    const channel = { channelId: id, record, archive: archives.get(toHex(id)) ?? [] };
    return { channel, subject: new Uint8Array(row.subject as Uint8Array) };
  });
}

/** Of these ids, those that are there, whichever process runs them. */
export async function storedChannels(
  tables: PostgresTables,
  ids: readonly Uint8Array[],
): Promise<readonly Uint8Array[]> {
  const rows = await tables.read((session) => session.query(STORED, [ids]));
  return rows.map(({ channel_id: id }) => new Uint8Array(id as Uint8Array));
}

const STORED = {
  name: "stored_channels",
  text: "SELECT channel_id FROM channels WHERE channel_id = ANY ($1::bytea[])",
};

function archivesOf(rows: readonly Row[]): ReadonlyMap<string, Uint8Array[]> {
  const archives = new Map<string, Uint8Array[]>();
  for (const { channel_id: id, entry } of rows) {
    const key = toHex(id as Uint8Array);
    const archive = archives.get(key) ?? [];
    archive.push(new Uint8Array(entry as Uint8Array));
    archives.set(key, archive);
  }
  return archives;
}

const LOAD = {
  name: "load",
  text: "SELECT channel_id, subject, record FROM channels ORDER BY channel_id",
};
const LOAD_OF = {
  name: "load_of",
  text: `SELECT channel_id, subject, record FROM channels WHERE subject = ANY ($1::bytea[])
    ORDER BY channel_id`,
};
const ARCHIVE = {
  name: "archive",
  text: "SELECT channel_id, entry FROM archive ORDER BY channel_id, sequence",
};
const ARCHIVE_OF = {
  name: "archive_of",
  text: `SELECT channel_id, entry FROM archive JOIN channels USING (channel_id)
    WHERE subject = ANY ($1::bytea[]) ORDER BY channel_id, sequence`,
};
