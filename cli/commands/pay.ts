/** `picobolt pay`: what it takes; wallet/pay.ts does it. */
import type { Command } from "../command.ts";

export const pay: Command = {
  configure(parser) {
    parser
      .requiredOption("--link <link>", "the machine: /dev/ttyUSB0, ble:<name>, socket:<path>, …")
      .option("--product <number>", "what to buy; without it the price list is shown")
      .option("--meter <seconds>", "feed a meter for so long, in small payments")
      .option("--gateway <link>", "your gateway, which funds a channel where there is none")
      .option("--fund <sat>", "size of a new channel (default: 100000, or 20 such purchases)")
      .option(
        "--wallet <folder>",
        "where keys and channels are kept (default: ~/.config/picobolt/wallet)",
      )
      .option("--network <name>", "of a new wallet: mainnet, testnet4, signet, regtest (default)")
      .option("--dry-run", "show what would be paid, and pay nothing");
  },
  examples: [
    "picobolt pay --link /dev/ttyUSB0                                  # the price list",
    "picobolt pay --link /dev/ttyUSB0 --product 1 --gateway socket:/run/picobolt/gateway.sock",
    "picobolt pay --link ble:coffee --product 1 --dry-run",
  ],
  run: async (...given) => (await import("../wallet/pay.ts")).pay(...given),
};
