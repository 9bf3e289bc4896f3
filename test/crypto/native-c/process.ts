/** The device's C crypto as a program of this machine, called synchronously through named pipes. */
import { execFileSync, spawn } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { concat } from "../../../core/primitives/bytes.ts";
import type { NativeFunctions } from "../../../firmware/crypto/native.ts";
import { cryptoSources } from "../../../host-sim/crypto-c/sources.ts";

const CALLS = [
  "sha256",
  "sha512",
  "ripemd160",
  "hmacSha256",
  "hmacSha512",
  "hkdf",
  "isSecretKey",
  "isPublicKey",
  "publicKeyOf",
  "publicKeyTweakAdd",
  "publicKeyTweakMultiply",
  "publicKeyAdd",
  "secretKeyTweakAdd",
  "secretKeyTweakMultiply",
  "sign",
  "verify",
  "ecdh",
  "encrypt",
  "decrypt",
  "blind",
  "entropy",
] as const;
export type Call = (typeof CALLS)[number];

export interface CAnswer {
  readonly done: boolean;
  readonly result: Uint8Array;
}

/** Compiles calls.c with the device's sources; where the compiler cannot (no 32-bit libraries), the error says so. */
export function compileCalls(options: readonly string[]): string {
  const folder = mkdtempSync(join(tmpdir(), "picobolt-c-"));
  const { plain, includeFolders } = cryptoSources();
  const here = fileURLToPath(new URL("./calls.c", import.meta.url));
  const includes = includeFolders.map((include) => `-I${include}`);
  const program = join(folder, "calls");
  const warnings = ["-std=gnu99", "-Wall", "-Wextra", "-Werror"];
  const parameters = [...warnings, ...options, ...includes, here, ...plain, "-o", program];
  execFileSync("cc", parameters, { stdio: ["ignore", "ignore", "pipe"] });
  return program;
}

/** One running program; `close` ends it. Its sanitizers write to our standard error. */
export class CProcess {
  readonly #input: number;
  readonly #output: number;

  constructor(program: string) {
    const folder = mkdtempSync(join(tmpdir(), "picobolt-pipes-"));
    const [input, output] = [join(folder, "in"), join(folder, "out")];
    execFileSync("mkfifo", [input, output]);
    // Opened for both ways first: a pipe with one end alone would block.
    const held = [openSync(input, "r+"), openSync(output, "r+")];
    const theirs = [openSync(input, "r"), openSync(output, "w")] as const;
    this.#input = openSync(input, "w");
    this.#output = openSync(output, "r");
    spawn(program, { stdio: [theirs[0], theirs[1], "inherit"] });
    for (const end of [...held, ...theirs]) closeSync(end);
    rmSync(folder, { recursive: true });
  }

  call(call: Call, ...parts: readonly Uint8Array[]): CAnswer {
    const header = concat(number(CALLS.indexOf(call)), number(parts.length));
    this.#write(concat(header, ...parts.map((part) => concat(number(part.length), part))));
    const answer = this.#read(5);
    const length = new DataView(answer.buffer).getUint32(1);
    return { done: answer[0] === 1, result: this.#read(length) };
  }

  close(): void {
    closeSync(this.#input);
    closeSync(this.#output);
  }

  #write(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) at += writeSync(this.#input, bytes, at);
  }

  #read(length: number): Uint8Array {
    const out = new Uint8Array(length);
    for (let at = 0; at < length; ) {
      const got = readSync(this.#output, out, at, length - at, null);
      if (got === 0) throw new Error("the C program ended; see its message above");
      at += got;
    }
    return out;
  }
}

/** What xs-crypto.c would hand to JavaScript, without an engine between. */
export function functionsOf(process: CProcess): NativeFunctions {
  const fills =
    (call: Call) =>
    (...all: readonly Uint8Array[]): boolean => {
      const { done, result } = process.call(call, ...all.slice(0, -1));
      const out = all.at(-1) as Uint8Array;
      if (result.length !== out.length) throw new RangeError(`${call}: ${result.length} bytes`);
      if (done) out.set(result);
      return done;
    };
  const judges =
    (call: Call) =>
    (...all: readonly Uint8Array[]): boolean =>
      process.call(call, ...all).done;
  return {
    sha256: fills("sha256"),
    ripemd160: fills("ripemd160"),
    hmacSha256: fills("hmacSha256"),
    hmacSha512: fills("hmacSha512"),
    isSecretKey: judges("isSecretKey"),
    isPublicKey: judges("isPublicKey"),
    publicKeyOf: fills("publicKeyOf"),
    publicKeyTweakAdd: fills("publicKeyTweakAdd"),
    publicKeyTweakMultiply: fills("publicKeyTweakMultiply"),
    publicKeyAdd: fills("publicKeyAdd"),
    secretKeyTweakAdd: fills("secretKeyTweakAdd"),
    secretKeyTweakMultiply: fills("secretKeyTweakMultiply"),
    sign: fills("sign"),
    verify: judges("verify"),
    ecdh: fills("ecdh"),
    encrypt: fills("encrypt"),
    decrypt: fills("decrypt"),
    entropy: fills("entropy"),
  };
}

function number(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value);
  return bytes;
}
