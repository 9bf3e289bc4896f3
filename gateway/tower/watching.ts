/** What a gateway does with watchtowers: it may be one for others, and have one for its own channels; both are optional. */
import type { Feerates } from "../../core/channel/context.ts";
import type { Message } from "../../core/messages/message.ts";
import type { BlockEvent } from "../../core/ports/chain.ts";
import type { Crypto } from "../../core/ports/crypto.ts";
import type { NodeSigner } from "../../core/ports/signer.ts";
import type { Store } from "../../core/ports/store.ts";
import type { BlockHeight, PublicKey } from "../../core/primitives/brands.ts";
import { equal } from "../../core/primitives/bytes.ts";
import { ProtectedStore } from "../../core/tower/protected-store.ts";
import { passedOn } from "../../core/tower/relay.ts";
import { TowerClient, type TowerClientEvent } from "../../core/tower/tower-client.ts";
import type { SqliteTables } from "../store/sqlite-store.ts";
import {
  type TowerEvent,
  type TowerOptions,
  type TowerPorts,
  TowerServer,
} from "./tower-server.ts";

export interface WatchingOptions {
  /** Be a tower: what it keeps lies in these tables. */
  readonly serve?: TowerOptions & { readonly tables: SqliteTables };
  /** The node that watches for us; we are protected while it is a peer some of the time. */
  readonly tower?: PublicKey;
  /** Of the penalties as we sign them, satoshi per 1000 weight. */
  readonly feeratePerKw?: number;
}

export type WatchingEvent =
  | { readonly side: "server"; readonly event: TowerEvent }
  | { readonly side: "client"; readonly event: TowerClientEvent };

export interface WatchingPorts extends Omit<TowerPorts, "tables" | "onEvent"> {
  readonly crypto: Crypto;
  readonly signer: NodeSigner;
  readonly store: Store;
  onEvent(event: WatchingEvent): void;
}

/** Of one channel; beyond it the states that matter least are given up and counted. */
const MAX_WAITING_STATES = 256;
const STATES_PER_TICK = 64;

export class Watching {
  /** Of the gateway's own channels, whoever watches for them. */
  readonly store: Store;
  readonly server: TowerServer | undefined;
  readonly protected: ProtectedStore | undefined;
  client: TowerClient | undefined;

  constructor(
    private readonly ports: WatchingPorts,
    private readonly options: WatchingOptions = {},
  ) {
    const { serve, tower } = options;
    const { store, signer, onEvent } = ports;
    if (serve) {
      this.server = new TowerServer(
        {
          ...ports,
          tables: serve.tables,
          onEvent: (event) => onEvent({ side: "server", event }),
        },
        serve,
      );
    }
    if (tower) {
      this.protected = new ProtectedStore(store, {
        signer,
        tower,
        maxWaiting: MAX_WAITING_STATES,
        onProblem: (text) =>
          onEvent({ side: "server", event: { type: "problem", text: `watchtower: ${text}` } }),
      });
    }
    this.store = this.protected ?? store;
  }

  /** Before the node starts. */
  start(payoutScript: Uint8Array): void {
    const { tower, feeratePerKw } = this.options;
    const { crypto, signer, send, onEvent } = this.ports;
    this.server?.start();
    if (!tower || !this.protected) return;
    this.client = new TowerClient({
      crypto,
      signer,
      store: this.protected,
      tower,
      payoutScript,
      ...(feeratePerKw === undefined ? {} : { feeratePerKw }),
      statesPerTick: STATES_PER_TICK,
      send: (message) => send(tower, message),
      onEvent: (event) => onEvent({ side: "client", event }),
    });
  }

  peer(peer: PublicKey, state: "connected" | "disconnected"): void {
    if (!this.client || !equal(peer, this.client.tower)) return;
    if (state === "connected") this.client.connected();
    else this.client.disconnected();
  }

  /** Whether the message was between a node and its tower; others' are passed on. */
  receive(peer: PublicKey, message: Message): boolean {
    if (message.type === "tower_relay") {
      const onward = passedOn(peer, message);
      if (onward) {
        this.ports.send(onward.to, onward.message); // where it is away, the client asks again
        return true;
      }
    }
    return (this.client?.receive(peer, message) || this.server?.receive(peer, message)) ?? false;
  }

  tick(nowMs: number): void {
    this.client?.tick(nowMs);
  }

  blockConnected(block: BlockEvent): void {
    this.server?.blockConnected(block);
  }

  rewind(fromHeight: BlockHeight): void {
    this.server?.disconnected(fromHeight);
  }

  setFeerates(feerates: Feerates): void {
    this.server?.setFeerates(feerates);
  }
}
