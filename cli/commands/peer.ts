/** `picobolt peer`: the nodes that a gateway is connected with. */
import type { Peer } from "../../client/client.ts";
import { startingWith, wordOf } from "../gateway/words.ts";
import { noun } from "../target/noun.ts";
import { type Column, timeText } from "../text-table.ts";

const COLUMNS: readonly Column<Peer>[] = [
  { head: "node", of: (one) => one.node_id },
  { head: "is", of: (one) => (one.connected ? "here" : "away") },
  { head: "channels", of: (one) => one.channels },
  { head: "link", of: (one) => one.link },
  { head: "called at", of: (one) => one.address },
  { head: "last seen", of: (one) => one.last_seen && timeText(one.last_seen) },
];

export const peer = noun("peer", {
  list: {
    summary: "nodes that are connected, have a channel or are called",
    examples: ["picobolt peer list", "picobolt peer list --json"],
    gateway: async (client, { out }) => {
      const peers = await client.listPeers();
      out.table({ columns: COLUMNS, rows: peers, none: "no peers" }, { peers });
    },
  },
  connect: {
    summary: "call a node, now and whenever it is away",
    configure: (parser) => void parser.argument("<node id@host:port>", "where it listens"),
    examples: ["picobolt peer connect 02abff33…@192.168.1.7:9735"],
    gateway: async (client, { out }, words) => {
      const address = wordOf(words, 0, "<node id>@<host>:<port>");
      out.note(`calling ${address.replace(/^.*@/, "")} …`);
      const one = await client.connectPeer(address);
      out.text(`${one.node_id} is connected`);
      out.result(one);
    },
  },
  disconnect: {
    summary: "end the connection, and call that node no more",
    configure: (parser) => void parser.argument("<node id>", "whole, or the beginning of it"),
    examples: ["picobolt peer disconnect 02abff33"],
    gateway: async (client, { out }, words) => {
      const naming = { what: "peer", id: (one: Peer) => one.node_id };
      const named = wordOf(words, 0, "the peer's node id");
      const { node_id } = startingWith(await client.listPeers(), named, naming);
      const done = await client.call("disconnectPeer", { node_id });
      out.text(`${node_id} is called no more`);
      out.result(done);
    },
  },
});
