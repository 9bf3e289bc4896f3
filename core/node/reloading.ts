/** Channels that halted: they are read from the store again, for what is stored is the truth (DESIGN §3). */
import type { StoredChannel } from "../ports/store.ts";
import type { ChannelId, PublicKey } from "../primitives/brands.ts";
import { equal, toHex } from "../primitives/bytes.ts";
import type { ChannelRunner } from "./channel-runner.ts";
import type { ChannelTable } from "./channel-table.ts";
import type { NodeOptions } from "./options.ts";

export class Reloading {
  /** By the id under which they are stored. */
  private readonly waiting = new Map<string, ChannelRunner>();
  private busy = false;
  private unreadableStore = false;

  constructor(
    private readonly options: Pick<NodeOptions, "store" | "events">,
    private readonly table: ChannelTable,
    /** False where the record cannot be read. */
    private readonly restore: (stored: StoredChannel) => boolean,
  ) {}

  add(runner: ChannelRunner): void {
    this.waiting.set(toHex(runner.storedId), runner);
  }

  has(id: ChannelId): boolean {
    return this.waiting.has(toHex(id));
  }

  forget(remoteNodeId: PublicKey): void {
    for (const [key, runner] of this.waiting) {
      if (equal(runner.remoteNodeId, remoteNodeId)) this.waiting.delete(key);
    }
  }

  tick(): void {
    if (this.waiting.size > 0 && !this.busy) void this.reload();
  }

  private async reload(): Promise<void> {
    const { table } = this;
    const asked = new Map(this.waiting);
    this.busy = true;
    try {
      const stored = await this.options.store.load();
      this.unreadableStore = false;
      for (const [key, runner] of asked) {
        if (!this.waiting.delete(key)) continue; // forgotten meanwhile
        const found = stored.find((one) => toHex(one.channelId) === key);
        let isReadable = true;
        table.replace(runner, () => {
          isReadable = !found || this.restore(found);
          return table.get(runner.storedId);
        });
        if (isReadable) runner.handOver(table.get(runner.storedId));
      }
    } catch (cause) {
      if (!this.unreadableStore) {
        this.options.events.onAlarm("the store cannot be read: trying again", cause);
      }
      this.unreadableStore = true;
    }
    this.busy = false;
  }
}
