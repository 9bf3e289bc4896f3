/** `picobolt claim`: what it takes to make a device yours; owner/claim.ts does it. */
import { Option } from "commander";
import { type Command, oneOf } from "../command.ts";

export const claim: Command = {
  configure(parser) {
    parser
      .option("--device <link>", "/dev/ttyUSB0, ble:<name> (default: the only serial port)")
      .addOption(new Option("--link <link>", "the same as --device").hideHelp())
      .requiredOption("--name <text>", "what customers see")
      .requiredOption(
        "--payout <key>",
        "extended public key or descriptor: what it earns goes there, and it cannot spend it",
      )
      .requiredOption("--gateway <node id>", "the gateway that it belongs to")
      .addOption(oneOf("--app <name>", "what it does", ["vending", "meter", "payer"]))
      .option("--app-settings <file>", "the app's settings, JSON")
      .option("--price-list <file>", "what it sells: CSV (number,name,sat) or JSON")
      .option("--code <digits>", "the code printed on the device, for a claim over BLE")
      .addOption(
        oneOf("--network <name>", "its chain (default: regtest)", [
          "mainnet",
          "testnet4",
          "signet",
          "regtest",
        ]),
      )
      .option("--dry-run", "show what would be done, and do nothing");
  },
  examples: [
    "picobolt claim --name coffee --payout xpub6C… --gateway 0351… --app vending --price-list prices.csv",
    "picobolt claim --device ble:picobolt-3f2a --code 123456 --name coffee --payout xpub6C… --gateway 0351…",
  ],
  run: async (...given) => (await import("../owner/claim.ts")).claim(...given),
};
