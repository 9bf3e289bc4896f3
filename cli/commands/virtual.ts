/** `picobolt virtual`: what it takes to run machines that are not there; virtual/fleet.ts does it. */
import type { Command } from "../command.ts";

export const virtual: Command = {
  configure(parser) {
    parser
      .option("--devices <number>", "how many machines, a process each (default: 2)")
      .option("--app <name>", "vending (default) or meter")
      .option("--link <kind>", "serial (default), ble or mqtt")
      .option("--engine <name>", "what runs the firmware: node (default) or xs")
      .option("--broker <name>", "of --link mqtt: aedes (default) or mosquitto")
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
