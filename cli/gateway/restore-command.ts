/** A gateway's store from its backups, for the seed that is in the folder. */
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { NetworkName } from "../../core/chain/networks.ts";
import { RecordError } from "../../core/channel/codec.ts";
import { SeedSigner } from "../../core/keys/seed-signer.ts";
import type { Crypto } from "../../core/ports/crypto.ts";
import { toHex } from "../../core/primitives/bytes.ts";
import { BackupError } from "../../gateway/backup/backup-error.ts";
import { fetchBlobs } from "../../gateway/backup/fetch-blobs.ts";
import { gatherBlobs } from "../../gateway/backup/peer-copies.ts";
import { type FromPeers, restoreGateway } from "../../gateway/backup/restore.ts";
import { chooseCrypto } from "../../gateway/crypto/choose.ts";
import { s3LayoutOf } from "../../gateway/run/backup.ts";
import { ConfigError, loadConfig } from "../../gateway/run/config.ts";
import { openDataDir } from "../../gateway/run/data-dir.ts";
import { peerAddress } from "../../gateway/run/setting-kinds.ts";
import type { NodeSecret } from "../../gateway/secrets/node-secret.ts";
import { type Context, type Options, text } from "../command.ts";
import { EXIT, Failure, messageOf } from "../failure.ts";
import { openSeed, seedPlace } from "./seed-access.ts";

const NETWORK_NAMES: readonly string[] = ["mainnet", "testnet4", "signet", "regtest"];
const ASK_MS = 20_000;

export async function restoreCommand(
  context: Context,
  _: readonly string[],
  options: Options,
): Promise<void> {
  const { out } = context;
  const place = seedPlace(options);
  if (!existsSync(place.path)) {
    const what = `there is no seed in ${place.folder}: bring it back from its words first`;
    throw new Failure(`${what} (picobolt seed restore --data-dir ${place.folder})`, EXIT.refused);
  }
  const { secret } = await openSeed(context, place);
  const dataDir = folderOf(place.folder);
  context.atEnd(() => dataDir.release());
  const crypto = chooseCrypto();
  const restored = await restoreGateway({
    crypto,
    secret,
    files: await filesOf(context, { crypto, secret }, options, place.folder),
    fromPeers: await askPeers(context, { crypto, secret }, options),
    storePath: (network) => join(place.folder, `${network}.sqlite`),
  }).catch((cause: unknown) => {
    const isRefusal = cause instanceof BackupError && cause.code !== "io";
    if (!isRefusal && !(cause instanceof RecordError)) throw cause;
    throw new Failure(cause.message, EXIT.refused);
  });
  const { path, network, suspects, outdated, ending, addresses, unreadable, notes } = restored;
  out.text(`${path} was restored, of ${network}`);
  out.text(`${suspects} channels wait for their peers to say whether they are current`);
  out.text(
    `${outdated} channels are known by their static backup: their peers will be asked to close`,
  );
  out.text(`${ending} channels were ending on chain: that goes on`);
  out.text(`${addresses} peers will be called; others have to call, or be named (BOOTSTRAP_PEERS)`);
  for (const note of notes) out.note(note);
  for (const which of unreadable) out.note(`not readable: ${which}`);
  out.text("\nStart picobolt gateway on this folder alone: the old one must never run again.");
  out.result({
    path,
    network,
    suspects,
    outdated,
    ending,
    addresses,
    unreadable: unreadable.length,
  });
}

function folderOf(path: string) {
  try {
    return openDataDir(path);
  } catch (cause) {
    throw new Failure(messageOf(cause), EXIT.refused);
  }
}

interface Keys {
  readonly crypto: Crypto;
  readonly secret: NodeSecret;
}

/** Those that were named; for `s3` what the bucket has, in a folder that is gone at the end. */
async function filesOf(
  context: Context,
  { crypto, secret }: Keys,
  options: Options,
  folder: string,
): Promise<readonly string[]> {
  const named = (options.from ?? []) as readonly string[];
  if (!named.includes("s3")) return named;
  const layout = await layoutOf(new SeedSigner(crypto, secret.seed(crypto)).nodeId, options);
  const place = mkdtempSync(join(folder, "from-s3-"));
  context.atEnd(() => rmSync(place, { recursive: true }));
  context.out.note(`reading ${layout.name}`);
  const found = await layout.download(place).catch((cause: unknown) => {
    throw cause instanceof BackupError ? new Failure(cause.message, EXIT.refused) : cause;
  });
  return [...named.filter((one) => one !== "s3"), ...found];
}

async function layoutOf(nodeId: Uint8Array, options: Options) {
  const file = text(options, "config");
  try {
    const config = loadConfig({ env: process.env, ...(file !== undefined && { file }) });
    const layout = s3LayoutOf(config, toHex(nodeId));
    if (layout) return layout;
  } catch (cause) {
    if (!(cause instanceof ConfigError)) throw cause;
    throw new Failure(cause.message, EXIT.usage);
  }
  const what = "--from s3 needs backup.s3.endpoint, bucket and key: name the settings by --config";
  throw new Failure(what, EXIT.usage);
}

/** Words alone: what peers keep for this node; undefined where none was named. */
async function askPeers(
  { out }: Context,
  { crypto, secret }: Keys,
  options: Options,
): Promise<FromPeers | undefined> {
  const named = options.fromPeer as readonly string[] | undefined;
  if (!named) return undefined;
  const network = options.network as NetworkName;
  if (!NETWORK_NAMES.includes(network)) {
    const what = `--from-peer needs --network, one of ${NETWORK_NAMES.join(", ")}`;
    throw new Failure(what, EXIT.usage);
  }
  const holders = named.map((given) => {
    try {
      return peerAddress.read(given);
    } catch (cause) {
      throw new Failure(`--from-peer: ${messageOf(cause)}`, EXIT.usage);
    }
  });
  const signer = new SeedSigner(crypto, secret.seed(crypto));
  out.note(`asking ${holders.length} peers`);
  const asked = await fetchBlobs({ crypto, signer, network, holders, timeoutMs: ASK_MS });
  for (const text of asked.silent) out.note(text);
  const basepointsOf = (keyIndex: number) => signer.channel(keyIndex).basepoints;
  const found = gatherBlobs(secret.derive(crypto, "backup"), asked.blobs, basepointsOf);
  for (const text of found.rejected) out.note(text);
  if (found.network === undefined) {
    const what = "no peer gave a backup of this node: nothing was written";
    throw new Failure(`${what}; name others, or a file (--from)`, EXIT.refused);
  }
  out.note(`${asked.blobs.length} peers gave what they keep: ${found.channels.length} channels`);
  return { network: found.network, channels: found.channels };
}
