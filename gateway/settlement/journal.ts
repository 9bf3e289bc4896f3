/** What settlement began, written down before it is done: after a crash it is finished, or known not to have happened. */

/** Sweep: coins to the operator. Open: a channel to a device. Rebalance: a payment of ours to ourselves. */
export const ACTION_KINDS = ["sweep", "open", "rebalance"] as const;
export type ActionKind = (typeof ACTION_KINDS)[number];
export type ActionState = "pending" | "succeeded" | "failed";

export interface SweepBody {
  readonly txid: string;
  /** Hexadecimal, signed. */
  readonly raw: string;
  readonly amountSat: number;
  readonly feeSat: number;
  readonly coins: number;
  /** Of the descriptor. */
  readonly index: number;
  /** Tip when it was made. */
  readonly sinceHeight: number;
  /** Tip when the newest version was made; absent: there was one alone. */
  readonly raisedHeight?: number;
  /** Versions at lower fees, of which a block may take any; the oldest first. */
  readonly replaced?: readonly SweepVersion[];
}

export interface SweepVersion {
  readonly txid: string;
  readonly amountSat: number;
  readonly feeSat: number;
}

export interface OpenBody {
  /** Hexadecimal. */
  readonly nodeId: string;
  readonly capacitySat: number;
  /** Ours with that node before: what is there besides is the one that was begun. */
  readonly known: readonly string[];
  readonly reason?: string;
}

export interface RebalanceBody {
  /** Channel ids, hexadecimal: out of the one, back in by the other. */
  readonly outgoing: string;
  readonly incoming: string;
  readonly amountMsat: number;
  readonly maxFeeMsat: number;
  readonly feeMsat?: number;
  readonly reason?: string;
}

export interface Bodies {
  readonly sweep: SweepBody;
  readonly open: OpenBody;
  readonly rebalance: RebalanceBody;
}

export interface Action<K extends ActionKind = ActionKind> {
  readonly kind: K;
  /** One of its kind; put again it replaces. */
  readonly id: string;
  readonly state: ActionState;
  /** Seconds since 1970. */
  readonly createdAt: number;
  readonly body: Bodies[K];
}

type Awaitable<T> = T | Promise<T>;

export interface ActionFilter {
  readonly state?: ActionState;
  /** Of `createdAt`. */
  readonly from?: number;
  /** The newest so many; at most MAX_ACTIONS. */
  readonly limit?: number;
}

export const MAX_ACTIONS = 10_000;

export interface SettlementJournal {
  /** Durable when it is fulfilled. */
  put<K extends ActionKind>(action: Action<K>): Promise<void>;
  /** Newest first. */
  list<K extends ActionKind>(kind: K, filter?: ActionFilter): Awaitable<readonly Action<K>[]>;
}
