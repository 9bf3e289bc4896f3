/** `picobolt pay`: what it takes; wallet/pay.ts does it. */
import { Option } from "commander";
import { type Command, oneOf } from "../command.ts";

export const pay: Command = {
  streams: true,
  configure(parser) {
    parser
      .argument("[invoice]", "BOLT 11 (lnbc…): paid through your gateway, wherever it leads")
      .option("--device <link>", "the machine: /dev/ttyUSB0, ble:<name>, socket:<path>, …")
      .addOption(new Option("--link <link>", "the same as --device").hideHelp())
      .option("--product <number>", "what to buy; without it the price list is shown")
      .option("--meter <seconds>", "feed a meter for so long, in small payments")
      .option("--machine <node id>", "a machine that your gateway reaches, in place of --device")
      .option("--max-fee <sat>", "of an invoice: default half a percent, and 5 satoshi at least")
      .option("--amount <sat>", "of an invoice that leaves it open")
      .option("--gateway <link>", "your gateway, which funds a channel where there is none")
      .option("--fund <sat>", "size of a new channel (default: 100000, or 20 such purchases)")
      .option(
        "--wallet <folder>",
        "where keys and channels are kept (default: ~/.config/picobolt/wallet)",
      )
      .addOption(
        oneOf("--network <name>", "of a new wallet (default: regtest)", [
          "mainnet",
          "testnet4",
          "signet",
          "regtest",
        ]),
      )
      .option("--dry-run", "show what would be paid, and pay nothing");
  },
  examples: [
    "picobolt pay --device /dev/ttyUSB0                                  # the price list",
    "picobolt pay --device /dev/ttyUSB0 --product 1 --gateway socket:/run/picobolt/gateway.sock",
    "picobolt pay --device ble:coffee --product 1 --dry-run",
    "picobolt pay lnbc9u1… --gateway mqtt://…                             # through your gateway",
    "picobolt pay --machine 02ab… --product 1 --gateway mqtt://…",
  ],
  run: async (...given) => (await import("../wallet/pay.ts")).pay(...given),
};
