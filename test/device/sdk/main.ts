/** A device without owner or settings on the host board of the Moddable SDK: core, flash log, C crypto, vending app, and nothing else. */
import { host } from "picobolt/host";
import { nativeFunctions } from "picobolt/native-functions";
import { REGTEST } from "../../../core/chain/networks.ts";
import { SeedSigner } from "../../../core/keys/seed-signer.ts";
import type { Link } from "../../../core/ports/link.ts";
import { milliSatoshi } from "../../../core/primitives/brands.ts";
import { ascii, toHex } from "../../../core/primitives/bytes.ts";
import { p2wpkh } from "../../../core/transactions/script.ts";
import { VendingApp } from "../../../firmware/apps/vending.ts";
import { nativeCrypto, nativeEntropy } from "../../../firmware/crypto/native.ts";
import { selfTest } from "../../../firmware/crypto/self-test.ts";
import { Device } from "../../../firmware/device.ts";
import { moddableClock } from "../../../firmware/drivers/clock.ts";
import { hostFlash, hostSystem } from "../../../firmware/drivers/host-board.ts";
import { openTty } from "../../../firmware/drivers/serial.ts";
import { FlashLogStore } from "../../../firmware/store/flash-log.ts";

const TICK_MS = 50;

async function start(): Promise<void> {
  const crypto = nativeCrypto(nativeFunctions);
  const entropy = nativeEntropy(nativeFunctions);
  const clock = moddableClock();
  host.print(`self-test ${selfTest(crypto, entropy) ?? "passed"}`);
  const signer = new SeedSigner(crypto, crypto.sha256(ascii("sdk device")));
  const gatewayId = new SeedSigner(crypto, crypto.sha256(ascii("gateway"))).nodeId;
  const tell = (what: string) => (event: { readonly type: string }) =>
    host.print(`${what} ${event.type}`);
  const tea = { id: 1, name: "tea", priceMsat: milliSatoshi(900_000) };
  const device = await Device.start({
    crypto,
    entropy,
    signer,
    gatewayId,
    store: new FlashLogStore(hostFlash(0)),
    app: new VendingApp({
      machine: "kiosk",
      products: [tea],
      delivery: { deliver: async () => host.print("a tea fell") },
    }),
    network: REGTEST,
    payoutScript: p2wpkh(crypto, signer.nodeId),
    budget: { maxOfflineBlocks: 5, maxUnsyncedMsat: milliSatoshi(1_000_000_000) },
    policy: { minimumDepth: 2, toSelfDelay: 6, irrevocableDepth: 3 },
    nowMs: clock.nowMs(),
    events: {
      onChannelEvent: (_id, event) => tell("channel")(event),
      onApp: tell("app"),
      onPeer: (_peer, state) => host.print(`peer ${state}`),
      onTip: (height) => host.print(`tip ${height}`),
      onProven: () => {},
      onAlarm: (text) => host.print(`alarm ${text}`),
    },
  });
  for (const { channel } of device.node.channels()) {
    if (channel.kind === "live") host.print(`kept ${channel.record.terms.fundingSatoshis} sat`);
  }
  const tty = openTty("uart", host.option("serial") ?? "", 115_200);
  const link: Link = {
    kind: "stream",
    name: "uart",
    send: (bytes) => tty.write(bytes),
    close: () => {},
    onBytes: () => {},
    onClosed: () => {},
  };
  tty.onBytes = (bytes) => link.onBytes(bytes);
  device.attach(link, gatewayId);
  const tick = () => {
    device.tick(clock.nowMs());
    clock.after(TICK_MS, tick);
  };
  tick();
  host.print(`node ${toHex(signer.nodeId)}`);
  host.print(`used ${hostSystem().memory?.().usedBytes}`);
}

start().catch((error: unknown) => {
  host.print(`failed ${error instanceof Error ? error.message : String(error)}`);
});
