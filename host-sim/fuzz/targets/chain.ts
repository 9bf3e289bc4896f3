/** What a gateway or a file says of the chain: transactions, PSBTs, headers, merkle proofs, checkpoints. */
import { decodeCheckpoint, encodeCheckpoint } from "../../../core/chain/checkpoint-codec.ts";
import {
  extendHeaderChain,
  genesisCheckpoint,
  HEADER_BYTES,
  startHeaderChain,
} from "../../../core/chain/headers.ts";
import { merkleBranch, merkleRoot, verifyInclusion } from "../../../core/chain/merkle.ts";
import { decodePsbt } from "../../../core/chain/monitor/psbt.ts";
import { genesisHeader, MAINNET, REGTEST, TESTNET4 } from "../../../core/chain/networks.ts";
import { concatAll, equal } from "../../../core/primitives/bytes.ts";
import {
  parseTransaction,
  serializeTransaction,
  type Transaction,
  transactionId,
} from "../../../core/transactions/transaction.ts";
import { chooseCrypto } from "../../../gateway/crypto/choose.ts";
import { type FuzzTarget, promise } from "../target.ts";

const crypto = chooseCrypto();

const sample: Transaction = {
  version: 2,
  inputs: [
    {
      outpoint: { txid: new Uint8Array(32).fill(3) as never, vout: 1 },
      sequence: 0xfffffffd,
      scriptSig: new Uint8Array(0),
      witness: [new Uint8Array(71).fill(4), new Uint8Array(33).fill(2)],
    },
  ],
  outputs: [
    { script: Uint8Array.of(0, 20, ...new Uint8Array(20)), amount: 50_000 as never },
    { script: Uint8Array.of(0x51, 2, 0x4e, 0x73), amount: 0 as never },
  ],
  locktime: 0,
};

const transaction: FuzzTarget = {
  name: "transaction",
  maxBytes: 1024,
  seeds: () => [
    serializeTransaction(sample),
    serializeTransaction({ ...sample, inputs: sample.inputs.map((i) => ({ ...i, witness: [] })) }),
  ],
  run(input) {
    const parsed = parseTransaction(input);
    promise(equal(serializeTransaction(parsed), input), "a transaction has one encoding");
    transactionId(crypto, parsed);
  },
};

const psbt: FuzzTarget = {
  name: "psbt",
  maxBytes: 1024,
  seeds: () => {
    const unsigned = { ...sample, inputs: sample.inputs.map((i) => ({ ...i, witness: [] })) };
    const raw = serializeTransaction(unsigned);
    const magic = [0x70, 0x73, 0x62, 0x74, 0xff];
    return [Uint8Array.of(...magic, 1, 0, raw.length, ...raw, 0, 0, 0, 0)];
  },
  run: (input) => void decodePsbt(input),
};

const checkpoint: FuzzTarget = {
  name: "checkpoint",
  maxBytes: 256,
  seeds: () => [MAINNET, REGTEST].map((network) => encodeCheckpoint(genesisCheckpoint(network))),
  run(input) {
    const decoded = decodeCheckpoint(input);
    promise(equal(encodeCheckpoint(decoded), input), "a checkpoint has one encoding");
    const chain = startHeaderChain(crypto, MAINNET, decoded);
    extendHeaderChain(crypto, chain, [input.slice(0, HEADER_BYTES)]);
  },
};

/** Headers onto regtest's genesis; byte 0 chooses a network, and whether each header is made to follow the one before. */
const headers: FuzzTarget = {
  name: "headers",
  maxBytes: 1 + 6 * HEADER_BYTES,
  seeds: () => [Uint8Array.of(4, ...follower(genesisHeader(REGTEST), 1))],
  run(input) {
    const network = [REGTEST, MAINNET, TESTNET4][(input[0] ?? 0) % 3] as typeof REGTEST;
    const chain = startHeaderChain(crypto, network, genesisCheckpoint(network));
    const given: Uint8Array[] = [];
    let previous = genesisHeader(network);
    for (let at = 1; at + HEADER_BYTES <= input.length; at += HEADER_BYTES) {
      const header = input.slice(at, at + HEADER_BYTES);
      if (((input[0] ?? 0) & 4) !== 0) header.set(hashOf(previous), 4);
      given.push(header);
      previous = header;
    }
    const outcome = extendHeaderChain(crypto, chain, given, 2_000_000_000);
    if (!outcome.ok) return;
    promise(outcome.chain.tip.height >= chain.tip.height, "a chain never gets shorter");
    promise(outcome.connected.length <= given.length, "no header comes from nowhere");
  },
};

/** A proof for one of some transactions; whatever is changed in it, what is accepted stands in the block. */
const merkle: FuzzTarget = {
  name: "merkle-proof",
  maxBytes: 512,
  seeds: () => [Uint8Array.of(0), Uint8Array.of(3, 1, 2, 3)],
  run(input) {
    const raws = [0, 1, 2, 3, 4].map((locktime) => serializeTransaction({ ...sample, locktime }));
    const ids = raws.map((raw) => transactionId(crypto, parseTransaction(raw)));
    const header = new Uint8Array(HEADER_BYTES);
    header.set(merkleRoot(crypto, ids), 36);
    const [which = 0, index = 0, ...changes] = input;
    const branch = [...merkleBranch(crypto, ids, which % 5)].map((hash) => hash.slice());
    const raw = (raws[which % 5] as Uint8Array).slice();
    for (let i = 0; i + 1 < changes.length; i += 2)
      change(raw, branch, changes[i] ?? 0, changes[i + 1] ?? 0);
    const proof = { raw, index: index === 0 ? which % 5 : index, branch, header };
    const outcome = verifyInclusion(crypto, proof);
    if (!outcome.ok) return;
    promise(
      ids.some((id) => equal(id, outcome.txid)),
      "what is proven stands in the block",
    );
  },
};

function change(raw: Uint8Array, branch: Uint8Array[], at: number, value: number): void {
  if (at >= 250) branch.push(new Uint8Array(32).fill(value));
  else if (at >= 245) branch.pop();
  else if (at >= 128) {
    const hash = branch[at % Math.max(1, branch.length)];
    if (hash) hash[value % 32] = (hash[value % 32] as number) ^ value;
  } else raw[at % raw.length] = value;
}

function hashOf(header: Uint8Array): Uint8Array {
  return crypto.sha256(crypto.sha256(header));
}

/** A regtest header with the least work; half of all nonces do. */
function follower(previous: Uint8Array, time: number): Uint8Array {
  const header = concatAll([
    Uint8Array.of(4, 0, 0, 0),
    hashOf(previous),
    new Uint8Array(32),
    previous.slice(68, 76),
    new Uint8Array(4),
  ]);
  header[68] = (header[68] as number) + time;
  while ((hashOf(header)[31] as number) >= 0x80) header[76] = (header[76] as number) + 1;
  return header;
}

export const chainTargets: readonly FuzzTarget[] = [transaction, psbt, checkpoint, headers, merkle];
