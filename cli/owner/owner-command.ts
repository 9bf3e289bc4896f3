/** What the owner's commands have in common: the link to the device, the owner's key, and a session between them. */
import type { Command as Parser } from "commander";
import type { AdminClient } from "../../gateway/admin/client.ts";
import type { Command, Context, Options } from "../command.ts";
import { deviceOptions } from "../target/target.ts";

export interface OwnerWork extends Pick<Command, "streams"> {
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

export function ownerCommand({
  configure,
  examples,
  prepare,
  run,
  streams = false,
}: OwnerWork): Command {
  return {
    streams,
    configure(parser) {
      configure?.(parser);
      deviceOptions(parser);
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
