/** Whether a channel that is announced is on chain: its output exists, is unspent, deep enough, and is the 2-of-2 of the announced keys. */
import type { ChannelAnnouncement } from "../../core/messages/routing-statement.ts";
import type { ChainSource } from "../../core/ports/chain.ts";
import type { Crypto } from "../../core/ports/crypto.ts";
import { type BlockHeight, satoshi } from "../../core/primitives/brands.ts";
import { equal } from "../../core/primitives/bytes.ts";
import { fundingOutput } from "../../core/transactions/funding.ts";

/** BOLT 7 asks for six, where whoever lies loses nothing; our own table follows reorganisations. */
export const ANNOUNCE_DEPTH = 3;

/** `too-early`: it may come to be true with the next blocks. */
export type Proof =
  | { readonly type: "proven" }
  | { readonly type: "too-early" }
  | { readonly type: "refused"; readonly reason: string };

export interface ChainCheckOptions {
  readonly crypto: Crypto;
  readonly source: Pick<ChainSource, "unspentOutput" | "transaction" | "genesisHash">;
  /** The node's, as far as it has worked on blocks. */
  height(): BlockHeight;
}

/** Rejects only where the chain cannot be asked. */
export async function proveChannel(
  { crypto, source, height }: ChainCheckOptions,
  body: ChannelAnnouncement,
): Promise<Proof> {
  const { txid, vout } = body;
  if (!equal(body.chainHash, source.genesisHash)) return refused("is of another chain");
  if (body.blockHeight + ANNOUNCE_DEPTH - 1 > height()) return { type: "too-early" };
  const output = await source.unspentOutput({ txid, vout });
  if (!output) return refused("has no unspent funding output");
  if (output.height !== body.blockHeight) return refused("names another block than its funding's");
  const { funding0, funding1 } = body;
  const expected = fundingOutput(crypto, [funding0, funding1], satoshi(body.capacity));
  if (!equal(output.script, expected.script)) return refused("is not funded by the keys it names");
  if (output.amount !== expected.amount) return refused("has another capacity than it says");
  const found = await source.transaction(txid, output.height);
  if (found?.index !== body.blockIndex) return refused("names another place in its block");
  return { type: "proven" };
}

function refused(reason: string): Proof {
  return { type: "refused", reason };
}
