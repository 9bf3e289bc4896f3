/** Whether the money of purchases that were not delivered has come back: who leaves sooner has it when he comes again. */
import { refundReference } from "../../firmware/apps/refunds.ts";
import { chooseCrypto } from "../../gateway/crypto/choose.ts";
import type { PayerNode } from "./payer-node.ts";

/** A machine signs what it gives back before it says so: what is left is a round on the link. */
const BACK_MS = 10_000;
const LOOK_MS = 50;

/** References of pushes, in hexadecimal. False where it takes longer; what was never paid is not waited for. */
export async function moneyIsBack(
  payer: PayerNode,
  references: readonly string[],
): Promise<boolean> {
  const { store } = payer.wallet;
  const crypto = chooseCrypto();
  const left: Uint8Array[] = [];
  for (const reference of references.map((one) => Uint8Array.from(Buffer.from(one, "hex")))) {
    if (!(await store.isDebited(reference))) continue;
    left.push(refundReference(crypto, { reference, isDuplicate: false, number: 0 }));
  }
  const until = Date.now() + BACK_MS;
  for (const refund of left) {
    while (!(await store.isCredited(refund))) {
      if (Date.now() > until) return false;
      await new Promise((wake) => setTimeout(wake, LOOK_MS));
    }
  }
  return true;
}
