/** Whole blocks by height, read once for all who ask about the same one within a moment: a fleet's channels were often funded together. */
import { fromHex } from "../../../core/primitives/bytes.ts";
import { type ScannedBlock, scanBlock } from "./block-scan.ts";
import { type BitcoindRpc, RpcError } from "./rpc.ts";

/** A block may have 4 MB: few are kept, and not for long. */
const MAX_KEPT = 2;
const KEPT_MS = 5_000;
const RPC_MISC_ERROR = -8;

interface Kept {
  readonly hash: string;
  readonly block: Promise<ScannedBlock>;
  readonly untilMs: number;
}

export class RecentBlocks {
  readonly #rpc: BitcoindRpc;
  #kept: readonly Kept[] = [];
  #forgetting: ReturnType<typeof setTimeout> | undefined;

  constructor(rpc: BitcoindRpc) {
    this.#rpc = rpc;
  }

  /** Of the best chain; undefined where it is not that high. */
  async at(height: number): Promise<ScannedBlock | undefined> {
    try {
      const hash = await this.#rpc.call<string>("getblockhash", height);
      const known = this.#kept.find((one) => one.hash === hash);
      return await (known?.block ?? this.#read(hash));
    } catch (error) {
      if (error instanceof RpcError && error.code === RPC_MISC_ERROR) return undefined;
      throw error;
    }
  }

  #read(hash: string): Promise<ScannedBlock> {
    const block = this.#rpc
      .call<string>("getblock", hash, 0)
      .then((hex) => scanBlock(fromHex(hex)));
    const one: Kept = { hash, block, untilMs: performance.now() + KEPT_MS };
    this.#kept = [...this.#kept.slice(1 - MAX_KEPT), one];
    block.catch(() => {
      this.#kept = this.#kept.filter((kept) => kept !== one);
    });
    this.#forgetLater();
    return block;
  }

  #forgetLater(): void {
    if (this.#forgetting || this.#kept.length === 0) return;
    this.#forgetting = setTimeout(() => {
      this.#forgetting = undefined;
      this.#kept = this.#kept.filter(({ untilMs }) => untilMs > performance.now());
      this.#forgetLater();
    }, KEPT_MS);
    this.#forgetting.unref();
  }
}
