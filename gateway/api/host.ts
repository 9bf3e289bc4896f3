/** What the API needs of the running gateway (gateway/run/service.ts). */
import type { Crypto } from "../../core/ports/crypto.ts";
import type { Store } from "../../core/ports/store.ts";
import type { MacaroonAuthority } from "../auth/authority.ts";
import type { Backups } from "../backup/backups.ts";
import type { Fleet } from "../fleet/fleet.ts";
import type { Gateway } from "../gateway.ts";
import type { AlarmBoard } from "../operations/alarm-board.ts";
import type { RunningChain } from "../run/chain.ts";
import type { EventHub } from "../run/event-hub.ts";
import type { PeerBook } from "../run/peer-book.ts";
import type { PeerDialers } from "../run/peer-dialers.ts";
import type { Config } from "../run/settings.ts";
import type { Settlement } from "../settlement/settlement.ts";

export interface ApiHost {
  readonly nodeId: string;
  readonly version: string;
  readonly startedAt: Date;
  readonly config: Config;
  readonly crypto: Crypto;
  readonly chain: RunningChain;
  readonly store: Store;
  readonly gateway: Gateway;
  /** Undefined where the store has no place for its journal. */
  readonly settlement: Settlement | undefined;
  readonly backups: Backups | undefined;
  readonly events: EventHub;
  readonly alarms: AlarmBoard;
  readonly authority: MacaroonAuthority;
  readonly peerBook: PeerBook;
  readonly dialers: PeerDialers;
  /** Absent where several processes share the records. */
  readonly fleet: Fleet | undefined;
  /** Where peers are listened for. */
  readonly p2pPort: number | undefined;
  /** Without a password. */
  readonly brokerUrl: string | undefined;
  readonly mqtt:
    | { readonly isConnected: boolean; presence(device: string): "online" | "offline" | undefined }
    | undefined;
}
