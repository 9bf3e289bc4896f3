/** Starts the backups of a running gateway, where and as often as its configuration says. */
import { randomBytes } from "node:crypto";
import { SeedSigner } from "../../core/keys/seed-signer.ts";
import type { Store } from "../../core/ports/store.ts";
import { channelId, publicKey } from "../../core/primitives/brands.ts";
import { fromHex, toHex } from "../../core/primitives/bytes.ts";
import { Backups } from "../backup/backups.ts";
import { countLost, lostIn, type StoreLife } from "../backup/other-life.ts";
import { ORIGIN } from "../backup/restore.ts";
import { S3Copies } from "../backup/s3-copies.ts";
import { S3Layout } from "../backup/s3-layout.ts";
import { S3Store } from "../backup/s3-store.ts";
import type { NodeSecret } from "../secrets/node-secret.ts";
import { fileText } from "../secrets/unlock.ts";
import { storedChannels } from "../store/postgres/stored-channels.ts";
import type { GatewayService } from "./service.ts";
import type { Config } from "./settings.ts";

export async function startBackups(service: GatewayService, secret: NodeSecret): Promise<Backups> {
  const { options, crypto, dataDir, chain, store, gateway } = service;
  const { config } = options;
  const signer = new SeedSigner(crypto, secret.seed(crypto));
  const life: StoreLife = {
    key: secret.derive(crypto, "backup"),
    network: chain.network,
    origin: await originOf(store),
    basepointsOf: (keyIndex) => signer.channel(keyIndex).basepoints,
    isHeld: (id) => gateway.node.record(channelId(fromHex(id))) !== undefined,
    ...(service.sharing && { elsewhere: (ids) => storedOf(service, ids) }),
  };
  const backups = await Backups.start({
    ...life,
    at: dataDir.at,
    channelsFile: config["backup.file"],
    snapshotFile: config["backup.snapshot_file"],
    snapshotEveryHours: config["backup.snapshot_every_hours"],
    db: service.records.sqlite?.db,
    records: () =>
      gateway.node.channels().flatMap(({ channel }) => {
        return channel.kind === "live" ? [channel.record] : [];
      }),
    streamSeconds: config["backup.stream_seconds"],
    s3: s3Of(service, life),
    atPeers: {
      hasChannel: (peer) => gateway.node.channels(publicKey(fromHex(peer))).length > 0,
      isHolder: (peer, bytes) => gateway.storage.isHolder(publicKey(fromHex(peer)), bytes),
      send: (peer, blob) =>
        gateway.node.sendService(publicKey(fromHex(peer)), { type: "peer_storage", blob }),
      nowMs: () => performance.now(),
    },
    addressOf: (nodeId) => service.dialers?.get(nodeId),
    onProblem: (text) => service.alarm(text),
  });
  const unfollow = service.events.follow(({ event }) => {
    if (event.type === "channel") backups.channelEvent((event.event as { type: string }).type);
    if (event.type !== "peer") return;
    if (event.state === "connected") backups.peerConnected(event.node_id as string);
    else backups.peerDisconnected(event.node_id as string);
  });
  service.atStop("backups", () => {
    unfollow();
    return backups.stop();
  });
  return backups;
}

function s3Of(service: GatewayService, life: StoreLife): S3Copies | undefined {
  const { config } = service.options;
  const layout = s3LayoutOf(config, service.nodeId);
  if (!layout) return undefined;
  return new S3Copies({
    layout,
    keep: config["backup.s3.keep"],
    refusal: async () => {
      const sealed = await layout.getChannels();
      const found = sealed && lostIn(life, sealed, `${layout.name}/channels.backup`);
      const lost = !found || found.isOurs ? 0 : await countLost(life, found.lost);
      if (lost === 0) return undefined;
      const what = `${layout.name} has a backup of this node with ${lost} channels that the store lacks`;
      return `${what}: nothing is written there; if the store was lost, stop and run picobolt restore-gateway --from s3, else choose another backup.s3.prefix`;
    },
    onProblem: (text) => service.alarm(text),
  });
}

async function storedOf(
  { records }: GatewayService,
  ids: readonly string[],
): Promise<ReadonlySet<string>> {
  if (!records.postgres) return new Set();
  const known = await storedChannels(records.postgres.tables, ids.map(fromHex));
  return new Set(known.map(toHex));
}

/** The place that the settings name; undefined where they name none. */
export function s3LayoutOf(config: Config, nodeId: string): S3Layout | undefined {
  const endpoint = config["backup.s3.endpoint"];
  const bucket = config["backup.s3.bucket"];
  const accessKeyId = config["backup.s3.access_key_id"];
  const secretAccessKey =
    config["backup.s3.secret_access_key"] ?? fileText(config["backup.s3.secret_access_key_file"]);
  if (!endpoint || !bucket || !accessKeyId || !secretAccessKey) return undefined;
  const region = config["backup.s3.region"];
  const store = new S3Store({ endpoint, bucket, region, accessKeyId, secretAccessKey });
  const worker = config["worker.name"];
  const own = worker === undefined ? nodeId : `${nodeId}/${worker}`;
  return new S3Layout(store, config["backup.s3.prefix"] ?? own);
}

/** A blob or a copy with another one is of a store that was lost, or of one that was restored since. */
async function originOf(store: Pick<Store, "getValue" | "setValue">): Promise<Uint8Array> {
  const known = await store.getValue(ORIGIN);
  if (known) return known;
  const made = new Uint8Array(randomBytes(16));
  await store.setValue(ORIGIN, made);
  return made;
}
