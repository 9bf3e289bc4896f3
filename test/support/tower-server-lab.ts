/** A watchtower's server with its tables on disk, and everything around it in memory. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect } from "vitest";
import type { Claim } from "../../core/chain/monitor/watched.ts";
import { SeedSigner } from "../../core/keys/seed-signer.ts";
import type { Message } from "../../core/messages/message.ts";
import type { BlockEvent } from "../../core/ports/chain.ts";
import { blockHeight, type PublicKey } from "../../core/primitives/brands.ts";
import { ascii } from "../../core/primitives/bytes.ts";
import { encodeKit, type JusticeKit } from "../../core/tower/justice-kit.ts";
import { sealSlots } from "../../core/tower/slot.ts";
import {
  serializeTransaction,
  type Transaction,
  transactionId,
} from "../../core/transactions/transaction.ts";
import { openSqliteStore, type SqliteStore } from "../../gateway/store/sqlite-store.ts";
import {
  type TowerEvent,
  type TowerOptions,
  TowerServer,
} from "../../gateway/tower/tower-server.ts";
import { crypto } from "./node-pair.ts";
import { RevokedLab } from "./revoked.ts";

export const signer = new SeedSigner(crypto, crypto.sha256(ascii("the tower")));
export const clientOf = (name: string) => new SeedSigner(crypto, crypto.sha256(ascii(name))).nodeId;
export const clientSigner = new SeedSigner(crypto, crypto.sha256(ascii("a client")));
export const client = clientSigner.nodeId;
export const TAG = new Uint8Array(16).fill(5);

class TowerServerLab {
  store!: SqliteStore;
  server!: TowerServer;
  readonly sent: Message[] = [];
  readonly told: TowerEvent[] = [];
  readonly claims: Claim[] = [];
  concerns: (txid: Uint8Array) => boolean = () => false;
  /** By height. */
  readonly chain = new Map<number, Transaction>();
  isNodeAway = false;
  readonly folder = mkdtempSync(join(tmpdir(), "picobolt-tower-"));

  constructor(private readonly options: TowerOptions = {}) {
    this.start();
  }

  start(): void {
    this.store = openSqliteStore(join(this.folder, "tower.sqlite"));
    this.server = new TowerServer(
      {
        crypto,
        signer,
        tables: this.store.tables,
        source: {
          name: "test",
          watchOutpoint: () => {},
          replay: async ({ from, to }, each) => {
            if (this.isNodeAway) throw new Error("no Bitcoin node");
            for (let height = from as number; height <= to; height++) each(this.block(height));
          },
          watchTransactions: (concerns) => {
            this.concerns = concerns;
          },
        },
        publisher: {
          entrusted: () => ({
            publish: async (_, claim) => {
              this.claims.push(claim);
              return { ok: true, txid: claim.txid };
            },
            publishClose: async () => ({ ok: false, reason: "" }),
          }),
        },
        send: (_, message) => this.sent.push(message) > 0,
        onEvent: (event) => this.told.push(event),
      },
      this.options,
    );
    this.server.start();
  }

  stop(): void {
    void this.store.close();
  }

  async ask(message: Message, from: PublicKey = client): Promise<Message | undefined> {
    const before = this.sent.length;
    expect(this.server.receive(from, message)).toBe(true);
    for (let i = 0; i < 10 && this.sent.length === before; i++) {
      await new Promise((wake) => setImmediate(wake));
    }
    return this.sent[before];
  }

  register(from: PublicKey = client) {
    return this.ask({ type: "tower_register", version: 1 }, from);
  }

  update(slots: readonly Uint8Array[], from = 0, who: PublicKey = client, tag = TAG) {
    return this.ask({ type: "tower_update", tag, from, slots }, who);
  }

  see(transaction: Transaction, height: number): void {
    this.chain.set(height, transaction);
    this.server.blockConnected(this.block(height));
  }

  /** With what was confirmed at that height, if anything was. */
  block(height: number): BlockEvent {
    const transaction = this.chain.get(height);
    const at = blockHeight(height);
    const empty = { height: at, header: new Uint8Array(80), transactions: [], txids: [] };
    if (!transaction) return empty;
    const txid = transactionId(crypto, transaction);
    const raw = serializeTransaction(transaction);
    const found = { raw, txid, height: at, index: 1, branch: [] };
    return { ...empty, transactions: this.concerns(txid) ? [found] : [], txids: [txid] };
  }

  /** An empty block, and what it sets off. */
  async pass(height: number): Promise<void> {
    this.server.blockConnected(this.block(height));
    await new Promise((wake) => setImmediate(wake));
  }

  events<T extends TowerEvent["type"]>(type: T): Extract<TowerEvent, { type: T }>[] {
    return this.told.flatMap((event) => (event.type === type ? [event as never] : []));
  }
}

const labs: TowerServerLab[] = [];
export const makeLab = (options?: TowerOptions) => {
  const lab = new TowerServerLab(options);
  labs.push(lab);
  return lab;
};
afterEach(() => {
  for (const lab of labs.splice(0)) {
    lab.stop();
    rmSync(lab.folder, { recursive: true });
  }
});

/** A revoked commitment, and the kit against it. */
export async function revoked(): Promise<{
  kit: JusticeKit;
  commitment: Transaction;
  slots: Uint8Array[];
}> {
  const lab = await RevokedLab.make();
  await lab.pay(1_000_000);
  const { spec } = lab;
  await lab.pay(1_000_000);
  const made = lab.kit(spec);
  return {
    kit: made.kit,
    commitment: lab.commitment(spec),
    slots: sealSlots(crypto, made.txid, encodeKit(made.kit)),
  };
}

export const some = (count: number, salt = 0) =>
  Array.from({ length: count }, (_, i) => new Uint8Array(224).fill(1 + i + salt));
