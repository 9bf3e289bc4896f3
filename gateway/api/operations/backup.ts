/** What the operations about backups and watchtowers do. */
import { existsSync, statSync } from "node:fs";
import { publicKey } from "../../../core/primitives/brands.ts";
import { fromHex, toHex } from "../../../core/primitives/bytes.ts";
import { BackupError } from "../../backup/backup-error.ts";
import { CHANNELS_FILE } from "../../backup/backups.ts";
import { DEFAULT_SLOTS, DEFAULT_SLOTS_PER_CLIENT } from "../../tower/tower-server.ts";
import type { ApiHost } from "../host.ts";
import { type Answer, type AnyOperation, serve } from "../operation.ts";
import { ApiProblem } from "../problem.ts";
import { backupShapes } from "../shapes/backup.ts";

export function backupOperations(host: ApiHost): readonly AnyOperation[] {
  const backups = () => {
    if (host.backups) return host.backups;
    throw new ApiProblem("unavailable", "this gateway keeps no backups");
  };
  let penalties = 0;
  host.events.follow(({ event }) => {
    if (event.type !== "tower" || event.side !== "server" || event.what !== "penalty") return;
    if (event.result === "punished") penalties++;
  });
  return [
    serve(backupShapes.getBackup, () => {
      const { channels, copies, s3 } = backups();
      const place = s3?.state;
      return {
        channels: {
          count: channels.channels.length,
          paths: [...channels.places],
          written_at: time(channels.writtenAtMs),
          is_current: channels.isCurrent,
        },
        store: storeOf(host, backups()),
        peers: copies.copies.map((copy) => ({
          node_id: copy.peer,
          given_at: time(copy.givenAtMs),
          is_current: copy.isCurrent,
          channels: copy.channels,
        })),
        s3: place
          ? {
              place: place.name,
              channels_at: time(place.channelsAtMs),
              snapshot_at: time(place.snapshotAtMs),
              stream_at: time(place.partAtMs),
              is_current: place.isCurrent,
              failure: place.failure ?? null,
            }
          : null,
      };
    }),
    serve(backupShapes.makeBackup, async () => {
      try {
        const { path, bytes, createdAtSeconds } = await backups().snapshot();
        return { path, bytes, created_at: new Date(createdAtSeconds * 1_000).toISOString() };
      } catch (cause) {
        if (!(cause instanceof BackupError)) throw cause;
        const kind = cause.code === "unsupported" ? "refused" : "unavailable";
        throw new ApiProblem(kind, cause.message);
      }
    }),
    serve(backupShapes.downloadBackup, () => {
      const { sealed, writtenAtMs } = backups().channels;
      if (!sealed || writtenAtMs === undefined) {
        throw new ApiProblem("unavailable", "the channels' backup is not written yet");
      }
      const created_at = new Date(writtenAtMs).toISOString();
      return { name: CHANNELS_FILE, created_at, base64: Buffer.from(sealed).toString("base64") };
    }),
    serve(
      backupShapes.getDeviceBackup,
      async ({ node_id }) => {
        const blob = await host.gateway.storage.keptFor(keyOf(node_id));
        if (blob) return { node_id, base64: Buffer.from(blob).toString("base64") };
        throw new ApiProblem("not-found", `${node_id} left no backup here`);
      },
      ({ node_id }) => keyOf(node_id),
    ),
    serve(backupShapes.getTower, () => ({
      client: clientOf(host),
      server: serverOf(host, penalties),
    })),
  ];
}

const keyOf = (nodeId: string) => publicKey(fromHex(nodeId));

function storeOf(
  { config }: ApiHost,
  {
    isStoreOurs,
    snapshotPath,
    snapshotFailure,
    stream,
    streamPath,
  }: NonNullable<ApiHost["backups"]>,
): Answer<typeof backupShapes.getBackup>["store"] {
  if (!isStoreOurs) return null;
  const found = existsSync(snapshotPath) ? statSync(snapshotPath) : undefined;
  return {
    path: snapshotPath,
    created_at: time(found?.mtimeMs),
    bytes: found?.size ?? 0,
    every_hours: config["backup.snapshot_every_hours"],
    failure: snapshotFailure ?? null,
    stream: stream
      ? {
          path: streamPath,
          written_at: time(stream.writtenAtMs),
          every_seconds: config["backup.stream_seconds"],
          is_whole: !stream.isFull,
          is_current: stream.isCurrent,
        }
      : null,
  };
}

function clientOf({ gateway }: ApiHost): Answer<typeof backupShapes.getTower>["client"] {
  const { client, protected: store } = gateway.watching;
  if (!client || !store) return null;
  const { waitingStates, lostStates, unseenStates, exposureMsat } = store.protection();
  const isThere = gateway.node.isConnected(client.tower);
  return {
    tower: toHex(client.tower),
    state: client.isRegistered ? "registered" : isThere ? "connected" : "away",
    waiting_states: waitingStates,
    lost_states: lostStates,
    unseen_states: unseenStates,
    unprotected_msat: exposureMsat,
  };
}

function serverOf(
  { gateway }: ApiHost,
  penalties: number,
): Answer<typeof backupShapes.getTower>["server"] {
  const { server } = gateway.watching;
  if (!server) return null;
  return {
    ...server.totals(),
    slots_per_client: DEFAULT_SLOTS_PER_CLIENT,
    slots_total: DEFAULT_SLOTS,
    penalties,
  };
}

function time(ms: number | undefined): string | null {
  return ms === undefined ? null : new Date(ms).toISOString();
}
