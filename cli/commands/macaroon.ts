/** `picobolt macaroon`: what it takes; gateway/macaroon-command.ts does it. */
import { argumentOneOf, type Command } from "../command.ts";
import { seedOptions } from "../gateway/seed-access.ts";

export const macaroon: Command = {
  streams: true,
  configure(parser) {
    parser
      .addArgument(
        argumentOneOf("<action>", "what is done", [
          "bake",
          "attenuate",
          "inspect",
          "list",
          "revoke",
        ]),
      )
      .argument("[name]", "with bake and revoke: what it is called")
      .option(
        "--permit <list>",
        "operations, or groups: read, invoice, pay, channel, device, admin",
      )
      .option("--device <node ids>", "about these devices alone")
      .option("--expires <when>", "30d, 12h, 45m or 2027-01-31T12:00:00Z")
      .option("--amount-per-day <msat>", "sends no more in a day of UTC")
      .option("--ip <addresses>", "from there alone: 10.0.0.0/8,::1")
      .option("--caveat <caveat...>", "any other, as the gateway reads it")
      .option("--in <file>", "with attenuate and inspect: the macaroon (default: standard input)")
      .option("--out <file>", "a new file of mode 600 (default: standard output)");
    seedOptions(parser);
  },
  examples: [
    "picobolt macaroon bake shop --permit read,invoice --expires 90d --out shop.macaroon",
    "picobolt macaroon attenuate --in shop.macaroon --device 02abff33… --out kiosk.macaroon",
    "picobolt macaroon inspect --in kiosk.macaroon",
    "picobolt macaroon revoke shop",
  ],
  run: async (...given) =>
    (await import("../gateway/macaroon-command.ts")).macaroonCommand(...given),
};
