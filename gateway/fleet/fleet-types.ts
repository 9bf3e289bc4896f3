/** What the gateway knows of its fleet: devices, requests that wait for them, what they sold, and roll-outs (docs/FLEET.md). */

/** Plain JSON. */
export type Json =
  | null
  | boolean
  | number
  | string
  | readonly Json[]
  | { readonly [k: string]: Json };
export type JsonObject = { readonly [k: string]: Json };

/** What a device said of itself when it was asked last. */
export interface DeviceStatus {
  /** Unix seconds; the device's start before it follows from `uptimeSeconds`. */
  readonly askedAt: number;
  readonly uptimeSeconds: number;
  readonly model: string;
  readonly firmware: string;
  readonly imageNumber: number;
  /** False while an image is on trial. */
  readonly isConfirmed: boolean;
  readonly resetReason: string;
  readonly app: string;
  readonly isReady: boolean;
  /** Why the app is not ready. */
  readonly note?: string;
  readonly faults: readonly { readonly product?: number; readonly what: string }[];
  readonly owedMsat: number;
  readonly owedPayments: number;
  /** That the flash is good for; unknown until something was written since the start. */
  readonly paymentsLeft?: number;
  /** Why it takes no payments. */
  readonly declines?: string;
  /** Of all its channels, ours and others'. */
  readonly localMsat: number;
  readonly remoteMsat: number;
  readonly channels: number;
  /** Of the list that is live on it. */
  readonly priceListVersion?: number;
  readonly priceListTotal?: number;
}

export interface FleetDevice {
  /** Hexadecimal. */
  readonly nodeId: string;
  readonly name: string;
  readonly groups: readonly string[];
  /** Times are Unix seconds. */
  readonly addedAt: number;
  /** When it first answered this gateway as its owner. */
  readonly claimedAt?: number;
  readonly revokedAt?: number;
  readonly lastSeen?: number;
  /** Why it does not obey: it has another owner, or none. */
  readonly refusal?: "not-owner" | "unclaimed";
  /** The list that was sent last, and the version that the device gave it. */
  readonly prices?: { readonly revision: string; readonly version: number };
  /** Settings that were asked for, one over the other. */
  readonly wanted?: JsonObject;
  /** Up to where its sales were fetched. */
  readonly sales?: { readonly run: string; readonly last: number };
  readonly status?: DeviceStatus;
}

export type RequestKind = "settings" | "prices" | "update" | "action";
export const REQUEST_KINDS: readonly RequestKind[] = ["settings", "prices", "update", "action"];

export type RequestState = "waiting" | "succeeded" | "failed";
export const REQUEST_STATES: readonly RequestState[] = ["waiting", "succeeded", "failed"];

/** `refused` has the device's own code in `deviceCode`. */
export type FailureCode =
  | "refused"
  | "expired"
  | "superseded"
  | "cancelled"
  | "revoked"
  | "not-owner"
  | "unknown-outcome";

export interface RequestFailure {
  readonly code: FailureCode;
  readonly deviceCode?: string;
  readonly text: string;
}

/** Something that a device is to do once it is there. */
export interface FleetRequest {
  /** 32 hexadecimal digits. */
  readonly id: string;
  readonly nodeId: string;
  readonly kind: RequestKind;
  /** settings: the changes; prices: {revision}; update: {image}; action: {method, params}. */
  readonly body: JsonObject;
  readonly createdAt: number;
  readonly expiresAt: number;
  readonly state: RequestState;
  /** Times that it was begun. */
  readonly attempts: number;
  readonly finishedAt?: number;
  readonly failure?: RequestFailure;
  /** The roll-out that it is a part of. */
  readonly rollout?: string;
}

export type SaleKind = "delivered" | "refunded" | "owed" | "metered";
export const SALE_KINDS: readonly SaleKind[] = ["delivered", "refunded", "owed", "metered"];

export interface FleetSale {
  readonly nodeId: string;
  /** Which start of the device, and its number in it: together never twice. */
  readonly run: string;
  readonly number: number;
  readonly at: number;
  readonly kind: SaleKind;
  readonly reference: string;
  /** The product's number, or the units that a meter counted. */
  readonly product?: number;
  readonly amountMsat?: number;
  readonly reason?: string;
}

export interface ListedSale extends FleetSale {
  readonly sequence: number;
}

export interface SaleFilter {
  readonly nodeId?: string;
  readonly kind?: SaleKind;
  /** Older than this sequence. */
  readonly before?: number;
  readonly limit: number;
}

export interface RequestFilter {
  readonly nodeId?: string;
  readonly state?: RequestState;
  readonly rollout?: string;
  readonly limit: number;
}
