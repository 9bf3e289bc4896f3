/** A pair of nodes whose second one is watched over: its store, the states that were revoked to it, and kits for them. */
import { commitmentSpec, remoteState } from "../../core/channel/state.ts";
import { commitmentKeys } from "../../core/keys/derivation.ts";
import { SeedSigner } from "../../core/keys/seed-signer.ts";
import { lookupSecret } from "../../core/keys/shachain.ts";
import { MemoryStore } from "../../core/node/memory-store.ts";
import type { Store } from "../../core/ports/store.ts";
import {
  blockHeight,
  type ChannelId,
  milliSatoshi,
  paymentHash,
  preimage,
} from "../../core/primitives/brands.ts";
import { ascii } from "../../core/primitives/bytes.ts";
import { type MadeKit, makeKit } from "../../core/tower/make-kit.ts";
import { PENALTY_FEERATE_PER_KW } from "../../core/tower/penalty.ts";
import { ProtectedStore } from "../../core/tower/protected-store.ts";
import { commitmentTerms } from "../../core/transactions/channel-terms.ts";
import { buildCommitment } from "../../core/transactions/commitment.ts";
import type { ChannelType, CommitmentSpec } from "../../core/transactions/terms.ts";
import type { Transaction } from "../../core/transactions/transaction.ts";
import { crypto, Pair, payment } from "./node-pair.ts";

/** Bob's, as the pair makes it. */
export const bobSigner = new SeedSigner(crypto, new Uint8Array(32).fill(2));

export class RevokedLab {
  pair!: Pair;
  id!: ChannelId;
  readonly problems: string[] = [];
  private salt = 0;

  private constructor(
    readonly disk: Store,
    public store: ProtectedStore,
  ) {}

  static async make(
    options: {
      readonly channelType?: ChannelType;
      readonly maxWaiting?: number;
      readonly disk?: Store;
    } = {},
  ): Promise<RevokedLab> {
    const { channelType = "zero_fee_commitments", maxWaiting = 64 } = options;
    const disk = options.disk ?? new MemoryStore();
    const lab = new RevokedLab(disk, protect(disk, maxWaiting));
    lab.pair = await Pair.make({ diskB: lab.store });
    lab.id = await lab.pair.open({ channelType });
    return lab;
  }

  /** Alice pays bob: she revokes a state. */
  async pay(amountMsat: number): Promise<void> {
    this.pair.a.node.command(this.id, { type: "push", payments: payment(amountMsat) });
    await this.pair.flow();
  }

  async offerHtlc(amountMsat: number, from: "a" | "b" = "a"): Promise<void> {
    const secret = preimage(crypto.sha256(ascii(`revoked ${++this.salt}`)));
    this.pair[from].node.command(this.id, {
      type: "addHtlc",
      amountMsat: milliSatoshi(amountMsat),
      paymentHash: paymentHash(crypto.sha256(secret)),
      cltvExpiry: blockHeight(400 + this.salt),
    });
    await this.pair.flow();
  }

  get record() {
    const record = this.pair.b.node.record(this.id);
    if (!record) throw new Error("bob has no channel");
    return record;
  }

  get channel() {
    const channel = this.store.channel(this.id);
    if (!channel) throw new Error("the store knows no channel");
    return channel;
  }

  /** Alice's commitment as it stands. */
  get spec(): CommitmentSpec {
    return commitmentSpec(remoteState(this.record), "remote", this.record.remoteNumber);
  }

  kit(spec: CommitmentSpec): MadeKit {
    const { record } = this;
    const secret = lookupSecret(crypto, record.secrets, spec.number);
    if (!secret) throw new Error("it is not revoked");
    const source = {
      crypto,
      signer: bobSigner.channel(record.terms.keyIndex),
      terms: record.terms,
      payoutScript: this.pair.b.payoutScript,
      feeratePerKw: PENALTY_FEERATE_PER_KW,
    };
    const made = makeKit(source, spec, secret);
    if (!made) throw new Error("there is nothing to take");
    return made;
  }

  /** What alice could publish, without her signatures. */
  commitment(spec: CommitmentSpec): Transaction {
    const { record } = this;
    const secret = lookupSecret(crypto, record.secrets, spec.number);
    if (!secret) throw new Error("it is not revoked");
    const terms = commitmentTerms(record.terms, "remote");
    const keys = commitmentKeys(crypto, {
      ...terms,
      perCommitmentPoint: crypto.publicKeyOf(secret),
    });
    return buildCommitment(crypto, terms, keys, spec).transaction;
  }

  /** Bob's process is gone; another one starts from the disk. */
  async restart(maxWaiting = 64): Promise<void> {
    this.store = protect(this.disk, maxWaiting);
    this.pair.b.use(this.store);
    await this.pair.restart(this.pair.b);
    this.pair.connect();
    await this.pair.flow();
  }
}

const towerId = new SeedSigner(crypto, new Uint8Array(32).fill(3)).nodeId;

export function protect(disk: Store, maxWaiting: number): ProtectedStore {
  return new ProtectedStore(disk, {
    signer: bobSigner,
    tower: towerId,
    maxWaiting,
    onProblem: (text) => {
      throw new Error(text);
    },
  });
}
