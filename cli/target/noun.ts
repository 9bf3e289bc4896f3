/** A noun with its verbs, `picobolt channel list`: each verb says what it does to a gateway, and what to a device. */
import type { Command as Parser } from "commander";
import type { PicoboltClient } from "../../client/client.ts";
import type { AdminClient } from "../../gateway/admin/client.ts";
import type { Command, Context, Options } from "../command.ts";
import { EXIT, Failure } from "../failure.ts";
import { withGateway } from "../gateway/gateway-client.ts";
import {
  TARGET_VARIABLE,
  type Target,
  type TargetKind,
  targetOf,
  targetOptions,
} from "./target.ts";

type Work<Node> = (
  node: Node,
  context: Context,
  words: readonly string[],
  options: Options,
) => Promise<void>;

export interface Verb {
  readonly summary: string;
  readonly examples: readonly string[];
  /** Its own words and options. */
  configure?(parser: Parser): void;
  /** What the words hold is checked before anybody is asked. */
  prepare?(words: readonly string[], options: Options): void;
  readonly gateway?: Work<PicoboltClient>;
  readonly device?: Work<AdminClient>;
  /** Done by the command alone: nobody is asked. */
  here?(context: Context, words: readonly string[], options: Options): Promise<void>;
  /** A key that names the payment may be given. */
  readonly movesMoney?: boolean;
}

export function noun(name: string, verbs: Readonly<Record<string, Verb>>): Command {
  return {
    configure() {},
    examples: [],
    run: async () => {},
    verbs: Object.fromEntries(
      Object.entries(verbs).map(([verb, about]) => [verb, commandOf(`${name} ${verb}`, about)]),
    ),
  };
}

/** One verb as a command of its own, for a name that it had before. */
export function commandOf(name: string, verb: Verb): Command & { readonly summary: string } {
  const kinds: TargetKind[] = [];
  if (verb.gateway) kinds.push("gateway");
  if (verb.device) kinds.push("device");
  return {
    summary: verb.summary,
    configure(parser) {
      verb.configure?.(parser);
      if (verb.movesMoney) {
        parser.option("--key <words>", "names the payment: the same key pays once, however often");
      }
      targetOptions(parser, kinds);
    },
    examples: verb.examples,
    async run(context, words, options) {
      verb.prepare?.(words, options);
      if (verb.here) return verb.here(context, words, options);
      const target = chosen(name, verb, targetOf(options));
      if (target.kind === "gateway") {
        const { gateway } = verb;
        return withGateway(target, options, async (one) => gateway?.(one, context, words, options));
      }
      const { answered, openOwnedDevice } = await import("../owner/owned-device.ts");
      const device = await openOwnedDevice(context, options);
      await answered(verb.device?.(device, context, words, options) ?? Promise.resolve());
    },
  };
}

/** Without a name it is the gateway of this machine, or, where only devices can do it, the only serial port. */
function chosen(name: string, { gateway, device }: Verb, target: Target | undefined): Target {
  if (target === undefined) return gateway ? { kind: "gateway" } : { kind: "device", link: "" };
  if (target.kind === "gateway" ? gateway : device) return target;
  const other = target.kind === "gateway" ? "device" : "gateway";
  throw new Failure(
    `${name} is asked of a ${other}, and a ${target.kind} was named: use --${other}, or ${TARGET_VARIABLE}`,
    EXIT.usage,
  );
}
