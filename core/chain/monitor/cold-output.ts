/** Names an output that pays the owner's key (cold payout, DESIGN §3) so that a wallet can find and spend it (BIP 380). */
import { withChecksum } from "../../keys/descriptor.ts";
import type { BlockHeight, PublicKey } from "../../primitives/brands.ts";
import { toHex } from "../../primitives/bytes.ts";
import type { Claim as ClaimInput } from "../../transactions/claims.ts";
import type { ClosingOutput } from "./plan.ts";
import type { ColdOutput } from "./watched.ts";

export interface ColdSource {
  readonly output: Pick<ClosingOutput, "outpoint" | "amount" | "script">;
  readonly input: ClaimInput;
  readonly spendableFrom: BlockHeight;
  readonly keyIndex: number;
  readonly basepoint: PublicKey;
  readonly publicKey: PublicKey;
}

export function coldOutput(source: ColdSource): {
  readonly cold: ColdOutput;
  readonly descriptor: string;
} {
  const { output, input, spendableFrom, keyIndex, basepoint, publicKey } = source;
  const isKeyHash = output.script.length === 22;
  const key =
    input.key?.role === "delayed"
      ? { role: "delayed" as const, perCommitmentPoint: input.key.perCommitmentPoint }
      : { role: "payment" as const };
  const cold: ColdOutput = {
    outpoint: output.outpoint,
    amount: output.amount,
    scriptPubkey: output.script,
    ...(isKeyHash ? {} : { witnessScript: input.scriptCode }),
    sequence: input.sequence,
    spendableFrom,
    keyIndex,
    key,
    basepoint,
    publicKey,
  };
  return { cold, descriptor: descriptorOf(cold) };
}

/** BOLT 3's to_local is no miniscript: its descriptor only finds it, `cold-sweep.ts` spends it. */
function descriptorOf({ key, scriptPubkey, witnessScript, publicKey }: ColdOutput): string {
  const hex = toHex(publicKey);
  if (witnessScript === undefined) return withChecksum(`wpkh(${hex})`);
  if (key.role === "payment") return withChecksum(`wsh(and_v(v:pk(${hex}),older(1)))`);
  return withChecksum(`raw(${toHex(scriptPubkey)})`);
}
