/** `init` and what follows from both sides' (BOLT 1 "The init Message"). */
import type { Negotiated } from "../channel/context.ts";
import type { ChannelRecord } from "../channel/record.ts";
import { negotiate } from "../messages/features.ts";
import type { Message, MessageNamed } from "../messages/message.ts";
import type { Crypto } from "../ports/crypto.ts";
import type { ChannelId } from "../primitives/brands.ts";
import { equal, toHex } from "../primitives/bytes.ts";
import { demand } from "../primitives/errors.ts";
import { fundingOutput } from "../transactions/funding.ts";

/** Every node takes messages of this size. */
export const MIN_MAX_MESSAGE_BYTES = 4096;

interface Self {
  readonly features: Uint8Array;
  readonly chainHash: Uint8Array;
  readonly maxMessageBytes: number;
}

export function greeting({ features, chainHash, maxMessageBytes }: Self): Message {
  return { type: "init", features, chainHashes: [chainHash], maxMessageBytes };
}

export function negotiated(self: Self, message: MessageNamed<"init">): Negotiated {
  const common = message.chainHashes.some((hash) => equal(hash, self.chainHash));
  demand(common, "init.chain_hashes", "none of the peer's chains is ours");
  const fair = message.maxMessageBytes >= MIN_MAX_MESSAGE_BYTES;
  demand(fair, "init.max_message_bytes", `must be at least ${MIN_MAX_MESSAGE_BYTES}`);
  const features = negotiate(self.features, message.features);
  return {
    zeroReserve: features.has("zeroReserve"),
    anySegwitShutdown: features.has("shutdownAnysegwit"),
    simpleClose: features.has("simpleClose"),
    pushUpdates: features.has("pushUpdates"),
    ...(features.has("routingTable") && { routingTable: true }),
    ...(features.has("provideStorage") && { provideStorage: true }),
    channelTypes: [
      ...(features.has("zeroFeeCommitments") ? (["zero_fee_commitments"] as const) : []),
      ...(features.has("anchors") ? (["anchors"] as const) : []),
      "static_remotekey", // BOLT 9: assumed of every node
    ],
    localMaxMessageBytes: self.maxMessageBytes,
    remoteMaxMessageBytes: message.maxMessageBytes,
  };
}

/** The same was said. */
export function isAlike(one: Negotiated, other: Negotiated): boolean {
  const types = (of: Negotiated) => of.channelTypes.join();
  const names = Object.keys({ ...one, ...other }) as (keyof Negotiated)[];
  const differs = (name: keyof Negotiated) => name !== "channelTypes" && one[name] !== other[name];
  return types(one) === types(other) && !names.some(differs);
}

/** What holds while a peer is away. */
export function unconnected(maxMessageBytes: number): Negotiated {
  return {
    zeroReserve: false,
    anySegwitShutdown: false,
    simpleClose: false,
    pushUpdates: false,
    channelTypes: [],
    localMaxMessageBytes: maxMessageBytes,
    remoteMaxMessageBytes: MIN_MAX_MESSAGE_BYTES,
  };
}

/** The channel that a message speaks of, by its final or its temporary id. */
export function channelIdOfMessage(message: Message): ChannelId | undefined {
  if ("channelId" in message) return message.channelId;
  const opening = message.type === "accept_channel" || message.type === "funding_created";
  return opening ? message.temporaryChannelId : undefined;
}

export function fundingScriptOf(crypto: Crypto, { terms }: ChannelRecord): Uint8Array {
  const { local, remote, fundingSatoshis } = terms;
  const keys = [local.basepoints.fundingPubkey, remote.basepoints.fundingPubkey] as const;
  return fundingOutput(crypto, keys, fundingSatoshis).script;
}

/** Enough of an id for people. */
export function nameOf(id: Uint8Array): string {
  return toHex(id).slice(0, 16);
}
