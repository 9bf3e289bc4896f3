/** The fleet's Bitcoin: a regtest node that is killed and comes back, its miner, and what its blocks say became of the money. */
import { mkdirSync } from "node:fs";
import { type RegtestNode, startRegtest } from "../../gateway/chain/bitcoind/node-process.ts";
import type { BitcoindRpc } from "../../gateway/chain/bitcoind/rpc.ts";

const MINER = "miner";
const MATURE_BLOCKS = 101;
const COIN_SAT = 100_000_000;
/** A commitment's input says so by the first byte of its sequence (BOLT 3). */
const COMMITMENT_SEQUENCE = 0x80;

interface Output {
  readonly value: number;
  readonly n: number;
  readonly scriptPubKey: { readonly hex: string };
}

interface Transaction {
  readonly txid: string;
  readonly fee?: number;
  readonly vin: readonly {
    readonly txid?: string;
    readonly vout?: number;
    readonly sequence: number;
  }[];
  readonly vout: readonly Output[];
}

/** An output that descends from what was funded, and that nobody has spent. */
export interface Coin {
  readonly outpoint: string;
  readonly sat: number;
}

export interface Flow {
  readonly feesSat: number;
  readonly coins: readonly Coin[];
  /** Transactions that are commitments. */
  readonly commitments: readonly string[];
}

export class Bitcoin {
  private node!: RegtestNode;
  private rpc!: BitcoindRpc;
  private miningAddress = "";
  private queue: Promise<unknown> = Promise.resolve();
  private firstHeight = 0;
  private readonly funded = new Set<string>();

  constructor(private readonly folder: string) {}

  get url(): string {
    return `http://127.0.0.1:${this.node.rpcPort}`;
  }

  get cookieFile(): string {
    return this.node.cookieFile;
  }

  async start(): Promise<void> {
    mkdirSync(this.folder, { recursive: true });
    this.node = await startRegtest({ dataFolder: this.folder });
    this.rpc = this.node.connect();
    await this.rpc.call("createwallet", MINER);
    this.miningAddress = await this.rpc.wallet(MINER).call("getnewaddress", "", "bech32");
    await this.mine(MATURE_BLOCKS);
    this.firstHeight = await this.rpc.call("getblockcount");
  }

  /** Between blocks: those that a network has do not go away with one node. */
  async kill(): Promise<void> {
    await this.alone(async () => {
      this.rpc.close();
      await this.node.kill();
    });
  }

  async startAgain(): Promise<void> {
    const { rpcPort } = this.node;
    await this.alone(async () => {
      this.node = await startRegtest({ dataFolder: this.folder, rpcPort });
      this.rpc = this.node.connect();
      // The miner's alone: the gateways load theirs.
      await this.rpc.call("loadwallet", MINER);
    });
  }

  async stop(): Promise<void> {
    this.rpc?.close();
    await this.node?.stop();
  }

  /** On disk before it resolves: there is no other node to ask for these blocks again. */
  mine(blocks: number): Promise<void> {
    return this.alone(async () => {
      await this.rpc.call("generatetoaddress", blocks, this.miningAddress);
      await this.rpc.call("gettxoutsetinfo", "none");
    });
  }

  height(): Promise<number> {
    return this.rpc.call("getblockcount");
  }

  /** In coins of their own, and one block. */
  async fund(address: string, sats: readonly number[]): Promise<void> {
    const wallet = this.rpc.wallet(MINER);
    for (const sat of sats) {
      this.funded.add(await wallet.call("sendtoaddress", address, (sat / COIN_SAT).toFixed(8)));
    }
    await this.mine(1);
  }

  /** Of a wallet, whether confirmed or not. */
  async coinsOf(wallet: string): Promise<readonly Coin[]> {
    const coins = await this.rpc
      .wallet(wallet)
      .call<{ txid: string; vout: number; amount: number }[]>("listunspent", 0);
    return coins.map(({ txid, vout, amount }) => ({
      outpoint: `${txid}:${vout}`,
      sat: sats(amount),
    }));
  }

  async mempoolSize(): Promise<number> {
    return (await this.rpc.call<string[]>("getrawmempool")).length;
  }

  /** All that became of what was funded, by every block since; `addresses` received it. */
  async flow(): Promise<Flow> {
    const height = await this.height();
    const coins = new Map<string, number>();
    const commitments: string[] = [];
    let feesSat = 0;
    for (let at = this.firstHeight + 1; at <= height; at++) {
      const hash = await this.rpc.call<string>("getblockhash", at);
      const { tx } = await this.rpc.call<{ tx: readonly Transaction[] }>("getblock", hash, 2);
      for (const one of tx.slice(1)) {
        const spent = one.vin.filter(({ txid, vout }) => coins.delete(`${txid}:${vout}`));
        if (spent.length === 0) continue;
        if (spent.length < one.vin.length) throw new Error(`${one.txid} mixes money`);
        feesSat += sats(one.fee ?? 0);
        for (const { value, n } of one.vout) coins.set(`${one.txid}:${n}`, sats(value));
        if (one.vin.some(({ sequence }) => sequence >>> 24 === COMMITMENT_SEQUENCE)) {
          commitments.push(one.txid);
        }
      }
      for (const one of tx) {
        if (!this.funded.has(one.txid)) continue;
        const { address } = await this.fundedOutput(one);
        coins.set(address.outpoint, address.sat);
      }
    }
    const list = [...coins].map(([outpoint, sat]) => ({ outpoint, sat }));
    return { feesSat, coins: list, commitments };
  }

  /** The one that is not the miner's change. */
  private async fundedOutput({ txid, vout }: Transaction): Promise<{ address: Coin }> {
    const wallet = this.rpc.wallet(MINER);
    const { details } = await wallet.call<{
      details: readonly { readonly category: string; readonly vout: number }[];
    }>("gettransaction", txid);
    const sent = details.find(({ category }) => category === "send");
    const output = vout.find(({ n }) => n === sent?.vout);
    if (!output) throw new Error(`${txid} funds nothing`);
    return { address: { outpoint: `${txid}:${output.n}`, sat: sats(output.value) } };
  }

  /** One after the other: mining, and a node that goes and comes. */
  private alone<T>(work: () => Promise<T>): Promise<T> {
    const next = this.queue.then(work, work);
    this.queue = next.catch(() => {});
    return next;
  }
}

function sats(btc: number): number {
  return Math.round(btc * COIN_SAT);
}
