/** What a device reads from its own flash, and from owners and installers: whatever the flash lost, a parser says so. */
import { decodeRecord, encodeRecord, RecordError } from "../../../core/channel/codec.ts";
import { SeedSigner } from "../../../core/keys/seed-signer.ts";
import { decodeSecretStore, encodeSecretStore } from "../../../core/keys/shachain.ts";
import { decodeCbor, encodeCbor } from "../../../core/messages/cbor.ts";
import type { CborValue } from "../../../core/messages/schema.ts";
import { makeUpdate, parseUpdate } from "../../../core/messages/update-image.ts";
import { channelId, signature } from "../../../core/primitives/brands.ts";
import { ascii, concat, equal } from "../../../core/primitives/bytes.ts";
import { ProtocolViolation } from "../../../core/primitives/errors.ts";
import { decodeBacklog, emptyBacklog, encodeBacklog } from "../../../core/tower/backlog.ts";
import { decodeKit } from "../../../core/tower/justice-kit.ts";
import { AdminError } from "../../../firmware/admin/params.ts";
import { ConfigError } from "../../../firmware/apps/config.ts";
import { decodeProducts, encodeProducts } from "../../../firmware/apps/product.ts";
import {
  decodeRpc,
  decodeStrings,
  encodeImprovPacket,
  encodeRpc,
  improvPacketLength,
  isImprovPacket,
  packetData,
  packetType,
} from "../../../firmware/links/improv-packet.ts";
import { decodeSettings } from "../../../firmware/settings/settings.ts";
import { decodeItems, encodeItems, type Item } from "../../../firmware/store/log-items.ts";
import { BackupError } from "../../../gateway/backup/backup-error.ts";
import { decodeChannels } from "../../../gateway/backup/channel-backup.ts";
import { chooseCrypto } from "../../../gateway/crypto/choose.ts";
import { type FuzzTarget, isViolation, promise } from "../target.ts";

const crypto = chooseCrypto();
const signer = new SeedSigner(crypto, new Uint8Array(32).fill(1));
const basepoints = signer.channel(0).basepoints;
const basepointsOf = () => basepoints;

/** Whole records stand in the corpus. */
const record: FuzzTarget = {
  name: "record",
  maxBytes: 4096,
  seeds: () => [],
  isRefusal: (error) => error instanceof RecordError,
  run(input) {
    const read = decodeRecord(input, basepointsOf);
    const bytes = encodeRecord(read);
    promise(equal(encodeRecord(decodeRecord(bytes, basepointsOf)), bytes), "a record round-trips");
  },
};

const channelBackup: FuzzTarget = {
  name: "channel-backup",
  maxBytes: 4096,
  seeds: () => [encodeCbor([1, []])],
  isRefusal: (error) => error instanceof RecordError || error instanceof BackupError,
  run: (input) => void decodeChannels(input, basepointsOf),
};

const secrets: FuzzTarget = {
  name: "secret-store",
  maxBytes: 600,
  seeds: () => [encodeSecretStore({ count: 5, secrets: [new Uint8Array(32), new Uint8Array(32)] })],
  run(input) {
    promise(equal(encodeSecretStore(decodeSecretStore(input)), input), "one encoding");
  },
};

const backlog: FuzzTarget = {
  name: "tower-backlog",
  maxBytes: 512,
  seeds: () => [encodeBacklog(emptyBacklog(3))],
  run: (input) => void decodeBacklog(input, 1_000_000 as never),
};

const kit: FuzzTarget = {
  name: "justice-kit",
  maxBytes: 512,
  seeds: () => [
    concat(
      Uint8Array.of(1, 0, 0, 144, ...new Uint8Array(33).fill(2), ...new Uint8Array(33).fill(3)),
      Uint8Array.of(22, 0, 20, ...new Uint8Array(20), 0, 0, 1, 0, 0, 0),
    ),
  ],
  run: (input) => void decodeKit(input),
};

const logItems: FuzzTarget = {
  name: "log-items",
  maxBytes: 512,
  seeds: () => {
    const items: Item[] = [
      {
        kind: "record",
        handle: 1,
        channelId: channelId(new Uint8Array(32)),
        bytes: ascii("r"),
        copy: false,
      },
      { kind: "credits", first: 0, references: new Uint8Array(16) },
      { kind: "value", key: "a", bytes: ascii("b") },
      { kind: "remove", handle: 1 },
    ];
    return [encodeItems(items), ...items.map((item) => encodeItems([item]))];
  },
  run(input) {
    const items = decodeItems(input);
    if (!items) return;
    const bytes = encodeItems(items);
    promise(equal(encodeItems(decodeItems(bytes) ?? []), bytes), "items round-trip");
  },
};

const settings: FuzzTarget = {
  name: "settings",
  maxBytes: 1024,
  seeds: () => [
    encodeCbor([
      1,
      signer.nodeId,
      new Map<string, CborValue>([
        ["network", "regtest"],
        ["name", "box"],
        ["gateway", signer.nodeId],
        ["payout", "wpkh(tpub)"],
        ["policy", new Map([["maxChannels", 2]])],
        ["mqtt", new Map([["host", "broker"]])],
        ["wifi", new Map([["ssid", "net"]])],
      ]),
    ]),
  ],
  isRefusal: (error) => error instanceof AdminError || isViolation(error),
  run(input) {
    const stored = decodeCbor(input, { maxBytes: 1024, maxDepth: 8, maxItems: 256 });
    decodeSettings({ crypto, network: "regtest" }, stored);
  },
};

const products: FuzzTarget = {
  name: "products",
  maxBytes: 512,
  seeds: () => [encodeProducts([{ id: 1, name: "Kaffee", priceMsat: 1_000 as never }])],
  isRefusal: (error) => isViolation(error) || error instanceof ConfigError,
  run: (input) => void decodeProducts(input),
};

const improv: FuzzTarget = {
  name: "improv",
  maxBytes: 300,
  seeds: () => [encodeImprovPacket(3, encodeRpc(1, ["network", "password"])), encodeRpc(2, [])],
  run(input) {
    const length = improvPacketLength(input);
    promise(length === undefined || length <= 512, "a packet's length is bounded");
    if (length === input.length && isImprovPacket(input)) {
      packetType(input);
      decodeRpc(packetData(input));
    }
    const rpc = decodeRpc(input);
    if (rpc) decodeStrings(rpc.data);
  },
};

const update: FuzzTarget = {
  name: "update-file",
  maxBytes: 3_000,
  seeds: () => [
    makeUpdate(
      crypto,
      new Uint8Array(300).fill(9),
      { model: "vending", version: "1.0.0", number: 1 },
      () => signature(new Uint8Array(64)),
    ),
  ],
  isRefusal: (error) => error instanceof ProtocolViolation,
  run(input) {
    const file = parseUpdate(input);
    for (let i = 0; i < file.chunks; i++) file.chunk(i);
  },
};

export const deviceTargets: readonly FuzzTarget[] = [
  record,
  channelBackup,
  secrets,
  backlog,
  kit,
  logItems,
  settings,
  products,
  improv,
  update,
];
