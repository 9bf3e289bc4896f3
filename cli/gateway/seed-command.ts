/** `picobolt seed`: makes, shows, restores and locks the seed of a gateway. */
import { SeedSigner } from "../../core/keys/seed-signer.ts";
import { toHex } from "../../core/primitives/bytes.ts";
import { chooseCrypto } from "../../gateway/crypto/choose.ts";
import { NodeSecret } from "../../gateway/secrets/node-secret.ts";
import {
  createSeedFile,
  plainWarning,
  relockSeedFile,
  type SeedLock,
} from "../../gateway/secrets/seed-file.ts";
import { type Context, type Options, text } from "../command.ts";
import { EXIT, Failure } from "../failure.ts";
import { hiddenWord } from "../prompt.ts";
import { newLock, openSeed, orRefused, type SeedPlace, seedPlace } from "./seed-access.ts";

const MAX_WORDS_BYTES = 4096;

export async function seedCommand(
  context: Context,
  [action]: readonly string[],
  options: Options,
): Promise<void> {
  const place = seedPlace(options);
  switch (action) {
    case "new":
      return made(context, place, { secret: NodeSecret.random(), options });
    case "restore": {
      const secret = await orRefused(typedWords().then(NodeSecret.fromWords));
      return made(context, place, { secret, options });
    }
    case "words":
      return shown(context, place);
    case "passphrase":
      return relocked(context, place, options);
    default:
      throw new Failure(
        `seed takes new, words, restore or passphrase, not "${action}"`,
        EXIT.usage,
      );
  }
}

async function made(
  context: Context,
  place: SeedPlace,
  { secret, options }: { readonly secret: NodeSecret; readonly options: Options },
): Promise<void> {
  const { out } = context;
  const lock = await orRefused(
    newLock(context, {
      plain: options.plain === true,
      keyFile: place.sources.keyFile,
      passphraseFile: place.sources.passphraseFile,
      env: place.sources.env,
    }),
  );
  await orRefused(createSeedFile(place.path, secret, lock));
  warn(out, place, lock);
  const nodeId = nodeIdOf(secret);
  out.text(`node ${nodeId}`);
  out.text(`its seed is in ${place.path}, ${lockedBy(lock)}`);
  if (options.words !== false) {
    out.text("");
    for (const line of numbered(secret.words() ?? "")) out.text(line);
    out.text("\nWrite these words down, in this order, and keep them where the gateway is not:");
    out.text(
      "with a backup of the channels they bring the money back, and nobody can ask for them again.",
    );
  }
  out.result({ path: place.path, node_id: nodeId, locked_by: lock.type });
}

async function shown(context: Context, place: SeedPlace): Promise<void> {
  const { secret } = await openSeed(context, place);
  const words = secret.words();
  if (words === undefined) {
    throw new Failure(
      `the seed in ${place.path} was not made from words: keep a copy of that file instead`,
      EXIT.refused,
    );
  }
  for (const line of numbered(words)) context.out.text(line);
  context.out.result({ words: words.split(" "), node_id: nodeIdOf(secret) });
}

async function relocked(context: Context, place: SeedPlace, options: Options): Promise<void> {
  const { out } = context;
  const open = await openSeed(context, place);
  const lock = await orRefused(
    newLock(context, {
      plain: options.plain === true,
      keyFile: text(options, "newKeyFile"),
      passphraseFile: text(options, "newPassphraseFile"),
    }),
  );
  await orRefused(relockSeedFile(place.path, open, lock));
  warn(out, place, lock);
  out.text(`the seed in ${place.path} is now ${lockedBy(lock)}; copies made before open as before`);
  out.result({ path: place.path, node_id: nodeIdOf(open.secret), locked_by: lock.type });
}

/** At a terminal they are not shown; else all of standard input. */
export async function typedWords(): Promise<string> {
  if (process.stdin.isTTY) return hiddenWord("the words, with spaces between: ");
  let words = "";
  for await (const bytes of process.stdin) {
    words += String(bytes);
    if (words.length > MAX_WORDS_BYTES)
      throw new Failure("that is more than 24 words", EXIT.refused);
  }
  return words;
}

function warn(out: Context["out"], place: SeedPlace, lock: SeedLock): void {
  if (lock.type === "plain") out.note(plainWarning(place.path));
}

function lockedBy(lock: SeedLock): string {
  const words = { passphrase: "locked by a passphrase", "key-file": "locked by a key file" };
  return lock.type === "plain" ? "not encrypted" : words[lock.type];
}

function nodeIdOf(secret: NodeSecret): string {
  const crypto = chooseCrypto();
  return toHex(new SeedSigner(crypto, secret.seed(crypto)).nodeId);
}

/** Four in a row, read from left to right. */
function numbered(words: string): readonly string[] {
  const cells = words
    .split(" ")
    .map((word, index) => `${String(index + 1).padStart(2)} ${word.padEnd(10)}`);
  const rows: string[] = [];
  for (let at = 0; at < cells.length; at += 4)
    rows.push(
      cells
        .slice(at, at + 4)
        .join(" ")
        .trimEnd(),
    );
  return rows;
}
