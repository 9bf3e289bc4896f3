/** The newest block headers as they were followed: thousands of devices ask for them at once, and no question to the node is needed. */
import type { BlockEvent } from "../../core/ports/chain.ts";

/** What a device that was away for two weeks asks for: 160 KB. */
export const MAX_RECENT_HEADERS = 2_016;

export class RecentHeaders {
  private readonly headers = new Map<number, Uint8Array>();
  private tip: number | undefined;

  /** Undefined until a block was followed. */
  get tipHeight(): number | undefined {
    return this.tip;
  }

  connected({ height, header }: Pick<BlockEvent, "height" | "header">): void {
    this.headers.delete(height);
    this.headers.set(height, header.slice());
    this.tip = height;
    this.headers.delete(height - MAX_RECENT_HEADERS);
  }

  /** The blocks from `height` on are gone. */
  disconnected(height: number): void {
    if (this.tip === undefined) return;
    for (; this.tip >= height; this.tip--) this.headers.delete(this.tip);
  }

  /** `count` of them from `fromHeight` on; undefined where one is not here. */
  from(fromHeight: number, count: number): readonly Uint8Array[] | undefined {
    const found: Uint8Array[] = [];
    for (let height = fromHeight; height < fromHeight + count; height++) {
      const header = this.headers.get(height);
      if (!header) return undefined;
      found.push(header);
    }
    return found;
  }
}
