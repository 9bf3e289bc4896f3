/** What a payment app is to the device that runs it, and the other way round: a maker writes one of these. */
import type { ChannelEvent } from "../../core/channel/effects.ts";
import type { Message } from "../../core/messages/message.ts";
import type { Node } from "../../core/node/node.ts";
import type { Crypto, Entropy } from "../../core/ports/crypto.ts";
import type { Store } from "../../core/ports/store.ts";
import type { ChannelId, PublicKey } from "../../core/primitives/brands.ts";
import type { Clock, Pins } from "../board.ts";
import type { Inbox } from "./inbox.ts";

export interface AppHost {
  readonly node: Node;
  readonly crypto: Crypto;
  readonly entropy: Entropy;
  /** Of the board; absent where the app was started without one. */
  readonly pins?: Pins;
  readonly clock?: Clock;
  /** For small named values; keys begin with "app/". */
  readonly store: Store;
  /** What was credited and not yet served; of an app that takes payments. */
  readonly inbox?: Inbox | undefined;
  /** Tells whoever operates the device. */
  tell(event: AppEvent): void;
}

export type AppEvent =
  | { readonly type: "delivered"; readonly product: number; readonly reference: Uint8Array }
  | { readonly type: "refunded"; readonly reference: Uint8Array; readonly reason: string }
  | { readonly type: "paid"; readonly reference: Uint8Array; readonly amountMsat: number }
  | { readonly type: "bought"; readonly reference: Uint8Array; readonly product: number }
  | { readonly type: "notDelivered"; readonly reference: Uint8Array; readonly note: string }
  | { readonly type: "failed"; readonly reason: string };

export interface App {
  readonly name: string;
  /** Its payments wait in an inbox until it has served them. */
  readonly takesPayments: boolean;
  start(host: AppHost): Promise<void>;
  onPeer(peer: PublicKey, connected: boolean): void;
  /** The chain was heard of: what had to wait for it may go on. */
  onTip?(): void;
  onChannelEvent(id: ChannelId, event: ChannelEvent): void;
  /** True where the message was the app's. */
  onMessage(peer: PublicKey, message: Message): boolean;
}
