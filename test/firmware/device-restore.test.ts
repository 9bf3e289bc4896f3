/** A device is destroyed and replaced: its owner has words and a backup that is older than the last payment, or what the gateway keeps; the gateway closes at the newest state, to the owner's payout. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import {
  derivePublicChild,
  formatPublicKey,
  masterKey,
  toExtendedPublicKey,
} from "../../core/keys/bip32.ts";
import { packPayments } from "../../core/payments/push.ts";
import type { Link } from "../../core/ports/link.ts";
import { milliSatoshi, publicKey, secretKey } from "../../core/primitives/brands.ts";
import { fromHex, toHex } from "../../core/primitives/bytes.ts";
import { openBackup } from "../../gateway/admin/backup.ts";
import { entropyOf, newEntropy, wordsOf } from "../../gateway/secrets/words.ts";
import { NorFlash } from "../../host-sim/flash/nor-flash.ts";
import { ApiLab } from "../gateway/api/api-lab.ts";
import { PATIENT } from "../support/patience.ts";
import {
  type Chips,
  claimRequest,
  entropy,
  noble,
  type Owner,
  ProgramLab,
  until,
} from "../support/program-lab.ts";

const words = wordsOf(newEntropy());
const payout = toExtendedPublicKey(noble, masterKey(noble, new Uint8Array(32).fill(9)));
let gateway: ApiLab;
let device: ProgramLab | undefined;

beforeEach(async () => {
  gateway = await ApiLab.start({ settings: { "devices.max_channel_sat": "1000000" } });
});
afterEach(async () => {
  device?.stop();
  await gateway.stop();
});

/** The owner, from nothing but the words. */
function ownerOf(given: string): Owner {
  const secret = secretKey(entropyOf(given));
  return { secret, nodeId: noble.publicKeyOf(secret) };
}

async function claimed() {
  const lab = await ProgramLab.start({ cables: 2 });
  const client = await lab.owner(ownerOf(words), 0);
  await client.claim(
    claimRequest({
      gateway: publicKey(fromHex(gateway.service.nodeId)),
      payout: formatPublicKey(noble, payout, "testnet"),
      app: "vending",
      policy: { zeroConf: true, minimumDepth: 1 },
    }),
  );
  await until(() => lab.program.device !== undefined);
  return { lab, client };
}

async function connected(lab: ProgramLab): Promise<void> {
  gateway.service.gateway.attach(lab.board.ends[1]?.link as Link, lab.program.nodeId);
  const id = publicKey(fromHex(gateway.service.nodeId));
  await until(() => lab.program.device?.node.isConnected(id) === true);
}

const recordIn = (lab: ProgramLab) => {
  const [first] = lab.program.device?.node.channels() ?? [];
  return first?.channel.kind === "live" ? first.channel.record : undefined;
};

async function mined(blocks: number): Promise<void> {
  for (let block = 0; block < blocks; block++) {
    await gateway.lab.mine(1);
    await new Promise((wake) => setTimeout(wake, 60));
  }
}

/** A channel of 200 000 sat, all of it the device's. */
async function opened(lab: ProgramLab, client: Awaited<ReturnType<ProgramLab["owner"]>>) {
  await connected(lab);
  expect(await client.open({ amountSat: 200_000, key: entropy.random(16) })).toBeDefined();
  await until(() => recordIn(lab) !== undefined);
  await mined(4);
  await until(() => recordIn(lab)?.phase === "normal");
  return toHex(recordIn(lab)?.channelId as Uint8Array);
}

async function paid(lab: ProgramLab, amountSat: number): Promise<void> {
  const record = recordIn(lab);
  if (!record) throw new Error("there is a channel");
  const amountMsat = milliSatoshi(amountSat * 1_000);
  const payments = packPayments([{ reference: entropy.random(16), amountMsat }]);
  const left = record.base.toLocalMsat - amountMsat;
  lab.program.device?.node.command(record.channelId, { type: "push", payments });
  await until(() => recordIn(lab)?.base.toLocalMsat === left);
  await until(() => gatewaysRecord(toHex(record.channelId))?.base.toRemoteMsat === left);
}

const gatewaysRecord = (id: string) => gateway.service.gateway.node.record(fromHex(id) as never);

/** What the chain holds for the owner's child of that number. */
async function ownersSat(keyIndex: number): Promise<number> {
  const key = derivePublicChild(noble, derivePublicChild(noble, payout, 0), keyIndex).publicKey;
  const script = Uint8Array.of(0x00, 0x14, ...noble.ripemd160(noble.sha256(key)));
  return gateway.lab.sumOfScripts([script]);
}

/** Blocks are found until what was published has come into one. */
async function ownerHas(sat: number, keyIndex: number): Promise<void> {
  const mineAndLook = async () => {
    await mined(1);
    expect(await ownersSat(keyIndex)).toBe(sat);
  };
  await vi.waitFor(mineAndLook, PATIENT);
}

test("from words and an old backup, and from words and the gateway's blob: closed at the newest state, to the payout", async () => {
  const first = await claimed();
  const id = await opened(first.lab, first.client);
  const saved = await first.client.backup();
  await paid(first.lab, 30_000);
  const lost = toHex(first.lab.program.nodeId);
  const named = openBackup(noble, ownerOf(words).secret, saved).channels;
  /** As the gateway keeps it: with the channel, once the device has sent that. */
  const keptBlob = async () => {
    const kept = await gateway.call("GET", `/api/devices/${lost}/backup`);
    expect(kept).toMatchObject({ status: 200 });
    const bytes = new Uint8Array(Buffer.from(String(kept.body.base64), "base64"));
    expect(openBackup(noble, ownerOf(words).secret, bytes).channels).toEqual(named);
    return bytes;
  };
  const blob = await vi.waitFor(keptBlob, PATIENT);
  first.lab.stop();

  const strangers = wordsOf(newEntropy());
  expect(() => openBackup(noble, ownerOf(strangers).secret, blob)).toThrow(/another owner/);
  expect(() => openBackup(noble, ownerOf(words).secret, blob.slice(0, -1))).toThrow(/damaged/);
  const { channels } = openBackup(noble, ownerOf(words).secret, blob);

  const second = await claimed();
  device = second.lab;
  await second.client.setSettings({ name: "another" });
  expect(await second.client.restore(blob)).toMatchObject({ channels });
  expect(await second.client.settings()).toMatchObject({ name: "coffee" });
  const [channel] = channels;
  if (!channel) throw new Error("the backup names the channel");
  const listed = await gateway.call("GET", `/api/channels/${id}`);
  expect(listed.body).toMatchObject({
    funding_txid: toHex(channel.fundingTxid.toReversed()),
    funding_vout: channel.fundingVout,
  });
  const closed = await gateway.call("DELETE", `/api/channels/${id}?force=true`, { key: "close" });
  expect(closed, JSON.stringify(closed.body)).toMatchObject({ status: 200 });
  await until(() => gatewaysRecord(id)?.phase === "force-closing");
  await ownerHas(170_000, channel.keyIndex);
});

test("a flash written back from a copy: the old record publishes nothing, and the gateway is asked to close", async () => {
  const { lab, client } = await claimed();
  const id = await opened(lab, client);
  const image = (flash: NorFlash) => flash.read(0, flash.size).slice();
  const { settings, records } = lab.board.chips;
  const old: Chips = {
    settings: new NorFlash({ size: settings.size, image: image(settings) }),
    records: new NorFlash({ size: records.size, image: image(records) }),
  };
  await paid(lab, 30_000);
  const keyIndex = recordIn(lab)?.terms.keyIndex ?? -1;
  lab.stop();
  device = await ProgramLab.start({ cables: 2, chips: old });
  expect(recordIn(device)?.base.toLocalMsat).toBe(200_000_000);
  await connected(device);
  const stale = device;
  await until(() => recordIn(stale)?.phase === "outdated");
  const record = recordIn(stale);
  stale.program.device?.node.command(record?.channelId as never, { type: "forceClose" });
  await until(() => gatewaysRecord(id)?.phase === "force-closing");
  await ownerHas(170_000, keyIndex);
});
