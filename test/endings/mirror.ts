/** A regtest bitcoind that is given a simulated chain block by block, and judges each by Bitcoin's own rules. */
import { blockHash } from "../../core/chain/headers.ts";
import { merkleRoot } from "../../core/chain/merkle.ts";
import { REGTEST } from "../../core/chain/networks.ts";
import { hashToNumber, targetOf } from "../../core/chain/work.ts";
import type { Crypto } from "../../core/ports/crypto.ts";
import { satoshi } from "../../core/primitives/brands.ts";
import { concat, concatAll, fromHex, toHex } from "../../core/primitives/bytes.ts";
import { ByteWriter } from "../../core/transactions/codec.ts";
import {
  parseTransaction,
  serializeTransaction,
  type Transaction,
  transactionId,
} from "../../core/transactions/transaction.ts";
import { type RegtestNode, startRegtest } from "../../gateway/chain/bitcoind/node-process.ts";
import type { BitcoindRpc } from "../../gateway/chain/bitcoind/rpc.ts";
import { satoshiFromBtc, toDisplay } from "../../gateway/chain/bitcoind/units.ts";
import { MATURE_BLOCKS } from "../../host-sim/chain/lab.ts";
import type { SimBlock } from "../../host-sim/chain/sim-chain.ts";

/** An unspent output as text, so that two lists can be compared: where it is, how much, since when. */
export type CoinLine = string;

/** BIP 141 "Commitment structure". */
const COMMITMENT_HEAD = fromHex("6a24aa21a9ed");
const RESERVED = new Uint8Array(32);
const MAX_SCRIPTS = 5_000;

export class Mirror {
  /** Bitcoind's hash of each simulated block, by the simulated one's. */
  private readonly twins = new Map<string, Uint8Array>();
  private chains = 0;
  readonly name: string;

  private constructor(
    private readonly crypto: Crypto,
    private readonly node: RegtestNode,
    private readonly rpc: BitcoindRpc,
    version: string,
  ) {
    this.name = `bitcoind ${version}`;
  }

  static async start(crypto: Crypto): Promise<Mirror> {
    const node = await startRegtest();
    const rpc = node.connect();
    const { subversion } = await rpc.call<{ subversion: string }>("getnetworkinfo");
    return new Mirror(crypto, node, rpc, subversion);
  }

  async close(): Promise<void> {
    this.rpc.close();
    await this.node.stop();
  }

  /**
   * Gives it every block, of branches that were left too, in their order; throws in the node's words where it refuses
   * one. The chain before is forgotten; what all simulated chains begin with stays.
   */
  async replay(blocks: readonly SimBlock[]): Promise<void> {
    this.chains++;
    const height = await this.rpc.call<number>("getblockcount");
    if (height > MATURE_BLOCKS) {
      const first = await this.rpc.call<string>("getblockhash", MATURE_BLOCKS + 1);
      await this.rpc.call("invalidateblock", first);
    }
    for (const block of blocks) {
      const key = toHex(block.hash);
      if (block.height <= MATURE_BLOCKS && this.twins.has(key)) continue;
      await this.submit(key, block);
    }
    const last = blocks.at(-1);
    const best = await this.rpc.call<string>("getbestblockhash");
    const expected = last && this.twins.get(toHex(last.hash));
    if (!expected || best !== toDisplay(expected)) {
      throw new Error(`the node's best block is ${best}, not the newest of the simulated chain`);
    }
  }

  /** Confirmed coins under these scripts, sorted; coinbases left out. */
  async coins(scripts: readonly Uint8Array[]): Promise<readonly CoinLine[]> {
    const lines: CoinLine[] = [];
    for (let from = 0; from < scripts.length; from += MAX_SCRIPTS) {
      const some = scripts.slice(from, from + MAX_SCRIPTS).map((script) => `raw(${toHex(script)})`);
      const { unspents } = await this.rpc.call<{ unspents: readonly Unspent[] }>(
        "scantxoutset",
        "start",
        some,
      );
      for (const { txid, vout, amount, height, coinbase } of unspents) {
        if (!coinbase) lines.push(coinLine(txid, vout, satoshiFromBtc(amount), height));
      }
    }
    return lines.sort();
  }

  private async submit(key: string, block: SimBlock): Promise<void> {
    const previous = block.header.slice(4, 36);
    const parent = this.twins.get(toHex(previous)) ?? previous;
    const twin = this.twinOf(block, parent);
    const refusal = await this.rpc.call<string | null>("submitblock", toHex(twin.raw));
    // A branch that is not longer yet: it is judged when it is.
    if (refusal !== null && refusal !== "inconclusive") {
      throw new Error(`the node refuses block ${block.height}: ${refusal}`);
    }
    this.twins.set(key, twin.hash);
  }

  /** The same transactions in a block that a node takes: with a witness commitment, and unlike those of other chains. */
  private twinOf(
    { header, height, transactions }: SimBlock,
    parent: Uint8Array,
  ): { raw: Uint8Array; hash: Uint8Array } {
    const { crypto } = this;
    const [coinbase, ...others] = transactions.map(({ raw }) => raw);
    if (!coinbase) throw new Error("every block has a coinbase");
    const own = height <= MATURE_BLOCKS ? coinbase : this.coinbaseOf(coinbase, others);
    const ids = [own, ...others].map((raw) => transactionId(crypto, parseTransaction(raw)));
    const made = header.slice();
    made.set(parent, 4);
    made.set(merkleRoot(crypto, ids), 36);
    const hash = mine(crypto, made);
    const count = new ByteWriter();
    count.varint(transactions.length);
    return { hash, raw: concatAll([made, count.bytes(), own, ...others]) };
  }

  /** None of these coinbases is ever spent: the simulated wallets live on the first ones, which stay as they are. */
  private coinbaseOf(coinbase: Uint8Array, others: readonly Uint8Array[]): Uint8Array {
    const { crypto } = this;
    const wtxids = others.map((raw) => crypto.sha256(crypto.sha256(raw)));
    const root = merkleRoot(crypto, [RESERVED, ...wtxids]);
    const commitment = crypto.sha256(crypto.sha256(concat(root, RESERVED)));
    const parsed = parseTransaction(coinbase);
    const [input] = parsed.inputs as [Transaction["inputs"][number]];
    const salt = Uint8Array.of(4, 0, this.chains >> 16, this.chains >> 8, this.chains);
    return serializeTransaction({
      ...parsed,
      inputs: [{ ...input, scriptSig: concat(input.scriptSig, salt), witness: [RESERVED] }],
      outputs: [
        ...parsed.outputs,
        { amount: satoshi(0), script: concat(COMMITMENT_HEAD, commitment) },
      ],
    });
  }
}

interface Unspent {
  readonly txid: string;
  readonly vout: number;
  readonly amount: number;
  readonly height: number;
  readonly coinbase: boolean;
}

export function coinLine(txid: string, vout: number, amount: number, height: number): CoinLine {
  return `${txid}:${vout} ${amount} sat, block ${height}`;
}

/** Finds a nonce; the hash. */
function mine(crypto: Crypto, header: Uint8Array): Uint8Array {
  const view = new DataView(header.buffer);
  const target = targetOf(REGTEST.powLimitBits) as bigint;
  for (let nonce = 0; ; nonce++) {
    view.setUint32(76, nonce, true);
    const hash = blockHash(crypto, header);
    if (hashToNumber(hash) <= target) return hash;
  }
}
