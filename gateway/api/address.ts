/** Segwit addresses (BIP 173, BIP 350) of the network, and the scripts that they stand for. */
import { bech32, bech32m } from "@scure/base";
import type { GatewayNetwork } from "../run/settings.ts";

const PREFIX: Readonly<Record<GatewayNetwork, string>> = {
  mainnet: "bc",
  testnet4: "tb",
  signet: "tb",
  regtest: "bcrt",
  sim: "bcrt",
};
const OP_1 = 0x51;
const MAX_VERSION = 16;

/** Undefined for a script that has no segwit address. */
export function addressOf(script: Uint8Array, network: GatewayNetwork): string | undefined {
  const [first = 0, length] = script;
  const version = first === 0 ? 0 : first - OP_1 + 1;
  const program = script.subarray(2);
  const isProgram = version >= 0 && version <= MAX_VERSION && length === program.length;
  if (!isProgram || !isLength(version, program.length)) return undefined;
  const code = version === 0 ? bech32 : bech32m;
  return code.encode(PREFIX[network], [version, ...code.toWords(program)]);
}

/** @throws Error that says what is wrong with it. */
export function scriptOf(address: string, network: GatewayNetwork): Uint8Array {
  const prefix = PREFIX[network];
  for (const code of [bech32, bech32m]) {
    const decoded = code.decodeUnsafe(address);
    if (!decoded) continue;
    if (decoded.prefix !== prefix) {
      throw new Error(`it is of another network: here addresses begin with ${prefix}1`);
    }
    const [version = -1, ...words] = decoded.words;
    const isCodeOfVersion = (version === 0) === (code === bech32);
    const program = code.fromWordsUnsafe(words);
    if (isCodeOfVersion && program && version <= MAX_VERSION && isLength(version, program.length)) {
      return Uint8Array.of(version === 0 ? 0 : OP_1 + version - 1, program.length, ...program);
    }
  }
  throw new Error(`it is no segwit address (${prefix}1…), or a digit of it is wrong`);
}

function isLength(version: number, length: number): boolean {
  return version === 0 ? length === 20 || length === 32 : length >= 2 && length <= 40;
}
