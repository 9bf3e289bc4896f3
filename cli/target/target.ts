/** Which node a command speaks to: a gateway (its API) or a device (its owner's session), named in one way by every command. */
import { statSync } from "node:fs";
import { Option, type Command as Parser } from "commander";
import { type Options, oneOf, text } from "../command.ts";
import { EXIT, Failure } from "../failure.ts";
import { NETWORK_NAMES } from "../owner/known-devices.ts";

export type Target =
  | { readonly kind: "gateway"; readonly url?: string; readonly folder?: string }
  | { readonly kind: "device"; readonly link: string };
export type TargetKind = Target["kind"];

export const TARGET_VARIABLE = "PICOBOLT_TARGET";
const LINK = /^(serial|ble|mqtts?|socket):|^\/dev\//;

/** `--gateway`, `--device` and what goes with each, for those of them that a command can speak to. */
export function targetOptions(parser: Parser, kinds: readonly TargetKind[]): void {
  if (kinds.includes("gateway")) {
    parser
      .option("--gateway <url|folder>", "a gateway by its API or data folder (default: DATA_DIR)")
      .option("--macaroon <file>", "default: admin.macaroon in the data folder")
      .option("--ca <file>", "PEM of its authority; default: ca.pem in the data folder")
      .addOption(new Option("--data-dir <folder>", "the same as --gateway <folder>").hideHelp());
  }
  if (kinds.includes("device")) deviceOptions(parser);
}

/** A device of yours, a board as well as a virtual one. */
export function deviceOptions(parser: Parser): void {
  parser
    .option("--device <link>", "/dev/ttyUSB0, ble:<name>, mqtt:… (default: the only serial port)")
    .addOption(
      oneOf("--network <name>", "of a device that was not claimed from here", NETWORK_NAMES),
    )
    .addOption(new Option("--link <link>", "the same as --device").hideHelp());
}

/** What the words name, else PICOBOLT_TARGET, else nothing. */
export function targetOf(options: Options, env = process.env): Target | undefined {
  const gateway = text(options, "gateway");
  const link = text(options, "device") ?? text(options, "link");
  if (link !== undefined && gateway !== undefined) {
    throw new Failure("--gateway and --device name two targets: leave one out", EXIT.usage);
  }
  if (link !== undefined) return { kind: "device", link };
  if (gateway !== undefined) return gatewayAt(gateway);
  const folder = text(options, "dataDir");
  if (folder !== undefined) return { kind: "gateway", folder };
  const named = env[TARGET_VARIABLE];
  return named ? targetIn(named) : undefined;
}

/** Of one word: `gateway:…` and `device:…` say what it is, else it is seen by its form. */
export function targetIn(words: string): Target {
  const [, kind, name = ""] = /^(gateway|device):(.*)$/s.exec(words) ?? [];
  if (kind === "device") return { kind, link: name };
  if (kind === "gateway") return gatewayAt(name);
  if (LINK.test(words)) return { kind: "device", link: words };
  const isFolder = statSync(words, { throwIfNoEntry: false })?.isDirectory() === true;
  if (isFolder || /^https?:\/\//.test(words)) return gatewayAt(words);
  throw new Failure(
    `${TARGET_VARIABLE}=${words} names no target: it is a gateway's URL or data folder, or a device's link ` +
      "(/dev/ttyUSB0, ble:name); gateway:… or device:… says which is meant",
    EXIT.usage,
  );
}

function gatewayAt(words: string): Target {
  if (/^https?:\/\//.test(words)) return { kind: "gateway", url: words };
  return { kind: "gateway", folder: words };
}

/** The link of a device for a command that is a device's alone; undefined: the only serial port. */
export function linkOf(options: Options, env = process.env): string | undefined {
  // What else --gateway means to such a command is its own.
  const target = targetOf({ ...options, gateway: undefined, dataDir: undefined }, env);
  if (target === undefined || target.kind === "device") return target?.link;
  throw new Failure(
    `${TARGET_VARIABLE} names a gateway, and this is done to a device: name it with --device`,
    EXIT.usage,
  );
}
