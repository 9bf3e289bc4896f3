/** `picobolt owner`: the owner's key as 24 words (BIP 39: its 32 bytes are the words' entropy), and back. */
import { existsSync } from "node:fs";
import { secretKey } from "../../core/primitives/brands.ts";
import { chooseCrypto } from "../../gateway/crypto/choose.ts";
import { SecretError } from "../../gateway/secrets/secret-error.ts";
import { entropyOf, wordsOf } from "../../gateway/secrets/words.ts";
import { EXIT, Failure } from "../failure.ts";
import { typedWords } from "../gateway/seed-command.ts";
import { keepSecret, readSecret } from "../keys/home.ts";
import { noun, type Verb } from "../target/noun.ts";

const SECRET_BYTES = 32;

const words: Verb = {
  summary: "show the owner's key as words: with them and a backup a broken device is replaced",
  examples: ["picobolt owner words"],
  here: async ({ out, home }) => {
    const list = wordsOf(readSecret(ownerKeyIn(home))).split(" ");
    list.forEach((word, i) => {
      out.text(`${String(i + 1).padStart(2)} ${word}`);
    });
    out.result({ words: list, owner: ownerOf(readSecret(ownerKeyIn(home))) });
  },
};

const restoreKey: Verb = {
  summary: "bring the owner's key back from its words",
  examples: ["picobolt owner restore"],
  here: async ({ out, home }) => {
    const file = ownerKeyIn(home);
    if (existsSync(file)) {
      throw new Failure(`${file} is there already: nothing was changed`, EXIT.refused);
    }
    const secret = secretIn(await typedWords());
    keepSecret(file, secret);
    out.text(`the owner's key is in ${file}`);
    out.result({ file, owner: ownerOf(secret) });
  },
};

export const owner = noun("owner", { words, restore: restoreKey });

function secretIn(given: string): Uint8Array {
  try {
    const secret = entropyOf(given);
    if (secret.length === SECRET_BYTES && chooseCrypto().isSecretKey(secret)) return secret;
  } catch (cause) {
    if (cause instanceof SecretError) throw new Failure(cause.message, EXIT.refused);
    throw cause;
  }
  throw new Failure("an owner's key has 24 words", EXIT.refused);
}

function ownerOf(secret: Uint8Array): string {
  return Buffer.from(chooseCrypto().publicKeyOf(secretKey(secret))).toString("hex");
}

function ownerKeyIn(home: string): string {
  return `${home}/owner.key`;
}
