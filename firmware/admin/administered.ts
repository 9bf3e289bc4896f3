/** What the methods of administration work on: the running program, as they see it. */
import type { Node } from "../../core/node/node.ts";
import type { AppStatus } from "../apps/app.ts";
import type { PriceList } from "../apps/price-list.ts";
import type { Board, Image } from "../board.ts";
import type { Device } from "../device.ts";
import type { LogRing } from "../log/log-ring.ts";
import type { SalesLog } from "../log/sales-log.ts";
import type { Ownership } from "../owner/ownership.ts";
import type { SettingsStore } from "../settings/settings-store.ts";
import type { FlashLogStore } from "../store/flash-log.ts";
import type { UpdateReceiver } from "../update/update-receiver.ts";

export interface Administered {
  readonly board: Board;
  readonly image: Image;
  readonly log: LogRing;
  readonly store: SettingsStore;
  readonly records: FlashLogStore;
  readonly ownership: Ownership;
  readonly prices: PriceList;
  readonly sales: SalesLog;
  readonly updates: UpdateReceiver;
  /** Of now: another one after each change of settings. */
  readonly node: Node;
  /** Absent while nobody owns it. */
  readonly device: Device | undefined;
  readonly linkNames: readonly string[];
  appStatus(): AppStatus | undefined;
  clearFaults(product?: number): Promise<void>;
  /** When the answer had time to leave. */
  renewNodeSoon(): void;
  restartSoon(why: string): void;
  identify(forMs: number): void;
}

/** Channels that need their keys and records, opening ones included. */
export function openChannels(of: Pick<Administered, "records" | "node">): number {
  return Math.max(of.records.statistics().channels, of.node.channels().length);
}
