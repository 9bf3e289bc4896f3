/** A virtual device as a process of its own: the firmware's portable code on an emulated flash file and real serial ports. */
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { closeLocally } from "../../core/chain/monitor/close-locally.ts";
import { networkNamed } from "../../core/chain/networks.ts";
import type { ChannelPolicy } from "../../core/channel/context.ts";
import { watchedChannel } from "../../core/channel/on-chain.ts";
import { devicePolicy } from "../../core/channel/policy.ts";
import { deriveSecretAt, HARDENED, masterKey } from "../../core/keys/bip32.ts";
import { SeedSigner } from "../../core/keys/seed-signer.ts";
import {
  type ChannelId,
  channelId,
  milliSatoshi,
  publicKey,
  satoshi,
} from "../../core/primitives/brands.ts";
import { fromHex, toHex } from "../../core/primitives/bytes.ts";
import { p2wpkh } from "../../core/transactions/script.ts";
import type { App } from "../../firmware/apps/app.ts";
import { PayerApp } from "../../firmware/apps/payer.ts";
import { VendingApp } from "../../firmware/apps/vending.ts";
import { Device } from "../../firmware/device.ts";
import { FlashLogStore } from "../../firmware/store/flash-log.ts";
import {
  channelEventJson,
  type JsonObject,
  plain,
  recordJson,
} from "../../gateway/api/event-json.ts";
import { type CryptoPreference, chooseCrypto } from "../../gateway/crypto/choose.ts";
import { NorFlash } from "../flash/nor-flash.ts";
import { emitEvent, serveControl } from "./control.ts";
import { attachLink, SILENCE_OPTIONS, seedIn, timingOf } from "./start-up.ts";

const FLASH_BYTES = 1024 * 1024;
const TICK_MS = 50;
/** m/84'/1'/0': where a device without an owner's key is paid. */
const PAYOUT_PATH = [84 + HARDENED, 1 + HARDENED, HARDENED, 0, 0];

const { values } = parseArgs({
  options: {
    name: { type: "string" },
    folder: { type: "string" },
    app: { type: "string" },
    gateway: { type: "string" },
    /** `serial:/path` to be called on, or `serial:/path=<node id>` to call that node. */
    link: { type: "string", multiple: true },
    crypto: { type: "string", default: "auto" },
    products: { type: "string", default: "[]" },
    policy: { type: "string", default: "{}" },
    seed: { type: "string" },
    ...SILENCE_OPTIONS,
  },
});

function required(name: "name" | "folder" | "app" | "gateway"): string {
  const value = values[name];
  if (!value) throw new Error(`--${name} is missing`);
  return value;
}

function makeApp(name: string): App {
  if (name === "payer") return new PayerApp();
  if (name !== "vending") throw new Error(`no such app: ${name}; use vending or payer`);
  const products = JSON.parse(values.products ?? "[]") as {
    id: number;
    name: string;
    priceMsat: number;
  }[];
  return new VendingApp({
    machine: required("name"),
    products: products.map((one) => ({ ...one, priceMsat: milliSatoshi(one.priceMsat) })),
    delivery: virtualMotor(join(required("folder"), "fallen"), join(required("folder"), "held")),
  });
}

/** Always a product falls, once nobody holds it; the counter at its sensor is a file, which a power cut does not reset. */
function virtualMotor(counter: string, held: string) {
  const fallen = () => (existsSync(counter) ? Number(readFileSync(counter, "utf8")) : 0);
  const deliver = async () => {
    while (existsSync(held)) await new Promise((wake) => setTimeout(wake, 10));
    writeFileSync(counter, String(fallen() + 1));
  };
  return { deliver, fallen };
}

async function main(): Promise<void> {
  const folder = required("folder");
  mkdirSync(folder, { recursive: true });
  const crypto = chooseCrypto(values.crypto as CryptoPreference);
  const seed = seedIn(folder, values.seed);
  const signer = new SeedSigner(crypto, seed);
  const payoutKey = deriveSecretAt(crypto, masterKey(crypto, seed), PAYOUT_PATH);
  const payoutScript = p2wpkh(crypto, crypto.publicKeyOf(payoutKey));
  const flash = new NorFlash({ size: FLASH_BYTES, file: join(folder, "flash.bin") });
  const store = new FlashLogStore(flash, { label: `${required("name")}/flash.bin` });
  const app = makeApp(required("app"));
  const startedMs = Date.now();
  const policy = JSON.parse(values.policy ?? "{}") as Partial<ChannelPolicy>;
  const maxOfflineBlocks = Math.floor((policy.toSelfDelay ?? devicePolicy.toSelfDelay) / 2);
  const device = await Device.start({
    crypto,
    entropy: { random: (length) => new Uint8Array(randomBytes(length)) },
    store,
    signer,
    app,
    network: networkNamed("regtest"),
    gatewayId: publicKey(fromHex(required("gateway"))),
    payoutScript,
    budget: { maxOfflineBlocks, maxUnsyncedMsat: milliSatoshi(100_000_000) },
    policy,
    timing: timingOf(values),
    nowMs: startedMs,
    nowSeconds: () => Math.floor(Date.now() / 1000),
    events: {
      onChannelEvent: (id, event) => {
        emitEvent("channel", { id: toHex(id), ...channelEventJson(event) });
      },
      onApp: (event) => emitEvent("app", plain(event) as JsonObject),
      onPeer: (peer, state, reason) =>
        emitEvent("peer", { peer: toHex(peer), state, reason: reason ?? "" }),
      onTip: (height, isSynced) => emitEvent("tip", { height, isSynced }),
      onProven: (txid, height) => emitEvent("proven", { txid, height }),
      onAlarm: (text) => emitEvent("alarm", { text }),
    },
  });
  for (const link of values.link ?? []) {
    await attachLink(device, link);
  }
  const timer = setInterval(() => device.tick(Date.now()), TICK_MS);
  serveControl(methodsOf(device, app, { store, flash, payoutScript }), () => {
    clearInterval(timer);
    device.stop();
    process.exit(0);
  });
  emitEvent("started", {
    nodeId: toHex(device.node.nodeId),
    crypto: crypto.name,
    store: store.name,
    channels: device.node.channels().length,
  });
}

interface Parts {
  readonly store: FlashLogStore;
  readonly flash: NorFlash;
  readonly payoutScript: Uint8Array;
}

function methodsOf(device: Device, app: App, { store, flash, payoutScript }: Parts) {
  const payer = () => {
    if (!(app instanceof PayerApp)) throw new Error("this device does not buy");
    return app;
  };
  return {
    open: (params: JsonObject) =>
      toHex(
        device.node.open({
          remoteNodeId: publicKey(fromHex(params.peer as string)),
          channelType: "zero_fee_commitments",
          fundingSatoshis: satoshi(params.fundingSatoshis as number),
          pushMsat: milliSatoshi((params.pushMsat as number) ?? 0),
          feeratePerKw: 0,
        }),
      ),
    buy: async (params: JsonObject) =>
      plain(await payer().buy(idOf(params), params.product as number)),
    buyByHtlc: async (params: JsonObject) =>
      plain(await payer().buyByHtlc(idOf(params), params.product as number)),
    priceList: (params: JsonObject) =>
      plain(payer().priceList(publicKey(fromHex(params.peer as string))) ?? null),
    channels: () =>
      device.node
        .channels()
        .flatMap(({ channel }) => (channel.kind === "live" ? [recordJson(channel.record)] : [])),
    close: (params: JsonObject) => {
      const feeratePerKw = params.feeratePerKw as number;
      device.node.command(idOf(params), { type: "close", feeratePerKw });
    },
    forceClose: (params: JsonObject) => {
      device.node.command(idOf(params), { type: "forceClose" });
    },
    /** Signs the commitment that is the newest now, as a force close would, and gives it away: only a cheater keeps it for later. */
    signedCommitment: (params: JsonObject) => signedCommitment(device, idOf(params)),
    info: () => ({
      payoutScript: toHex(payoutScript),
      tip: device.node.height,
      flash: plain(store.statistics()),
      eraseCycles: Math.max(...flash.eraseCounts),
      bytesProgrammed: flash.bytesProgrammed,
    }),
  };
}

function idOf(params: JsonObject): ChannelId {
  return channelId(fromHex(params.channel as string));
}

function signedCommitment(device: Device, id: ChannelId) {
  const record = device.node.record(id);
  const current = device.node.contextOf(id);
  if (!record || !current) throw new Error("there is no such channel");
  const context = { ...current, archive: [] };
  const [claim] = closeLocally(
    context,
    watchedChannel(context, record),
    { tipHeight: device.node.height, confirmed: [] },
    { feeratesPerKw: context.feerates, irrevocableDepth: context.policy.irrevocableDepth },
  );
  if (!claim) throw new Error("nothing to sign");
  return { raw: toHex(claim.raw), number: record.localNumber };
}

main().catch((cause: unknown) => {
  process.stderr.write(`${cause instanceof Error ? (cause.stack ?? cause.message) : cause}\n`);
  process.exit(1);
});
