/** What a payment app is to the device that runs it, and the other way round: a maker writes one of these (docs/APPS.md). */
import type { ChannelEvent } from "../../core/channel/effects.ts";
import type { Message } from "../../core/messages/message.ts";
import type { Node } from "../../core/node/node.ts";
import type { Crypto, Entropy } from "../../core/ports/crypto.ts";
import type { Store } from "../../core/ports/store.ts";
import type { ChannelId, PublicKey } from "../../core/primitives/brands.ts";
import type { Clock, Pins } from "../board.ts";
import type { InvoicePlace } from "./device-invoice.ts";
import type { Inbox } from "./inbox.ts";
import type { PriceList } from "./price-list.ts";

export interface AppHost {
  readonly node: Node;
  readonly crypto: Crypto;
  readonly entropy: Entropy;
  /** Of the board; absent where the app was started without one. */
  readonly pins?: Pins | undefined;
  readonly clock?: Clock | undefined;
  /** For small named values; keys begin with "app/". */
  readonly store: Store;
  /** What was credited and not yet served; of an app that takes payments. */
  readonly inbox?: Inbox | undefined;
  /** What invoices say of the device; absent where it makes none. */
  readonly invoices?: InvoicePlace | undefined;
  /** The owner's price list; absent where the device keeps none. */
  readonly prices?: PriceList | undefined;
  /** Why the device takes no payment now (rule `offline-budget`); undefined where it does. */
  declineReason?(): string | undefined;
  /** Tells whoever operates the device. */
  tell(event: AppEvent): void;
}

export type AppEvent =
  | { readonly type: "delivered"; readonly product: number; readonly reference: Uint8Array }
  | { readonly type: "refunded"; readonly reference: Uint8Array; readonly reason: string }
  /** It cannot be given back (the channel has ended): the owner has it, and owes it. */
  | { readonly type: "owed"; readonly reference: Uint8Array; readonly amountMsat: number }
  | { readonly type: "paid"; readonly reference: Uint8Array; readonly amountMsat: number }
  | { readonly type: "bought"; readonly reference: Uint8Array; readonly product: number }
  | { readonly type: "notDelivered"; readonly reference: Uint8Array; readonly note: string }
  /** A meter's session is over. */
  | {
      readonly type: "metered";
      readonly session: Uint8Array;
      readonly usedUnits: number;
      readonly paidMsat: number;
    }
  /** Something does not work until the owner has looked at it; told again when that is cleared. */
  | { readonly type: "fault"; readonly what: string; readonly cleared: boolean }
  | { readonly type: "failed"; readonly reason: string };

/** How an app stands, for its owner. */
export interface AppStatus {
  /** It can deliver now. */
  readonly ready: boolean;
  /** Why not, for people. */
  readonly note?: string | undefined;
  /** What the owner must look at, and `clear`. */
  readonly faults: readonly AppFault[];
  /** Money that is to be given back and cannot be now, in millisatoshi, and for how many payments. */
  readonly owedMsat: number;
  readonly owedPayments: number;
}

export interface AppFault {
  /** Of one product; absent where it is the whole machine's. */
  readonly product?: number | undefined;
  readonly what: string;
}

export interface App {
  readonly name: string;
  /** Its payments wait in an inbox until it has served them. */
  readonly takesPayments: boolean;
  /** Once, before anything else. What it throws keeps the app from running and is shown to the owner. */
  start(host: AppHost): Promise<void>;
  /** Pins go to rest; nothing is called any more. */
  stop?(): void;
  onPeer(peer: PublicKey, connected: boolean): void;
  /** The chain was heard of: what had to wait for it may go on. */
  onTip?(): void;
  onChannelEvent(id: ChannelId, event: ChannelEvent): void;
  /** True where the message was the app's. */
  onMessage(peer: PublicKey, message: Message): boolean;
  status?(): AppStatus;
  /** The owner has looked at a fault: of one product, or at all of them. */
  clear?(product?: number): Promise<void>;
}

/** How an app is made from its owner's settings: one line in catalog.ts. */
export interface AppKind {
  readonly name: string;
  /** In a few words, for owners. */
  readonly does: string;
  /** Pins by their names in the board's manifest that it uses as the settings stand. */
  pins(config: unknown): readonly string[];
  /** Throws a ConfigError that says which setting is wrong. */
  make(config: unknown): App;
}
