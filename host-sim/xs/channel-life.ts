/** The life of a channel between two players, as one story that every engine must tell in the same bytes. */
import { packPayments } from "../../core/payments/push.ts";
import type { Crypto } from "../../core/ports/crypto.ts";
import { milliSatoshi, type PublicKey, satoshi, type Txid } from "../../core/primitives/brands.ts";
import type { ChannelType } from "../../core/transactions/terms.ts";
import { serializeTransaction, transactionId } from "../../core/transactions/transaction.ts";
import type { Player } from "./player.ts";

export interface LifeOptions {
  readonly channelType: ChannelType;
  /** Opening, one push, one HTLC and the close: for slow crypto. */
  readonly short?: boolean;
}

/** Blocks after which a channel that ended is forgotten, and one more. */
const UNTIL_FORGOTTEN = 101;
const START_HEIGHT = 100;

export class ChannelLife {
  #id: Uint8Array = new Uint8Array(32);
  #height = START_HEIGHT;
  #nowMs = 0;
  #references = 0;
  #queue: { readonly to: Player; readonly bytes: Uint8Array }[] = [];

  constructor(
    private readonly crypto: Crypto,
    private readonly alice: Player,
    private readonly bob: Player,
    private readonly bobsId: PublicKey,
  ) {}

  /** Alice opens to Bob; who pays whom, what is lost and who dies is always the same. */
  async live({ channelType, short = false }: LifeOptions): Promise<void> {
    const { alice, bob } = this;
    await this.begin(channelType);
    await this.push(alice, [1_000]);
    await this.#htlc(alice, bob, 50_000_000, "fulfil");
    if (!short) {
      await this.#payments();
      for (let deliveries = 0; deliveries < 9; deliveries++) await this.#cutAfter(deliveries);
      if (channelType !== "zero_fee_commitments") await this.#newFeerate();
      for (const deliveries of [1, 3, 6]) await this.#dieAfter(deliveries);
      await this.push(bob, [1]);
    }
    await this.#close();
    await this.end();
  }

  /** Both nodes start, and the channel is open and deep enough. */
  async begin(channelType: ChannelType): Promise<void> {
    for (const player of [this.alice, this.bob]) await player.start(this.#height, this.#nowMs);
    await this.#connect();
    await this.#open(channelType);
  }

  async end(): Promise<void> {
    for (const player of [this.alice, this.bob]) await player.kill();
  }

  /** One push of these payments, until nothing moves. */
  async push(payer: Player, amountsMsat: readonly number[]): Promise<void> {
    await this.#startPush(payer, amountsMsat);
    await this.#flow();
  }

  async #connect(): Promise<void> {
    this.#queue = [];
    const { alice, bob } = this;
    alice.onSend = (bytes) => this.#queue.push({ to: bob, bytes: bytes.slice() });
    bob.onSend = (bytes) => this.#queue.push({ to: alice, bytes: bytes.slice() });
    await alice.step("attach", { remoteNodeId: this.bobsId });
    await bob.step("attach", {});
    await this.#tick();
    await this.#flow();
  }

  async #disconnect(): Promise<void> {
    this.#queue = [];
    for (const player of [this.alice, this.bob]) await player.step("unplug", {});
  }

  async #tick(): Promise<void> {
    this.#nowMs += 1_000;
    for (const player of [this.alice, this.bob]) await player.step("tick", this.#nowMs);
  }

  async #flow(most = Number.POSITIVE_INFINITY): Promise<void> {
    for (let count = 0; count < most; count++) {
      const next = this.#queue.shift();
      if (next === undefined) return;
      await next.to.receive(next.bytes);
    }
  }

  async #open(channelType: ChannelType): Promise<void> {
    const { alice } = this;
    const temporaryId = await alice.step("open", {
      remoteNodeId: this.bobsId,
      channelType,
      fundingSatoshis: satoshi(1_000_000),
      pushMsat: milliSatoshi(300_000_000),
      feeratePerKw: 1_000,
    });
    await this.#flow();
    const [needed] = alice.events("fundingNeeded");
    if (needed === undefined || temporaryId === undefined) throw new Error(complaints(this));
    const funding = this.#funding(needed.script as Uint8Array, needed.amountSatoshis as number);
    const command = { type: "funded", outpoint: { txid: funding.txid, vout: 0 } };
    await alice.step("command", { id: temporaryId, command });
    await this.#flow();
    const [created] = alice.events("created");
    if (created === undefined) throw new Error(complaints(this));
    this.#id = created.channelId as Uint8Array;
    await this.#mine(3, [funding.raw]);
  }

  #funding(script: Uint8Array, amount: number) {
    const outpoint = { txid: new Uint8Array(32).fill(0xcf) as Txid, vout: 0 };
    const witness = [new Uint8Array(64).fill(1)];
    const transaction = {
      version: 2,
      inputs: [{ outpoint, sequence: 0xfffffffd, scriptSig: new Uint8Array(0), witness }],
      outputs: [{ script, amount: satoshi(amount) }],
      locktime: 0,
    };
    const txid = transactionId(this.crypto, transaction);
    return { txid, raw: serializeTransaction(transaction) };
  }

  async #mine(count: number, raws: readonly Uint8Array[] = []): Promise<void> {
    for (let i = 0; i < count; i++) {
      const block = { height: ++this.#height, raws: i === 0 ? raws : [] };
      for (const player of [this.alice, this.bob]) await player.step("block", block);
      await this.#flow();
    }
  }

  /** Pushes and HTLCs in both directions, alone, crossing and in batches. */
  async #payments(): Promise<void> {
    const { alice, bob } = this;
    await this.push(bob, [2_500]);
    await this.#startPush(alice, [1_001]);
    await this.#startPush(bob, [1_002, 1_003]);
    await this.#flow();
    await this.push(
      alice,
      Array.from({ length: 10 }, (_, i) => 1_000 + i),
    );
    await this.push(
      bob,
      Array.from({ length: 100 }, (_, i) => 1 + i),
    );
    await this.#htlc(bob, alice, 40_000_123, "fail");
    await this.#htlc(bob, alice, 30_000_000, "fulfil");
    await this.#htlc(alice, bob, 100_000, "fulfil"); // below dust
    await this.#startHtlc(alice, 20_000_000, 0x21);
    await this.#startHtlc(bob, 21_000_000, 0x22);
    await this.#startPush(alice, [77]);
    await this.#flow();
    for (const player of [bob, alice]) await this.#answer(player, "fulfil");
    await this.#flow();
  }

  /** Both pay at once, and the cable is pulled after so many deliveries. */
  async #cutAfter(deliveries: number): Promise<void> {
    const { alice, bob } = this;
    await this.#startPush(alice, [2_000 + deliveries]);
    await this.#startHtlc(bob, 10_000_000 + deliveries, 0x40 + deliveries);
    await this.#flow(deliveries);
    await this.#disconnect();
    await this.#connect();
    await this.#answer(alice, deliveries % 2 === 0 ? "fulfil" : "fail");
    await this.#flow(deliveries);
    await this.#disconnect();
    await this.#connect();
  }

  /** Bob loses his power and comes back with what his store holds. */
  async #dieAfter(deliveries: number): Promise<void> {
    await this.#startPush(this.alice, [3_000 + deliveries]);
    await this.#startHtlc(this.bob, 10_000_000 + deliveries, 0x60 + deliveries);
    await this.#flow(deliveries);
    await this.#disconnect();
    await this.bob.kill();
    await this.bob.start(this.#height, this.#nowMs);
    await this.#connect();
    await this.#answer(this.alice, "fulfil");
    await this.#flow();
  }

  async #newFeerate(): Promise<void> {
    await this.#command(this.alice, { type: "updateFee", feeratePerKw: 1_500 });
    await this.#flow();
  }

  async #close(): Promise<void> {
    await this.#command(this.alice, { type: "close", feeratePerKw: 500 });
    await this.#flow();
    const [raw] = this.alice.closes;
    if (raw === undefined) throw new Error(`no mutual close: ${complaints(this)}`);
    await this.#mine(UNTIL_FORGOTTEN, [raw]);
  }

  async #startPush(payer: Player, amountsMsat: readonly number[]): Promise<void> {
    const payments = packPayments(
      amountsMsat.map((amountMsat) => {
        const reference = new Uint8Array(16);
        new DataView(reference.buffer).setUint32(12, ++this.#references);
        return { reference, amountMsat: milliSatoshi(amountMsat) };
      }),
    );
    await this.#command(payer, { type: "push", payments });
  }

  async #htlc(from: Player, to: Player, amountMsat: number, end: "fulfil" | "fail"): Promise<void> {
    await this.#startHtlc(from, amountMsat, (amountMsat / 1_000) & 0xff);
    await this.#flow();
    await this.#answer(to, end);
    await this.#flow();
  }

  async #startHtlc(from: Player, amountMsat: number, secret: number): Promise<void> {
    const paymentHash = this.crypto.sha256(preimageOf(secret));
    this.#secrets.set(Buffer.from(paymentHash).toString("hex"), secret);
    const cltvExpiry = this.#height + 100;
    await this.#command(from, { type: "addHtlc", amountMsat, paymentHash, cltvExpiry });
  }

  readonly #secrets = new Map<string, number>();
  readonly #answered = new Set<string>();

  /** Answers every HTLC that this player was told of and has not answered. */
  async #answer(player: Player, end: "fulfil" | "fail"): Promise<void> {
    for (const event of player.events("htlcReceived")) {
      const { id: htlcId, paymentHash } = event.htlc as { id: number; paymentHash: Uint8Array };
      const key = `${player.name} ${htlcId}`;
      if (this.#answered.has(key)) continue;
      this.#answered.add(key);
      const preimage = preimageOf(this.#secrets.get(Buffer.from(paymentHash).toString("hex")) ?? 0);
      await this.#command(
        player,
        end === "fulfil"
          ? { type: "fulfillHtlc", htlcId, preimage }
          : { type: "failHtlc", htlcId, reason: new Uint8Array(8).fill(5) },
      );
    }
  }

  async #command(player: Player, command: unknown): Promise<void> {
    await player.step("command", { id: this.#id, command });
  }

  get players(): readonly Player[] {
    return [this.alice, this.bob];
  }
}

function complaints({ players }: ChannelLife): string {
  return players.map(({ told, alarms }) => JSON.stringify([...alarms, told.at(-1)])).join("; ");
}

function preimageOf(secret: number): Uint8Array {
  return new Uint8Array(32).fill(secret);
}
