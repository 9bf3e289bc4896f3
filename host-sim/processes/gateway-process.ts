/** The gateway as a process of its own, on a bitcoind that runs already or on a simulated chain inside. */
import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { ChannelPolicy } from "../../core/channel/context.ts";
import { SeedSigner } from "../../core/keys/seed-signer.ts";
import { MemoryStore } from "../../core/node/memory-store.ts";
import type { ChainSource, ChainWallet } from "../../core/ports/chain.ts";
import type { Crypto } from "../../core/ports/crypto.ts";
import type { Store } from "../../core/ports/store.ts";
import {
  channelId,
  milliSatoshi,
  type PublicKey,
  publicKey,
  satoshi,
} from "../../core/primitives/brands.ts";
import { fromHex, toHex } from "../../core/primitives/bytes.ts";
import type { ChannelType } from "../../core/transactions/terms.ts";
import { type IdentityCard, PROTOCOL_VERSION } from "../../core/transport/identity.ts";
import { topicName } from "../../core/transport/mqtt-topics.ts";
import {
  channelEventJson,
  type JsonObject,
  plain,
  recordJson,
} from "../../gateway/api/event-json.ts";
import { BitcoindRpc } from "../../gateway/chain/bitcoind/rpc.ts";
import { BitcoindSource } from "../../gateway/chain/bitcoind/source.ts";
import { toDisplay } from "../../gateway/chain/bitcoind/units.ts";
import { BitcoindWallet } from "../../gateway/chain/bitcoind/wallet.ts";
import { type CryptoPreference, chooseCrypto } from "../../gateway/crypto/choose.ts";
import { Gateway } from "../../gateway/gateway.ts";
import { GatewayMqtt } from "../../gateway/links/mqtt.ts";
import { startSimLab } from "../chain/sim-lab.ts";
import { ChainDesk } from "../demo/chain-desk.ts";
import { emitEvent, type Methods, serveControl } from "./control.ts";
import { attachLink, SILENCE_OPTIONS, seedIn, timingOf } from "./start-up.ts";

const TICK_MS = 50;
const POLL_MS = 100;
const WALLET = "picobolt";

const { values } = parseArgs({
  options: {
    folder: { type: "string" },
    chain: { type: "string" },
    "rpc-port": { type: "string" },
    cookie: { type: "string" },
    link: { type: "string", multiple: true },
    mqtt: { type: "string" },
    "mqtt-ca": { type: "string" },
    crypto: { type: "string", default: "auto" },
    policy: { type: "string", default: "{}" },
    store: { type: "string", default: "sqlite" },
    seed: { type: "string" },
    /** Told to whoever asks who is there. */
    name: { type: "string", default: "gateway" },
    ...SILENCE_OPTIONS,
  },
});

interface Chain {
  readonly source: ChainSource;
  readonly wallet: ChainWallet;
  readonly methods: Methods;
}

async function openChain(crypto: Crypto): Promise<Chain> {
  if (values.chain === "sim") {
    const lab = startSimLab(crypto);
    const wallet = await lab.wallet(WALLET);
    const desk = await ChainDesk.open(lab, crypto);
    return { source: await lab.source(), wallet, methods: desk.methods() };
  }
  const port = Number(values["rpc-port"]);
  const cookieFile = values.cookie;
  if (!port || !cookieFile) throw new Error("--chain bitcoind needs --rpc-port and --cookie");
  const connect = () => new BitcoindRpc({ port, auth: { cookieFile } });
  const source = await BitcoindSource.open(connect(), { pollMs: POLL_MS, crypto });
  return { source, wallet: await BitcoindWallet.open(connect(), WALLET), methods: {} };
}

/** better-sqlite3 is loaded only where it is used: a machine that could not build it still has the simulated chain. */
async function openStore(folder: string): Promise<Store> {
  if (values.store === "memory") return new MemoryStore();
  const { openSqliteStore } = await import("../../gateway/store/sqlite-store.ts");
  return openSqliteStore(join(folder, "gateway.sqlite"));
}

async function main(): Promise<void> {
  const { folder } = values;
  if (!folder) throw new Error("--folder is missing");
  mkdirSync(folder, { recursive: true });
  const crypto = chooseCrypto(values.crypto as CryptoPreference);
  const { source, wallet, methods } = await openChain(crypto);
  const store = await openStore(folder);
  const signer = new SeedSigner(crypto, seedIn(folder, values.seed));
  const card = cardOf(signer.nodeId);
  const gateway = await Gateway.start({
    card: () => card,
    crypto,
    entropy: { random: (length) => new Uint8Array(randomBytes(length)) },
    store,
    signer,
    source,
    wallet,
    policy: JSON.parse(values.policy ?? "{}") as Partial<ChannelPolicy>,
    timing: timingOf(values),
    nowMs: Date.now(),
    serviceRefusal: () => undefined,
    fundingRefusal: () => undefined, // whoever reaches this gateway is one of the demo's devices
    events: {
      onChannelEvent: (id, event) =>
        emitEvent("channel", { id: toHex(id), ...channelEventJson(event) }),
      onPeer: (peer, state, reason) =>
        emitEvent("peer", { peer: toHex(peer), state, reason: reason ?? "" }),
      onBlock: (height) => emitEvent("block", { height }),
      onPublished: ({ txid, ...step }) =>
        emitEvent("published", {
          ...(plain(step) as JsonObject),
          txid: txid ? toDisplay(txid) : "",
        }),
      onDeviceFunded: (device, txid, amount) =>
        emitEvent("deviceFunded", { device: toHex(device), txid: toDisplay(txid), amount }),
      onAlarm: (text) => emitEvent("alarm", { text }),
    },
  });
  for (const link of values.link ?? []) {
    await attachLink(gateway, link);
  }
  const mqtt = values.mqtt ? startMqtt(gateway, values.mqtt) : undefined;
  const timer = setInterval(() => gateway.tick(Date.now()), TICK_MS);
  serveControl({ ...methodsOf(gateway), ...methods }, () => {
    clearInterval(timer);
    void Promise.resolve(mqtt?.close())
      .then(() => gateway.stop())
      .finally(() => process.exit(0));
  });
  emitEvent("started", {
    nodeId: toHex(gateway.node.nodeId),
    crypto: crypto.name,
    store: store.name,
    chain: source.name,
    balance: await wallet.balance(),
    payoutScript: toHex(gateway.payout),
  });
}

/** Who it is for a customer that knows a link alone: who pays for channels, not who sells. */
function cardOf(nodeId: PublicKey): IdentityCard {
  const manifest = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  const { version } = JSON.parse(manifest) as { version: string };
  return {
    protocolVersion: PROTOCOL_VERSION,
    nodeId,
    name: values.name,
    model: "gateway",
    firmwareVersion: version,
    claimed: true,
  };
}

/** Devices come through a broker too: `mqtt://[user:password@]host:port`. */
function startMqtt(gateway: Gateway, url: string): GatewayMqtt {
  const caFile = values["mqtt-ca"];
  return new GatewayMqtt({
    url,
    ...(caFile !== undefined && { ca: new Uint8Array(readFileSync(caFile)) }),
    gateway: topicName(toHex(gateway.node.nodeId)),
    attach: (link) => gateway.attach(link),
    isKnown: (device) =>
      gateway.node.channels().some(({ channel }) => {
        return channel.kind === "live" && device === topicName(toHex(channel.record.remoteNodeId));
      }),
    onPresence: (device, presence) => emitEvent("presence", { device, presence }),
    onProblem: (text) => emitEvent("alarm", { text }),
  });
}

function methodsOf(gateway: Gateway): Methods {
  return {
    attach: ({ link }: JsonObject) => attachLink(gateway, link as string),
    open: ({ peer, fundingSatoshis, pushMsat, channelType }: JsonObject) =>
      toHex(
        gateway.node.open({
          remoteNodeId: publicKey(fromHex(peer as string)),
          channelType: ((channelType as string) ?? "zero_fee_commitments") as ChannelType,
          fundingSatoshis: satoshi(fundingSatoshis as number),
          pushMsat: milliSatoshi((pushMsat as number) ?? 0),
          feeratePerKw: 1000,
        }),
      ),
    close: ({ channel, feeratePerKw }: JsonObject) => {
      const id = channelId(fromHex(channel as string));
      gateway.node.command(id, { type: "close", feeratePerKw: feeratePerKw as number });
    },
    channels: () =>
      gateway.node
        .channels()
        .flatMap(({ channel }) => (channel.kind === "live" ? [recordJson(channel.record)] : [])),
  };
}

main().catch((cause: unknown) => {
  process.stderr.write(`${cause instanceof Error ? (cause.stack ?? cause.message) : cause}\n`);
  process.exit(1);
});
