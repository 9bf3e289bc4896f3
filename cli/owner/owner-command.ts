/** What the owner's commands have in common: the link to the device, the owner's key, and a session between them. */
import type { Command as Parser } from "commander";
import type { AdminClient } from "../../gateway/admin/client.ts";
import type { Command, Context, Options } from "../command.ts";

export interface OwnerWork {
  configure?(parser: Parser): void;
  readonly examples: readonly string[];
  /** Before anything is opened: what the words and files hold is checked here, and thrown as a Failure. */
  prepare?(args: readonly string[], options: Options): void;
  run(
    device: AdminClient,
    context: Context,
    args: readonly string[],
    options: Options,
  ): Promise<void>;
}

export function ownerCommand({ configure, examples, prepare, run }: OwnerWork): Command {
  return {
    configure(parser) {
      configure?.(parser);
      parser
        .option("--link <link>", "/dev/ttyUSB0, ble:<name>, … (default: the only serial port)")
        .option("--network <name>", "of a device that was not claimed from here");
    },
    examples,
    async run(context, args, options) {
      prepare?.(args, options);
      const { answered, openOwnedDevice } = await import("./owned-device.ts");
      const device = await openOwnedDevice(context, options);
      await answered(run(device, context, args, options));
    },
  };
}
