/** Proofs that wait for the header of their block, or for the branch that it stands on (rules `device-trusts-nobody`, `bounded`). */
import type { MessageNamed } from "../messages/message.ts";
import { equal } from "../primitives/bytes.ts";

export type Proof = MessageNamed<"chain_transaction">;

/** Proofs that wait for their header, and their bytes. */
const MAX_WAITING = 32;
const MAX_WAITING_BYTES = 32_768;

export class WaitingProofs {
  private waiting: Proof[] = [];

  /** The oldest give way: a gateway that sends too many keeps only its own proofs from us. */
  add(proof: Proof): void {
    const others = this.waiting.filter(({ raw }) => !equal(raw, proof.raw));
    this.waiting = [...others, proof].slice(-MAX_WAITING);
    const bytes = () => this.waiting.reduce((sum, { raw }) => sum + raw.length, 0);
    while (this.waiting.length > 1 && bytes() > MAX_WAITING_BYTES) this.waiting.shift();
  }

  /** Those of blocks up to `height`, as they stand in the chain: what is spent comes before what spends it. */
  take(height: number): readonly Proof[] {
    const ready = this.waiting.filter((proof) => proof.height <= height);
    this.waiting = this.waiting.filter((proof) => proof.height > height);
    return ready.sort((a, b) => a.height - b.height || a.index - b.index);
  }
}
