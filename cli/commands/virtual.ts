/** `picobolt virtual`: what it takes to run machines that are not there; virtual/fleet.ts does it. */
import { type Command, oneOf } from "../command.ts";

export const virtual: Command = {
  streams: true,
  configure(parser) {
    parser
      .option("--devices <number>", "how many machines, a process each (default: 2)")
      .addOption(oneOf("--app <name>", "what they sell (default: vending)", ["vending", "meter"]))
      .addOption(
        oneOf("--link <kind>", "how they are reached (default: serial)", ["serial", "ble", "mqtt"]),
      )
      .addOption(oneOf("--engine <name>", "what runs the firmware (default: node)", ["node", "xs"]))
      .addOption(
        oneOf("--broker <name>", "of --link mqtt (default: aedes)", ["aedes", "mosquitto"]),
      )
      .option("--purchases <number>", "at each machine (default: 3)")
      .option(
        "--jam-every <number>",
        "every so-manieth product of each machine gets stuck; of a meter: a customer leaves early",
      )
      .option("--keep", "leave the machines running until Ctrl-C, for the other commands");
  },
  examples: [
    "picobolt virtual --devices 20 --app vending --link serial --jam-every 7",
    "picobolt virtual --devices 5 --app meter --link mqtt --broker mosquitto",
    "picobolt virtual --devices 1 --link ble --purchases 0 --keep",
  ],
  run: async (context, _args, options) => {
    const { planOf } = await import("../virtual/plan.ts");
    const plan = planOf(options);
    await (await import("../virtual/fleet.ts")).runFleet(context, plan);
  },
};
