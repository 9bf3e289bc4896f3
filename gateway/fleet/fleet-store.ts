/** Where the fleet is kept: a small port, so that each kind of store has its own tables behind it (gateway/store/sqlite-fleet.ts). */
import type {
  FleetDevice,
  FleetRequest,
  FleetSale,
  ListedSale,
  RequestFilter,
  SaleFilter,
} from "./fleet-types.ts";
import type { Rollout } from "./rollout.ts";

type Soon<T> = T | Promise<T>;

/** What is put is durable when its promise resolves, and seen by reads that are asked for later. */
export interface FleetStore {
  /** What of it could not be read, and what to do. */
  readonly damaged: readonly string[];
  devices(): Soon<readonly FleetDevice[]>;
  putDevice(device: FleetDevice): Promise<void>;

  putRequests(requests: readonly FleetRequest[]): Promise<void>;
  /** In the order in which they were asked for. */
  waitingRequests(): Soon<readonly FleetRequest[]>;
  request(id: string): Soon<FleetRequest | undefined>;
  /** The newest first. */
  requests(filter: RequestFilter): Soon<readonly FleetRequest[]>;

  /** Those that are there already are passed over. */
  addSales(sales: readonly FleetSale[]): Promise<void>;
  /** The newest first. */
  sales(filter: SaleFilter): Soon<readonly ListedSale[]>;

  rollouts(): Soon<readonly Rollout[]>;
  putRollout(rollout: Rollout): Promise<void>;

  /** Images and price lists, by their SHA-256. */
  blob(digest: string): Soon<Uint8Array | undefined>;
  putBlob(digest: string, bytes: Uint8Array): Promise<void>;
  removeBlob(digest: string): Promise<void>;

  /** Finished requests and sales from before these times (Unix seconds) are forgotten. */
  prune(before: { readonly requests: number; readonly sales: number }): Promise<void>;
}
