/** Signed statements of made-up channels, and a chain that has their funding outputs. */
import { announcementHash } from "../../../core/keys/announcement.ts";
import { SeedSigner } from "../../../core/keys/seed-signer.ts";
import {
  type ChannelAnnouncement,
  type ChannelUpdate,
  encodeStatement,
  outpointKey,
  type RoutingStatement,
  signedBytes,
} from "../../../core/messages/routing-statement.ts";
import type { ConfirmedTransaction, Outpoint, UnspentOutput } from "../../../core/ports/chain.ts";
import {
  blockHeight,
  milliSatoshi,
  type PublicKey,
  type Signature,
  satoshi,
  txid,
} from "../../../core/primitives/brands.ts";
import { ascii, compare } from "../../../core/primitives/bytes.ts";
import { fundingOutput } from "../../../core/transactions/funding.ts";
import type { ChainCheckOptions } from "../../../gateway/routing/chain-check.ts";
import { crypto } from "../../support/node-pair.ts";

export const CHAIN = crypto.sha256(ascii("chain"));
export const TIP = 200;
export const NOW = 1_800_000_000;

export function signerOf(name: string): SeedSigner {
  return new SeedSigner(crypto, crypto.sha256(ascii(name)));
}

export interface Made {
  readonly body: ChannelAnnouncement;
  /** In the order of the announcement. */
  readonly ends: readonly [SeedSigner, SeedSigner];
  readonly keyIndex: number;
}

/** What both ends of a channel would announce. */
export function channel(a: string, b: string, number: number, capacity = 1_000_000): Made {
  const pair = [signerOf(a), signerOf(b)].sort((x, y) => compare(x.nodeId, y.nodeId));
  const ends = pair as unknown as readonly [SeedSigner, SeedSigner];
  const fundingOf = (end: SeedSigner) => end.channel(number).basepoints.fundingPubkey;
  const body: ChannelAnnouncement = {
    chainHash: CHAIN,
    txid: txid(crypto.sha256(ascii(`funding ${number}`))),
    vout: number % 3,
    blockHeight: 100 + number,
    blockIndex: number,
    capacity: satoshi(capacity),
    node0: ends[0].nodeId,
    node1: ends[1].nodeId,
    funding0: fundingOf(ends[0]),
    funding1: fundingOf(ends[1]),
  };
  return { body, ends, keyIndex: number };
}

export function announcement(
  { body, ends, keyIndex }: Made,
  forge: (signatures: readonly Signature[]) => readonly Signature[] = (all) => all,
): Uint8Array {
  const signed = signedBytes({ type: "announcement", body });
  const hash = announcementHash(crypto, signed);
  const signatures = [
    ...ends.map((end) => end.sign(hash)),
    ...ends.map((end) => end.channel(keyIndex).signAnnouncement(signed)),
  ];
  return encodeStatement({ type: "announcement", body, signatures: forge(signatures) });
}

export function update(
  { body, ends }: Made,
  side: 0 | 1,
  change: Partial<ChannelUpdate> = {},
  signer: SeedSigner = ends[side],
): Uint8Array {
  const updated: ChannelUpdate = {
    txid: body.txid,
    vout: body.vout,
    side,
    sequence: NOW,
    enabled: true,
    feeBaseMsat: 1_000,
    feeProportionalMillionths: 100,
    cltvExpiryDelta: 40,
    htlcMinimumMsat: milliSatoshi(1),
    htlcMaximumMsat: milliSatoshi(body.capacity * 1_000),
    ...change,
  };
  return signed({ type: "update", body: updated }, signer);
}

export function close({ body, ends }: Made, side: 0 | 1, signer: SeedSigner = ends[side]) {
  const { txid, vout } = body;
  return signed({ type: "close", body: { txid, vout, side } }, signer);
}

type Unsigned<T> = T extends { readonly signature: Signature } ? Omit<T, "signature"> : never;

function signed(statement: Unsigned<RoutingStatement>, signer: SeedSigner): Uint8Array {
  const signature = signer.sign(announcementHash(crypto, signedBytes(statement)));
  return encodeStatement({ ...statement, signature } as RoutingStatement);
}

/** Has the funding outputs that are put on it. */
export class FakeChain {
  height = TIP;
  asked = 0;
  private readonly outputs = new Map<string, UnspentOutput & { readonly index: number }>();

  fund({ body }: Made, change: Partial<UnspentOutput & { index: number }> = {}): void {
    const { funding0, funding1, capacity } = body;
    const output = fundingOutput(crypto, [funding0, funding1], satoshi(capacity));
    const place = { height: blockHeight(body.blockHeight), index: body.blockIndex };
    this.outputs.set(outpointKey(body), { ...output, ...place, ...change });
  }

  spend({ body }: Made): void {
    this.outputs.delete(outpointKey(body));
  }

  get proving(): ChainCheckOptions {
    return {
      crypto,
      height: () => blockHeight(this.height),
      source: {
        genesisHash: CHAIN,
        unspentOutput: async (outpoint: Outpoint) => {
          this.asked++;
          return this.outputs.get(outpointKey(outpoint));
        },
        transaction: async (id) => {
          const found = [0, 1, 2].flatMap(
            (vout) => this.outputs.get(outpointKey({ txid: id, vout })) ?? [],
          );
          return found[0] as unknown as ConfirmedTransaction | undefined;
        },
      },
    };
  }
}

export const peerId = (name: string): PublicKey => signerOf(name).nodeId;
