/** A gateway that is a watchtower, on a lab's chain with its own SQLite file, and the cable to whom it watches for. */
import { SeedSigner } from "../../core/keys/seed-signer.ts";
import type { Node } from "../../core/node/node.ts";
import { ascii } from "../../core/primitives/bytes.ts";
import type { PublisherStep } from "../../gateway/chain/publisher.ts";
import { Gateway } from "../../gateway/gateway.ts";
import { openSqliteStore } from "../../gateway/store/sqlite-store.ts";
import type { TowerEvent, TowerOptions } from "../../gateway/tower/tower-server.ts";
import { Cable } from "./cable.ts";
import type { ChainLab } from "./chain-lab.ts";
import { quickPolicy } from "./chain-node.ts";
import { crypto } from "./node-pair.ts";

/** Whom it watches for, and the clock there. */
export interface Watched {
  readonly node: Pick<Node, "attach">;
  /** Some time passes; what time it is then. */
  tick(): number;
}

const signer = new SeedSigner(crypto, crypto.sha256(ascii("the tower's seed")));

export class TowerLab {
  /** Known before it is started. */
  static readonly nodeId = signer.nodeId;
  readonly told: TowerEvent[] = [];
  readonly alarms: string[] = [];
  readonly steps: PublisherStep[] = [];
  gateway!: Gateway;
  private cable = new Cable();
  private client: Watched | undefined;
  private nowMs = 0;
  private drawn = 0;
  isRunning = false;

  constructor(
    private readonly lab: ChainLab,
    private readonly path: string,
    private readonly options: TowerOptions = {},
  ) {}

  static async start(lab: ChainLab, path: string, options?: TowerOptions): Promise<TowerLab> {
    const tower = new TowerLab(lab, path, options);
    await tower.start();
    return tower;
  }

  /** Starts, or starts again from its file. */
  async start(): Promise<void> {
    const store = openSqliteStore(this.path);
    this.gateway = await Gateway.start({
      crypto,
      entropy: { random: (length) => this.random(length) },
      store,
      signer,
      source: await this.lab.source(),
      wallet: await this.lab.wallet("tower"),
      policy: quickPolicy,
      nowMs: this.nowMs,
      watching: { serve: { ...this.options, tables: store.tables } },
      events: {
        onChannelEvent: () => {},
        onPeer: () => {},
        onBlock: () => {},
        onPublished: (step) => this.steps.push(step),
        onDeviceFunded: () => {},
        onAlarm: (text) => this.alarms.push(text),
        onWatching: ({ side, event }) => {
          if (side === "server") this.told.push(event);
        },
      },
    });
    this.isRunning = true;
  }

  async stop(): Promise<void> {
    if (!this.isRunning) return;
    this.isRunning = false;
    this.cable.cut = true;
    await this.gateway.stop();
  }

  /** A client calls. */
  connect(client: Watched): void {
    this.client = client;
    this.cable = new Cable();
    client.node.attach(this.cable.ends[0], signer.nodeId);
    this.gateway.attach(this.cable.ends[1]);
  }

  disconnect(): void {
    this.cable.lose();
    for (const end of this.cable.ends) end.onClosed("the cable was pulled");
    this.client = undefined;
  }

  /** Lets messages flow, the store write and some time pass. */
  async flow(rounds = 12): Promise<void> {
    for (let i = 0; i < rounds; i++) {
      this.nowMs = this.client?.tick() ?? this.nowMs + 100;
      if (this.isRunning) this.gateway.tick(this.nowMs);
      this.cable.pump();
      await new Promise((wake) => setImmediate(wake));
    }
    this.cable.pump();
  }

  /** Until what it publishes is with the node. */
  async idle(): Promise<void> {
    await new Promise((wake) => setImmediate(wake));
    await this.gateway.publisher.idle();
  }

  events<T extends TowerEvent["type"]>(type: T): Extract<TowerEvent, { type: T }>[] {
    return this.told.flatMap((event) => (event.type === type ? [event as never] : []));
  }

  private random(length: number): Uint8Array {
    return crypto.sha256(ascii(`tower ${++this.drawn}`)).slice(0, length);
  }
}
