/** Where a gateway's seed is, and what opens or locks it, as the commands `seed` and `macaroon` take it. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Command as Parser } from "commander";
import { ConfigError, loadConfig } from "../../gateway/run/config.ts";
import type { Config } from "../../gateway/run/settings.ts";
import { checkNewPassphrase } from "../../gateway/secrets/sealed.ts";
import { SecretError } from "../../gateway/secrets/secret-error.ts";
import { type OpenSeed, openSeedFile, type SeedLock } from "../../gateway/secrets/seed-file.ts";
import {
  createKeyFile,
  fileText,
  givenPassphrase,
  readKeyFile,
  type UnlockSources,
} from "../../gateway/secrets/unlock.ts";
import { type Context, type Options, text } from "../command.ts";
import { EXIT, Failure } from "../failure.ts";
import { hiddenWord } from "../prompt.ts";

export interface SeedPlace {
  readonly folder: string;
  /** The seed's file, whether it is there or not. */
  readonly path: string;
  readonly sources: UnlockSources;
}

export function seedOptions(parser: Parser): Parser {
  return parser
    .option("--data-dir <folder>", "the gateway's (DATA_DIR)")
    .option("--config <file>", "the gateway's TOML file, where it has one")
    .option("--passphrase-file <file>", "holds the passphrase (or PICOBOLT_PASSPHRASE, or typed)")
    .option("--key-file <file>", "opens the seed instead of a passphrase");
}

export function seedPlace(options: Options): SeedPlace {
  const config = configOf(options);
  const folder = config.data_dir;
  const passphraseFile = text(options, "passphraseFile") ?? config["secrets.passphrase_file"];
  const keyFile = text(options, "keyFile") ?? config["secrets.key_file"];
  return {
    folder,
    path: join(folder, "seed"),
    sources: {
      env: process.env,
      ...(passphraseFile !== undefined && { passphraseFile }),
      ...(keyFile !== undefined && { keyFile }),
      ...(process.stdin.isTTY && { ask: hiddenWord }),
    },
  };
}

/** Asks where it must; the warning of a seed that nobody locked goes to standard error. */
export async function openSeed(context: Context, place: SeedPlace): Promise<OpenSeed> {
  const open = await orRefused(openSeedFile(place.path, place.sources));
  if (open.warning) context.out.note(open.warning);
  return open;
}

/** Of a seed that is made now: a key file that is not there is made too. */
export async function newLock(
  context: Context,
  { plain, keyFile, passphraseFile, env = {} }: NewLockWords,
): Promise<SeedLock> {
  if (plain) return { type: "plain" };
  if (keyFile !== undefined) return { type: "key-file", key: keyIn(context, keyFile) };
  const given = fileText(passphraseFile) ?? givenPassphrase(env);
  const passphrase = given ?? (await typedTwice());
  checkNewPassphrase(passphrase);
  return { type: "passphrase", passphrase };
}

interface NewLockWords {
  readonly plain: boolean;
  readonly keyFile: string | undefined;
  readonly passphraseFile: string | undefined;
  readonly env?: UnlockSources["env"];
}

/** What was refused about a secret left everything as it was. */
export async function orRefused<T>(work: Promise<T> | T): Promise<T> {
  try {
    return await work;
  } catch (cause) {
    if (!(cause instanceof SecretError)) throw cause;
    throw new Failure(cause.message, cause.code === "io" ? EXIT.failed : EXIT.refused);
  }
}

function keyIn(context: Context, path: string): Uint8Array {
  if (existsSync(path)) return readKeyFile(path);
  const key = createKeyFile(path);
  context.out.note(
    `made the key file ${path}: without it the seed does not open; keep a copy elsewhere`,
  );
  return key;
}

async function typedTwice(): Promise<string> {
  if (!process.stdin.isTTY) {
    throw new SecretError(
      "locked",
      "a new seed needs a passphrase (PICOBOLT_PASSPHRASE, --passphrase-file or typed at a terminal), --key-file, or --plain.",
    );
  }
  const first = await hiddenWord("new passphrase: ");
  checkNewPassphrase(first);
  if ((await hiddenWord("once more: ")) === first) return first;
  throw new Failure("the two are not the same; nothing was changed", EXIT.refused);
}

function configOf(options: Options): Config {
  const file = text(options, "config");
  const folder = text(options, "dataDir");
  try {
    return loadConfig({
      ...(file !== undefined && { file }),
      env: process.env,
      words: folder === undefined ? {} : { data_dir: folder },
    });
  } catch (cause) {
    if (!(cause instanceof ConfigError)) throw cause;
    throw new Failure(cause.problems.join("\npicobolt: "), EXIT.usage);
  }
}
