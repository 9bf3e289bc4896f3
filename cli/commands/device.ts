/** `picobolt device`: the fleet of a gateway, asleep or awake: what it does not do now waits for it. */
import type { Command as Parser } from "commander";
import { argumentOneOf, oneOf, text } from "../command.ts";
import {
  deviceNamed,
  type FleetDevice,
  REQUEST_COLUMNS,
  recipientOf,
  WHICH,
  WHICH_OR_GROUP,
} from "../fleet/devices.ts";
import { countOf, startingWith, wordOf } from "../gateway/words.ts";
import { fieldsOf } from "../owner/fields.ts";
import { readPriceFile } from "../owner/price-file.ts";
import { noun, type Verb } from "../target/noun.ts";
import { type Column, satText, shortId, timeText } from "../text-table.ts";
import { changesOf } from "./settings.ts";

const COLUMNS: readonly Column<FleetDevice>[] = [
  { head: "name", of: (one) => one.name },
  { head: "device", of: (one) => shortId(one.node_id) },
  { head: "state", of: (one) => one.state ?? (one.connected ? "here" : "away") },
  { head: "groups", of: (one) => one.groups.join(",") },
  { head: "firmware", of: (one) => one.firmware },
  { head: "prices", of: pricesText },
  { head: "its sat", isRight: true, of: (one) => satText(one.remote_balance_msat) },
  { head: "ours sat", isRight: true, of: (one) => satText(one.local_balance_msat) },
  { head: "waits", of: (one) => one.waiting_requests },
  { head: "last seen", of: (one) => one.last_seen && timeText(one.last_seen) },
  { head: "alarms", of: (one) => one.alarms.map(({ name }) => name).join(",") },
];

function pricesText({ price_list: { products, current, revision } }: FleetDevice): string | null {
  if (products === null) return null;
  return `${products}${revision !== null && !current ? ", not ours" : ""}`;
}

const device = (parser: Parser) => void parser.argument("<device>", WHICH);
const ttl = (parser: Parser) =>
  parser.option("--ttl <seconds>", "it waits so long for a device that is away (default: 7 days)");
const ttlOf = (options: Parameters<typeof countOf>[0]) => {
  const ttl_seconds = countOf(options, "ttl");
  return ttl_seconds === undefined ? {} : { ttl_seconds };
};

const prices: Verb = {
  summary: "a price list for a device or a group",
  configure: (parser) =>
    void ttl(
      parser
        .argument("<device>", WHICH_OR_GROUP)
        .argument("<file>", "prices.csv (number,name,sat) or prices.json"),
    ),
  examples: [
    "picobolt device prices coffee prices.csv",
    "picobolt device prices @halls prices.csv",
  ],
  prepare: ([, file]) => void (file && readPriceFile(file)),
  gateway: async (client, { out }, words, options) => {
    const products = readPriceFile(wordOf(words, 1, "the price list")).map(
      ({ id: number, name, priceMsat: price_msat }) => ({ number, name, price_msat }),
    );
    const to = await recipientOf(client, wordOf(words, 0, "the device"));
    const sent = await client.call("setDevicePrices", { ...to, ...ttlOf(options), products });
    out.text(`${products.length} products for ${sent.requests.length} devices`);
    out.result(sent);
  },
};

const settings: Verb = {
  summary: "changed settings for a device or a group",
  configure: (parser) =>
    void ttl(
      parser
        .argument("<device>", WHICH_OR_GROUP)
        .argument("<values...>", "name=value; a value may be JSON or @file of JSON"),
    ),
  examples: ["picobolt device settings @halls app=@vending.json"],
  prepare: ([, ...values]) => void changesOf(values),
  gateway: async (client, { out }, [which = "", ...values], options) => {
    const to = await recipientOf(client, which);
    // Bytes may come in hexadecimal.
    const plain = JSON.stringify(changesOf(values), (_, item: unknown) =>
      item instanceof Uint8Array ? Buffer.from(item).toString("hex") : item,
    );
    const changes = JSON.parse(plain) as Record<string, unknown>;
    const sent = await client.call("setDeviceSettings", {
      ...to,
      ...ttlOf(options),
      settings: changes,
    });
    out.table({ columns: REQUEST_COLUMNS, rows: sent.requests, none: "nothing" }, sent);
  },
};

const ACTIONS = ["identify", "clear", "reboot"] as const;

const act: Verb = {
  summary: "have a device or a group blink, forget faults that were looked at, or start anew",
  configure: (parser) =>
    void ttl(
      parser
        .argument("<device>", WHICH_OR_GROUP)
        .addArgument(argumentOneOf("<action>", "what it does", ACTIONS)),
    ),
  examples: ["picobolt device do coffee clear", "picobolt device do @halls reboot"],
  gateway: async (client, { out }, [which = "", action = ""], options) => {
    const to = await recipientOf(client, which);
    const sent = await client.call("actOnDevices", {
      ...to,
      ...ttlOf(options),
      action: action as (typeof ACTIONS)[number],
    });
    out.table({ columns: REQUEST_COLUMNS, rows: sent.requests, none: "nothing" }, sent);
  },
};

const log: Verb = {
  summary: "what a device delivered and gave back",
  configure: (parser) =>
    void parser
      .argument("<device>", WHICH)
      .addOption(oneOf("--kind <kind>", "only these", ["delivered", "refunded", "owed", "metered"]))
      .option("--limit <count>", "at most so many (default: 100)"),
  examples: ["picobolt device log coffee", "picobolt device log coffee --kind refunded --json"],
  gateway: async (client, { out }, words, options) => {
    const { node_id } = await deviceNamed(client, wordOf(words, 0, "the device"));
    const limit = countOf(options, "limit");
    const kind = text(options, "kind") as "delivered" | undefined;
    const found = await client.call("listDeviceSales", {
      node_id,
      ...(limit !== undefined && { limit }),
      ...(kind !== undefined && { kind }),
    });
    const columns: readonly Column<(typeof found.sales)[number]>[] = [
      { head: "at", of: (one) => timeText(one.at) },
      { head: "what", of: (one) => one.kind },
      { head: "product", of: (one) => one.product },
      {
        head: "sat",
        isRight: true,
        of: (one) => (one.amount_msat === null ? null : satText(one.amount_msat)),
      },
      { head: "reference", of: (one) => shortId(one.reference) },
      { head: "why", of: (one) => one.reason },
    ];
    out.table({ columns, rows: found.sales, none: "nothing was sold yet" }, found);
  },
};

const list: Verb = {
  summary: "the fleet: who is there, what each has, what waits for it",
  configure: (parser) => void parser.option("--group <name>", "only its devices"),
  examples: ["picobolt device list", "picobolt device list --group halls --json"],
  gateway: async (client, { out }, _, options) => {
    const group = text(options, "group");
    const { devices } = await client.call("listDevices", group === undefined ? {} : { group });
    out.table({ columns: COLUMNS, rows: devices, none: "no devices" }, { devices });
  },
};

const claim: Verb = {
  summary: "make a device that is beside you this gateway's",
  configure: (parser) =>
    void parser
      .option("--at <link>", "the device: /dev/ttyUSB0, ble:<name> (default: the only serial port)")
      .requiredOption("--name <text>", "what customers see")
      .requiredOption("--payout <key>", "extended public key or descriptor: what it earns")
      .option("--group <name...>", "groups that it is in")
      .addOption(oneOf("--app <name>", "what it does", ["vending", "meter", "payer"]))
      .option("--app-settings <file>", "the app's settings, JSON")
      .option("--code <digits>", "the code printed on the device, for a claim over BLE"),
  examples: [
    "picobolt device claim --name coffee --payout xpub6C… --group halls --app vending",
    "picobolt device claim --at ble:picobolt-3f2a --code 123456 --name coffee --payout xpub6C…",
  ],
  gateway: async (client, context, _, options) => {
    const { claimForFleet } = await import("../fleet/claim-for-fleet.ts");
    await claimForFleet(client, context, options);
  },
};

export const fleetDevice = noun("device", {
  list,
  show: {
    summary: "all that is known of a device",
    configure: device,
    examples: ["picobolt device show coffee"],
    gateway: async (client, { out }, words) => {
      const found = await deviceNamed(client, wordOf(words, 0, "the device"));
      for (const line of fieldsOf(found)) out.text(line);
      out.result(found);
    },
  },
  claim,
  revoke: {
    summary: "administer a device no more, and take its password at the broker",
    configure: device,
    examples: ["picobolt device revoke coffee"],
    gateway: async (client, { out }, words) => {
      const { node_id } = await deviceNamed(client, wordOf(words, 0, "the device"));
      const done = await client.call("revokeDevice", { node_id });
      const how = done.had_credentials ? "and has no password at the broker" : "";
      out.text(`${done.device.name ?? node_id} is revoked ${how}; its channels stay`.trim());
      out.result(done);
    },
  },
  groups: {
    summary: "put a device into groups, in place of those that it is in",
    configure: (parser) =>
      void parser.argument("<device>", WHICH).argument("[groups...]", "none: out of all"),
    examples: ["picobolt device groups coffee halls ground-floor"],
    gateway: async (client, { out }, [which = "", ...groups]) => {
      const { node_id } = await deviceNamed(client, which);
      const done = await client.call("setDeviceGroups", { node_id, groups });
      out.text(`${done.name ?? node_id}: ${done.groups.join(", ") || "in no group"}`);
      out.result(done);
    },
  },
  prices,
  settings,
  do: act,
  log,
  requests: {
    summary: "what was sent to devices, and what waits for them",
    configure: (parser) =>
      void parser
        .argument("[device]", WHICH)
        .option("--waiting", "only what waits")
        .option("--cancel <request>", "do not send it"),
    examples: ["picobolt device requests coffee", "picobolt device requests --cancel 7f3a"],
    gateway: async (client, { out }, [which], options) => {
      const node_id = which === undefined ? undefined : (await deviceNamed(client, which)).node_id;
      const found = await client.call("listDeviceRequests", {
        limit: 1_000,
        ...(node_id !== undefined && { node_id }),
        ...(options.waiting === true && { state: "waiting" as const }),
      });
      const wanted = text(options, "cancel");
      if (wanted === undefined) {
        const rows = found.requests;
        out.table({ columns: REQUEST_COLUMNS, rows, none: "nothing was sent" }, found);
        return;
      }
      const about = { what: "request", id: (one: { readonly id: string }) => one.id };
      const { id } = startingWith(found.requests, wanted, about);
      const done = await client.call("cancelDeviceRequest", { id });
      out.text(`${id} is ${done.state}`);
      out.result(done);
    },
  },
});
