/** `picobolt channel`: the channels of a gateway or a device, and payments inside one. */
import { createHash, randomBytes } from "node:crypto";
import type { Channel, PicoboltClient } from "../../client/client.ts";
import { text } from "../command.ts";
import { EXIT, Failure } from "../failure.ts";
import { keyOf, satOf, startingWith, wordOf } from "../gateway/words.ts";
import {
  channelsOfDevice,
  closeOnDevice,
  type DeviceChannel,
  deviceChannel,
} from "../owner/device-channels.ts";
import { fieldsOf } from "../owner/fields.ts";
import { noun, type Verb } from "../target/noun.ts";
import { type Column, satText, shortId } from "../text-table.ts";

const COLUMNS: readonly Column<Channel | DeviceChannel>[] = [
  { head: "channel", of: (one) => shortId(one.channel_id) },
  { head: "state", of: (one) => one.state },
  { head: "peer", of: (one) => shortId(one.peer_node_id) },
  { head: "here sat", isRight: true, of: (one) => satText(one.local_balance_msat) },
  { head: "there sat", isRight: true, of: (one) => satText(one.remote_balance_msat) },
  { head: "size sat", of: (one) => one.capacity_sat },
];
const AWAY: Column<Channel> = { head: "peer is", of: (one) => (one.connected ? "here" : "away") };
const WHICH = "its id, or the beginning of it";

export const listChannels: Verb = {
  summary: "all channels, and what each side holds",
  examples: ["picobolt channel list", "picobolt channel list --device /dev/ttyUSB0 --json"],
  gateway: async (client, { out }) => {
    const channels = await client.listChannels();
    const columns = [...COLUMNS, AWAY] as readonly Column<Channel>[];
    out.table({ columns, rows: channels, none: "no channels" }, { channels });
  },
  device: async (device, { out }) => {
    const channels = await channelsOfDevice(device);
    out.table({ columns: COLUMNS, rows: channels, none: "no channels" }, { channels });
  },
};

export const closeChannels: Verb = {
  summary: "end a channel: its money goes on chain",
  configure: (parser) =>
    void parser
      .argument("<channel>", `${WHICH}, or "all"`)
      .option("--force", "alone, where the peer does not answer: the money is bound for days"),
  examples: [
    "picobolt channel close 7f3a",
    "picobolt channel close 7f3a --force",
    "picobolt channel close all --device ble:coffee",
  ],
  gateway: async (client, { out }, words, options) => {
    const chosen = await channelsNamed(client, wordOf(words, 0, "the channel"));
    const closed = [];
    for (const { channel_id } of chosen) {
      const one = await client.closeChannel(channel_id, { force: options.force === true });
      const later = "is not closed yet: it is when its peer is back; --force closes it now";
      out.text(`${channel_id} ${one.state === "normal" ? later : `is ${one.state}`}`);
      closed.push(one);
    }
    out.result({ channels: closed });
  },
  device: async (device, { out }, words, options) => {
    const named = wordOf(words, 0, "the channel");
    const closed = await closeOnDevice(device, named, options.force === true, (id) =>
      out.text(`${id} is closing`),
    );
    out.result({ channels: closed });
  },
};

const openChannel: Verb = {
  summary: "open a channel, from coins on chain",
  movesMoney: true,
  configure: (parser) =>
    void parser
      .argument("<node id>", "the peer; of a device its own gateway or another node")
      .argument("<sat>", "size of the channel")
      .option("--push <sat>", "what is the peer's from the beginning"),
  examples: [
    "picobolt channel open 02abff33… 500000",
    "picobolt channel open 02abff33… 500000 --push 10000 --key first",
  ],
  gateway: async (client, { out }, [peer_node_id = "", size], options) => {
    const push = text(options, "push");
    const opened = await client.openChannel(
      {
        peer_node_id,
        capacity: satOf(size, "the size"),
        ...(push && { push: satOf(push, "--push") }),
      },
      keyOf(options),
    );
    out.text(`${opened.channel_id} is ${opened.state}`);
    out.result(opened);
  },
  device: async (device, { out }, [peer = "", size], options) => {
    const push = text(options, "push");
    const words = text(options, "key");
    const key = words ? createHash("sha256").update(words).digest() : randomBytes(16);
    const opened = await device.open({
      peer: nodeIdOf(peer),
      amountSat: satOf(size, "the size"),
      key: new Uint8Array(key.subarray(0, 16)),
      ...(push && { pushMsat: satOf(push, "--push") * 1000 }),
    });
    out.text("the device opens it: picobolt channel list shows how it goes");
    out.result(opened);
  },
};

export const channel = noun("channel", {
  list: listChannels,
  show: {
    summary: "all that is known of one channel",
    configure: (parser) => void parser.argument("<channel>", WHICH),
    examples: ["picobolt channel show 7f3a", "picobolt channel show 7f3a --json"],
    gateway: async (client, { out }, words) => {
      const found = await channelNamed(client, wordOf(words, 0, "the channel"));
      for (const line of fieldsOf(found)) out.text(line);
      out.result(found);
    },
    device: async (device, { out }, words) => {
      const found = await deviceChannel(device, wordOf(words, 0, "the channel"));
      for (const line of fieldsOf(found)) out.text(line);
      out.result(found);
    },
  },
  open: openChannel,
  pay: {
    summary: "push an amount to the peer of a channel",
    movesMoney: true,
    configure: (parser) =>
      void parser.argument("<channel>", WHICH).argument("<sat>", "what the peer gets"),
    examples: ["picobolt channel pay 7f3a 1500", "picobolt channel pay 7f3a 1500 --key rent-may"],
    gateway: async (client, { out }, words, options) => {
      const amount = satOf(words[1], "the amount");
      const { channel_id } = await channelNamed(client, wordOf(words, 0, "the channel"));
      const paid = await client.payChannel({ channel_id, amount }, keyOf(options));
      out.text(`${amount} sat: ${paid.state}, reference ${paid.reference}`);
      out.result(paid);
    },
  },
  close: closeChannels,
});

async function channelsNamed(client: PicoboltClient, name: string): Promise<readonly Channel[]> {
  return name === "all" ? client.listChannels() : [await channelNamed(client, name)];
}

async function channelNamed(client: PicoboltClient, start: string): Promise<Channel> {
  const all = await client.listChannels();
  return startingWith(all, start, { what: "channel", id: (one) => one.channel_id });
}

function nodeIdOf(words: string): Uint8Array {
  if (/^0[23][0-9a-f]{64}$/.test(words)) return new Uint8Array(Buffer.from(words, "hex"));
  throw new Failure(`"${words}" is no node id: it has 66 hexadecimal digits`, EXIT.usage);
}
