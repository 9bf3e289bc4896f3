/** What a wallet says when its coins do not reach; the message is for the operator. */
import type { ChainWallet } from "../../core/ports/chain.ts";
import type { Satoshi } from "../../core/primitives/brands.ts";

export class InsufficientFunds extends Error {
  override readonly name = "InsufficientFunds";
}

/** Why a channel of so much could not be funded. */
export async function whyUnfunded(
  cause: unknown,
  wallet: Pick<ChainWallet, "balance">,
  amount: Satoshi,
): Promise<string> {
  const told = cause instanceof Error ? cause.message : String(cause);
  if (!(cause instanceof InsufficientFunds)) return `the channel could not be funded: ${told}`;
  const there = await wallet.balance().then(
    (sat) => `${sat} sat`,
    () => "less",
  );
  const lack = `the wallet lacks coins: ${amount} sat and the fee are needed, ${there} are there`;
  return `the channel could not be funded: ${lack}, some of them perhaps set aside or not yet confirmed (${told})`;
}
