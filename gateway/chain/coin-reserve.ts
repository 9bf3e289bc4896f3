/** Keeps several confirmed coins in the wallet: each child and each fee of a closing channel takes one of its own (BIP 431). */
import type {
  BroadcastResult,
  ChainSource,
  ChainWallet,
  TxOutput,
} from "../../core/ports/chain.ts";
import { satoshi } from "../../core/primitives/brands.ts";

export interface CoinReserveOptions {
  readonly wallet: ChainWallet;
  readonly source: Pick<ChainSource, "broadcast" | "feeratePerKw">;
  /** Coins to have ready; below half of them, one is split. */
  readonly coins?: number;
  readonly satoshisEach?: number;
  readonly onSplit?: (coins: number) => void;
}

const COINS = 10;
const SATOSHIS_EACH = 30_000;
/** A split has that long to confirm before another is made. */
const PATIENCE_BLOCKS = 12;

export class CoinReserve {
  readonly #options: Required<Omit<CoinReserveOptions, "onSplit">> & CoinReserveOptions;
  #splitHeight = Number.NEGATIVE_INFINITY;
  /** Blocks come in bursts: a look under way is also the look of those that come meanwhile. */
  #look: Promise<void> | undefined;

  constructor(options: CoinReserveOptions) {
    this.#options = { coins: COINS, satoshisEach: SATOSHIS_EACH, ...options };
  }

  /** After each block; throws where the wallet or its node fails. */
  tend(height: number): Promise<void> {
    this.#look ??= this.#tend(height).finally(() => {
      this.#look = undefined;
    });
    return this.#look;
  }

  async #tend(height: number): Promise<void> {
    const { wallet, coins } = this.#options;
    const free = await wallet.freeCoins();
    if (free >= coins / 2) {
      this.#splitHeight = Number.NEGATIVE_INFINITY;
      return;
    }
    if (height < this.#splitHeight + PATIENCE_BLOCKS || free === 0) return;
    // A wallet that has little keeps it together: what it has may be needed whole.
    const missing = coins - free;
    if ((await wallet.balance()) < 2 * missing * this.#options.satoshisEach) return;
    this.#splitHeight = height;
    const sent = await this.#split(missing);
    if (sent.ok) this.#options.onSplit?.(missing);
    else throw new Error(`splitting a coin was refused: ${sent.reason}`);
  }

  async #split(count: number): Promise<BroadcastResult> {
    const { wallet, source, satoshisEach } = this.#options;
    const outputs: TxOutput[] = [];
    for (let i = 0; i < count; i++) {
      outputs.push({ script: await wallet.newScript(), amount: satoshi(satoshisEach) });
    }
    const raw = await wallet.fund(outputs, await source.feeratePerKw("soon"));
    const sent = await source.broadcast(raw);
    if (!sent.ok) await wallet.release(raw);
    return sent;
  }
}
