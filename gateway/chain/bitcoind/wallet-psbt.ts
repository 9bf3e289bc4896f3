/**
 * What bitcoind's wallet does to partially signed transactions (BIP 174): it funds new ones, and signs its own coins
 * in ours. Whoever holds the keys, the node or a signer behind it, sees in the PSBT what every input spends.
 */
import { encodePsbt } from "../../../core/chain/monitor/psbt.ts";
import type { Outpoint, TxOutput } from "../../../core/ports/chain.ts";
import { satoshi } from "../../../core/primitives/brands.ts";
import { fromHex, toHex } from "../../../core/primitives/bytes.ts";
import {
  parseTransaction,
  sameOutpoint,
  type Transaction,
} from "../../../core/transactions/transaction.ts";
import type { WalletCoin } from "../fee-payer.ts";
import type { BitcoindRpc, WalletRpc } from "./rpc.ts";
import { btcFromSatoshi, toDisplay, txidFromDisplay } from "./units.ts";

export interface FundingTerms {
  /** Satoshi per virtual byte, as the RPC wants it. */
  readonly feeRate: string;
  readonly minConfirmations: number;
}

export interface FundedPsbt {
  /** base64 */
  readonly psbt: string;
  /** The coins that it spends, set aside by the node. */
  readonly outpoints: readonly Outpoint[];
}

/** A new transaction that pays `outputs`, its coins and its change chosen by the node. Each output needs an address. */
export async function fundPsbt(
  node: BitcoindRpc,
  wallet: WalletRpc,
  outputs: readonly TxOutput[],
  { feeRate, minConfirmations }: FundingTerms,
): Promise<FundedPsbt> {
  const addresses = await addressesOf(node, outputs);
  const payments = outputs.map(({ amount }, i) => ({
    [addresses[i] as string]: btcFromSatoshi(amount),
  }));
  const { psbt } = await wallet.call<{ psbt: string }>(
    "walletcreatefundedpsbt",
    [],
    payments,
    0,
    {
      fee_rate: feeRate,
      minconf: minConfirmations,
      change_type: "bech32",
      lockUnspents: true,
      replaceable: true,
    },
    true, // key paths, without which a signer that holds the keys cannot tell its own
  );
  const { tx } = await node.call<DecodedPsbt>("decodepsbt", psbt);
  const outpoints = tx.vin.map(({ txid, vout }) => ({ txid: txidFromDisplay(txid), vout }));
  return { psbt, outpoints };
}

export interface SendAllTerms {
  readonly outpoints: readonly Outpoint[];
  /** Stays with the wallet. */
  readonly kept: TxOutput | undefined;
  /** Gets the rest. */
  readonly script: Uint8Array;
  /** Satoshi per virtual byte, as the RPC wants it. */
  readonly feeRate: string;
}

/** A transaction that spends these coins whole; they are set aside by the node, and it is not sent. */
export async function sendAllPsbt(
  node: BitcoindRpc,
  wallet: WalletRpc,
  { outpoints, kept, script, feeRate }: SendAllTerms,
): Promise<Transaction> {
  const rest = { script, amount: satoshi(0) };
  const [to, own] = await addressesOf(node, kept ? [rest, kept] : [rest]);
  const recipients = kept ? [to, { [own as string]: btcFromSatoshi(kept.amount) }] : [to];
  const inputs = outpoints.map(({ txid, vout }) => ({ txid: toDisplay(txid), vout }));
  const options = { add_to_wallet: false, inputs, lock_unspents: true, replaceable: true };
  const made = await wallet.call<{ hex?: string; complete: boolean }>(
    "sendall",
    recipients,
    null,
    "unset",
    feeRate,
    options,
  );
  if (!made.complete || made.hex === undefined) throw notSigned();
  return parseTransaction(fromHex(made.hex));
}

/** The whole transaction, where every coin in it is the wallet's. */
export async function signPsbt(
  node: BitcoindRpc,
  wallet: WalletRpc,
  psbt: string,
): Promise<Transaction> {
  const processed = await withSignatures(wallet, psbt);
  const final = await node.call<{ hex?: string; complete: boolean }>("finalizepsbt", processed);
  if (!final.complete || final.hex === undefined) throw notSigned();
  return parseTransaction(fromHex(final.hex));
}

/** `transaction` with the inputs that spend `coins` signed by the wallet; the others keep what they have. */
export async function signCoins(
  node: BitcoindRpc,
  wallet: WalletRpc,
  transaction: Transaction,
  coins: readonly WalletCoin[],
  /** What each input spends, in order. */
  spent: readonly TxOutput[],
): Promise<Transaction> {
  if (coins.length === 0) return transaction;
  const psbt = encodePsbt({
    transaction: unsigned(transaction),
    inputs: spent.map((witnessUtxo) => ({ witnessUtxo })),
  });
  const processed = await withSignatures(wallet, Buffer.from(psbt).toString("base64"));
  const final = await node.call<{ psbt: string }>("finalizepsbt", processed, false);
  const { inputs: decoded } = await node.call<DecodedPsbt>("decodepsbt", final.psbt);
  const inputs = transaction.inputs.map((input, i) => {
    if (!coins.some((coin) => sameOutpoint(coin.outpoint, input.outpoint))) return input;
    const { final_scriptSig: scriptSig, final_scriptwitness: witness = [] } = decoded[i] ?? {};
    if (witness.length === 0 && scriptSig === undefined) throw notSigned();
    return {
      ...input,
      scriptSig: fromHex(scriptSig?.hex ?? ""),
      witness: witness.map(fromHex),
    };
  });
  return { ...transaction, inputs };
}

interface DecodedPsbt {
  readonly tx: { readonly vin: readonly { readonly txid: string; readonly vout: number }[] };
  readonly inputs: readonly {
    readonly final_scriptSig?: { readonly hex: string };
    readonly final_scriptwitness?: readonly string[];
  }[];
}

/**
 * Key paths first, by which a signer behind the node finds its own coins, then signatures. Nothing is finished on the
 * way: of a finished input the paths are dropped, and a second key chain of the same signer would refuse it.
 */
async function withSignatures(wallet: WalletRpc, psbt: string): Promise<string> {
  const process = (text: string, sign: boolean) =>
    wallet.call<{ psbt: string }>("walletprocesspsbt", text, sign, "DEFAULT", true, false);
  const filled = await process(psbt, false);
  return (await process(filled.psbt, true)).psbt;
}

async function addressesOf(node: BitcoindRpc, outputs: readonly TxOutput[]): Promise<string[]> {
  const decoded = await node.batch<{ address?: string }>(
    outputs.map(({ script }) => ["decodescript", toHex(script)] as const),
  );
  return decoded.map(({ address }, i) => {
    if (address !== undefined) return address;
    throw new Error(`the node's wallet pays addresses alone, and output ${i} has none`);
  });
}

/** A PSBT's transaction carries no signature; versions and lock times stay (version 3 is BIP 431's). */
function unsigned(transaction: Transaction): Transaction {
  const none = new Uint8Array(0);
  const inputs = transaction.inputs.map((input) => ({ ...input, scriptSig: none, witness: [] }));
  return { ...transaction, inputs };
}

function notSigned(): Error {
  return new Error("the node's wallet did not sign its own coin: is it locked?");
}
