/** Where transactions confirmed, found in the newest blocks: whoever asks while blocks are read is answered by the next reading, all in one. */
import type { BitcoindRpc } from "./rpc.ts";

/** How far back a transaction is looked for by its txid alone. */
export const SEARCH_BLOCKS = 144;

export class TransactionSearch {
  readonly #rpc: BitcoindRpc;
  #wanted = new Map<string, (height: number | undefined) => void>();
  #waiting = new Map<string, Promise<number | undefined>>();
  #running: Promise<void> | undefined;

  constructor(rpc: BitcoindRpc) {
    this.#rpc = rpc;
  }

  /** Its height, by its id in display order; undefined where it is in none of those blocks. */
  height(id: string): Promise<number | undefined> {
    const asked = this.#waiting.get(id);
    if (asked) return asked;
    const answer = new Promise<number | undefined>((resolve, reject) => {
      this.#wanted.set(id, resolve);
      const running = this.#running ?? this.#run();
      running.catch(reject);
    });
    this.#waiting.set(id, answer);
    return answer;
  }

  #run(): Promise<void> {
    // Those who ask in the same turn come along.
    const running = new Promise((wake) => setImmediate(wake)).then(() => this.#readAll());
    this.#running = running;
    const done = () => {
      this.#running = undefined;
      this.#waiting.clear();
    };
    running.then(done, () => {
      done();
      this.#wanted.clear();
    });
    return running;
  }

  async #readAll(): Promise<void> {
    while (this.#wanted.size > 0) {
      const wanted = this.#wanted;
      this.#wanted = new Map();
      await this.#read(wanted);
      for (const [id, resolve] of wanted) {
        this.#waiting.delete(id);
        resolve(undefined);
      }
    }
  }

  async #read(wanted: Map<string, (height: number | undefined) => void>): Promise<void> {
    const tip = await this.#rpc.call<number>("getblockcount");
    for (let height = tip; height >= Math.max(0, tip - SEARCH_BLOCKS); height--) {
      const hash = await this.#rpc.call<string>("getblockhash", height);
      const block = await this.#rpc.call<{ tx: string[] }>("getblock", hash, 1);
      for (const id of block.tx) {
        const resolve = wanted.get(id);
        if (!resolve) continue;
        wanted.delete(id);
        this.#waiting.delete(id);
        resolve(height);
      }
      if (wanted.size === 0) return;
    }
  }
}
