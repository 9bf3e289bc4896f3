/** A device's watchtower: reached directly, or by way of the gateway, which can withhold what it carries and nothing else (docs/PROTOCOL.md "Watchtower"). */
import type { Message } from "../core/messages/message.ts";
import type { Node } from "../core/node/node.ts";
import type { Crypto } from "../core/ports/crypto.ts";
import type { NodeSigner } from "../core/ports/signer.ts";
import type { Store } from "../core/ports/store.ts";
import type { PublicKey } from "../core/primitives/brands.ts";
import { equal, toHex } from "../core/primitives/bytes.ts";
import { ProtectedStore, type Protection } from "../core/tower/protected-store.ts";
import { fromRelay, toRelay } from "../core/tower/relay.ts";
import { TowerClient, type TowerClientEvent } from "../core/tower/tower-client.ts";

export interface DeviceTowerOptions {
  readonly crypto: Crypto;
  readonly signer: NodeSigner;
  /** What keeps the channels. */
  readonly store: Store;
  readonly tower: PublicKey;
  readonly gatewayId: PublicKey;
  readonly payoutScript: Uint8Array;
  /** Once it runs. */
  node(): Pick<Node, "isConnected" | "sendService"> | undefined;
  /** The tower has acknowledged more. */
  onProtected(): void;
  onAlarm(text: string): void;
}

/** What its owner may know of it. */
export interface TowerStatus extends Protection {
  readonly isRegistered: boolean;
}

/** Of one channel, about 13 bytes of flash each; beyond it the states that matter least are given up and counted. */
const MAX_WAITING_STATES = 64;

export class DeviceTower {
  /** For the node. */
  readonly store: ProtectedStore;
  private readonly client: TowerClient;
  private route: "direct" | "relayed" | undefined;

  constructor(private readonly options: DeviceTowerOptions) {
    const { crypto, signer, store, tower, payoutScript, onAlarm } = options;
    this.store = new ProtectedStore(store, {
      signer,
      tower,
      maxWaiting: MAX_WAITING_STATES,
      onProblem: (text) => onAlarm(text),
    });
    this.client = new TowerClient({
      crypto,
      signer,
      store: this.store,
      tower,
      payoutScript,
      statesPerTick: 1,
      send: (message) => this.send(message),
      onEvent: (event) => this.told(event),
    });
  }

  get status(): TowerStatus {
    return { ...this.store.protection(), isRegistered: this.client.isRegistered };
  }

  /** What the peers could gain by states that the tower does not know (rule `offline-budget`). */
  get exposureMsat(): number {
    return this.store.protection().exposureMsat;
  }

  /** Some peer came or went. */
  peer(): void {
    const { tower, gatewayId } = this.options;
    const node = this.options.node();
    const relayed = node?.isConnected(gatewayId) ? "relayed" : undefined;
    const route = node?.isConnected(tower) ? "direct" : relayed;
    if (route === this.route) return;
    this.route = route;
    if (route) this.client.connected();
    else this.client.disconnected();
  }

  /** Whether the message was the tower's. */
  receive(peer: PublicKey, message: Message): boolean {
    if (message.type !== "tower_relay") return this.client.receive(peer, message);
    if (!equal(peer, this.options.gatewayId)) return false;
    const carried = fromRelay(message);
    return carried !== undefined && this.client.receive(carried.from, carried.message);
  }

  tick(nowMs: number): void {
    this.client.tick(nowMs);
  }

  stop(): void {
    void this.store.flush().catch(() => undefined); // what it acknowledged is asked for again
  }

  private send(message: Message): boolean {
    const { tower, gatewayId } = this.options;
    const node = this.options.node();
    if (!node || !this.route) return false;
    return this.route === "direct"
      ? node.sendService(tower, message)
      : node.sendService(gatewayId, toRelay(tower, message));
  }

  private told(event: TowerClientEvent): void {
    const name = `watchtower ${toHex(this.options.tower).slice(0, 16)}`;
    const { onAlarm, onProtected } = this.options;
    if (event.type === "receipt") onProtected();
    if (event.type === "refused") onAlarm(`${name}: ${event.reason}`);
    if (event.type === "broken") {
      const { expected, receipt } = event;
      const text = `has lost what it signed for (${receipt.count} of ${expected.count} slots)`;
      onAlarm(`${name} ${text}: choose another one, and close this channel`);
    }
  }
}
