/** Signs an image with the release key, so that devices that were built with its public half take it. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { makeUpdate } from "../../core/messages/update-image.ts";
import { secretKey } from "../../core/primitives/brands.ts";
import { chooseCrypto } from "../../gateway/crypto/choose.ts";
import type { Context, Options } from "../command.ts";
import { text } from "../command.ts";
import { EXIT, Failure, messageOf } from "../failure.ts";
import { targetOf } from "../flash/boards.ts";
import { imageProblem } from "../flash/esp-image.ts";
import { readSecret, secretIn } from "../keys/home.ts";

export async function signUpdate(
  { out, home }: Context,
  _args: readonly string[],
  options: Options,
): Promise<void> {
  const crypto = chooseCrypto();
  const file = text(options, "key") ?? join(home, "release.key");
  const secret = secretKey(options.newKey ? freshKey(file) : releaseKey(file));
  const publicHex = hex(crypto.publicKeyOf(secret));
  const image = text(options, "image");
  if (image === undefined) {
    out.text(`release key ${publicHex}\nbuild images with it, and keep ${file} off line`);
    out.result({ releaseKey: publicHex, file });
    return;
  }
  const of = {
    model: needed(options, "model"),
    version: needed(options, "release"),
    number: Number(needed(options, "number")),
  };
  const bytes = imageFor(of.model, image);
  let update: Uint8Array;
  try {
    update = makeUpdate(crypto, bytes, of, (hash) => crypto.sign(hash, secret));
  } catch (cause) {
    throw new Failure(`the update was not made: ${messageOf(cause)}`, EXIT.usage);
  }
  const to = text(options, "out") ?? `${of.model}-${of.version}.update`;
  writeFileSync(to, update);
  out.text(`${to}: ${of.model} ${of.version} (number ${of.number}), signed by ${publicHex}`);
  out.result({ file: to, ...of, bytes: update.length, releaseKey: publicHex });
}

function freshKey(file: string): Uint8Array {
  const { secret, isNew } = secretIn(file);
  if (isNew) return secret;
  throw new Failure(`there is a release key at ${file} already; it is not replaced`, EXIT.refused);
}

function releaseKey(file: string): Uint8Array {
  if (existsSync(file)) return readSecret(file);
  throw new Failure(
    `there is no release key at ${file}; --new-key makes one, --key names another`,
    EXIT.refused,
  );
}

function imageFor(model: string, file: string): Uint8Array {
  if (!existsSync(file)) throw new Failure(`there is no image at ${file}`, EXIT.refused);
  const bytes = new Uint8Array(readFileSync(file));
  const target = targetOf(model);
  const problem = target && imageProblem(bytes, target.imageChipId);
  if (problem) throw new Failure(`${file} ${problem}; nothing was signed`, EXIT.refused);
  return bytes;
}

function needed(options: Options, name: string): string {
  const value = text(options, name);
  if (value) return value;
  throw new Failure(`--${name} is missing: every device checks it`, EXIT.usage);
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
