/** How well the gateway sees the chain: how old its newest block is, and whether others see the same one. */
import type { ChainSource } from "../../core/ports/chain.ts";
import type { Crypto } from "../../core/ports/crypto.ts";
import { toDisplay } from "./bitcoind/units.ts";
import { differsFrom, type SecondSource } from "./forks.ts";

export interface ChainHealthOptions {
  readonly source: Pick<ChainSource, "tip" | "headers">;
  readonly crypto: Pick<Crypto, "sha256">;
  /** Blocks come by themselves: not on regtest, nor on a simulated chain. */
  readonly hasPace: boolean;
  /** Older than that, deadlines would be misjudged; 0: never. */
  readonly staleMinutes: number;
  readonly nowMs: () => number;
  /** What the node says of itself. */
  ownFork?(): Promise<string | undefined>;
  readonly second?: SecondSource;
}

const MINUTE_MS = 60_000;
const HEADER_BYTES = 80;
const TIME_OFFSET = 68;

export class ChainHealth {
  private newest: { readonly height: number; readonly atMs: number } | undefined;
  private failingSinceMs: number | undefined;

  constructor(private readonly options: ChainHealthOptions) {}

  /** The source's, and noted: whoever asks keeps `staleness` true. */
  async tip(): Promise<Awaited<ReturnType<ChainSource["tip"]>>> {
    const { source, nowMs } = this.options;
    try {
      const tip = await source.tip();
      this.failingSinceMs = undefined;
      if (tip.height !== this.newest?.height) await this.note(tip.height);
      return tip;
    } catch (cause) {
      this.failingSinceMs ??= nowMs();
      throw cause;
    }
  }

  /** Why no HTLC may be begun now; undefined: the newest block is new enough. */
  staleness(): string | undefined {
    const { staleMinutes, hasPace, nowMs } = this.options;
    if (staleMinutes === 0) return undefined;
    const since = (ms: number) => Math.floor((nowMs() - ms) / MINUTE_MS);
    const silent = this.failingSinceMs === undefined ? 0 : since(this.failingSinceMs);
    if (silent >= staleMinutes) {
      return `the Bitcoin node has not answered for ${silent} minutes: no HTLC is begun until it does`;
    }
    if (!hasPace || !this.newest) return undefined;
    const age = since(this.newest.atMs);
    if (age < staleMinutes) return undefined;
    return `block ${this.newest.height} is ${age} minutes old, and none came since: no HTLC is begun until one does`;
  }

  /** What speaks for a fork; undefined: nothing. @throws where the node or the second source cannot be asked. */
  async fork(): Promise<string | undefined> {
    const { ownFork, second } = this.options;
    const own = await ownFork?.();
    if (own !== undefined || !second) return own;
    return differsFrom(second, {
      height: async () => (await this.options.source.tip()).height,
      hashAt: (height) => this.hashAt(height),
    });
  }

  private async hashAt(height: number): Promise<string> {
    const { crypto } = this.options;
    return toDisplay(crypto.sha256(crypto.sha256(await this.headerAt(height))));
  }

  /** A block that was there before this process was is as old as it says. */
  private async note(height: number): Promise<void> {
    const { nowMs, hasPace } = this.options;
    const isFirst = this.newest === undefined;
    let atMs = nowMs();
    if (isFirst && hasPace) {
      const header = await this.headerAt(height);
      const view = new DataView(header.buffer, header.byteOffset, HEADER_BYTES);
      atMs = Math.min(atMs, view.getUint32(TIME_OFFSET, true) * 1_000);
    }
    this.newest = { height, atMs };
  }

  private async headerAt(height: number): Promise<Uint8Array> {
    const [header] = await this.options.source.headers(height as never, 1);
    if (header?.length !== HEADER_BYTES) throw new Error(`there is no block ${height}`);
    return header;
  }
}
