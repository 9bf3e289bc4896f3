/** `picobolt wallet`: a gateway's coins on chain, and what a node has in its channels. */
import { text } from "../command.ts";
import { EXIT, Failure } from "../failure.ts";
import { keyOf, satOf, wordOf } from "../gateway/words.ts";
import { channelsOfDevice } from "../owner/device-channels.ts";
import { noun } from "../target/noun.ts";
import { satText, textTable } from "../text-table.ts";

type Row = readonly [what: string, amount: string];

export const wallet = noun("wallet", {
  balance: {
    summary: "coins on chain, and what the channels hold",
    examples: ["picobolt wallet balance", "picobolt wallet balance --device ble:coffee --json"],
    gateway: async (client, { out }) => {
      const balance = await client.getWalletBalance();
      out.text(
        amounts([
          ["on chain", String(balance.onchain_sat)],
          ["in channels, here", satText(balance.channels_local_msat)],
          ["in channels, there", satText(balance.channels_remote_msat)],
          ["in what is closing", satText(balance.channels_closing_msat)],
        ]),
      );
      out.text(`${balance.free_coins} free coins to pay for claims; five or more are wanted`);
      out.result(balance);
    },
    device: async (device, { out }) => {
      const channels = await channelsOfDevice(device);
      const sum = (of: "local_balance_msat" | "remote_balance_msat") =>
        channels.reduce((all, one) => all + one[of], 0);
      const balance = {
        channels_local_msat: sum("local_balance_msat"),
        channels_remote_msat: sum("remote_balance_msat"),
      };
      out.text(
        amounts([
          ["in channels, here", satText(balance.channels_local_msat)],
          ["in channels, there", satText(balance.channels_remote_msat)],
        ]),
      );
      out.result(balance);
    },
  },
  address: {
    summary: "a new address to send coins to",
    examples: ["picobolt wallet address"],
    gateway: async (client, { out }) => {
      const address = await client.newAddress();
      out.text(address);
      out.result({ address });
    },
  },
  withdraw: {
    summary: "send coins to an address",
    movesMoney: true,
    configure: (parser) =>
      void parser
        .argument("<address>", "segwit, of the gateway's network")
        .argument("<sat>", 'what arrives; "all": everything, less the fee')
        .option("--feerate <sat/vB>", "what miners get; default: what the chain asks for now"),
    examples: [
      "picobolt wallet withdraw bc1q… 250000",
      "picobolt wallet withdraw bc1q… all --feerate 5",
    ],
    gateway: async (client, { out }, words, options) => {
      const address = wordOf(words, 0, "the address");
      const amount =
        words[1] === "all" ? { all: true } : { amount_sat: satOf(words[1], "the amount") };
      const feerate = text(options, "feerate");
      if (feerate !== undefined && !(Number(feerate) >= 1)) {
        throw new Failure("--feerate is a number of 1 or more (satoshi per vbyte)", EXIT.usage);
      }
      const more = feerate === undefined ? {} : { feerate_sat_per_vb: Number(feerate) };
      const done = await client.withdraw({ address, ...amount, ...more }, keyOf(options));
      out.text(`${done.amount_sat} sat are on their way: ${done.txid}`);
      out.result(done);
    },
  },
});

function amounts(rows: readonly Row[]): string {
  const columns = [
    { head: "where", of: ([what]: Row) => what },
    { head: "sat", isRight: true, of: ([, amount]: Row) => amount },
  ];
  return textTable(columns, rows);
}
