/** Signed funding transactions that wait for the peer's signature: kept over restarts, or their coins and their channel would be stranded. */
import { decodeCbor, encodeCbor } from "../../core/messages/cbor.ts";
import type { CborValue } from "../../core/messages/schema.ts";
import type { Store } from "../../core/ports/store.ts";
import { type PublicKey, publicKey, type Txid, txid } from "../../core/primitives/brands.ts";
import { toHex } from "../../core/primitives/bytes.ts";

export interface HeldFunding {
  readonly txid: Txid;
  readonly vout: number;
  readonly raw: Uint8Array;
  readonly amountSatoshis: number;
  /** Whose channel it funds: a device's, or the gateway's own. */
  readonly device: PublicKey | undefined;
  readonly temporaryChannelId: Uint8Array;
  /** Tip when it was made. */
  readonly sinceHeight: number;
  /** The peer has signed: it is to be broadcast. */
  readonly released: boolean;
}

const KEY = "held-fundings";
const LIMITS = { maxDepth: 3, maxItems: 100_000 };

export class HeldFundings {
  private readonly held = new Map<string, HeldFunding>();

  private constructor(private readonly store: Store) {}

  static async load(store: Store): Promise<HeldFundings> {
    const fundings = new HeldFundings(store);
    const stored = await store.getValue(KEY);
    const limits = { ...LIMITS, maxBytes: stored?.length ?? 0 };
    for (const item of stored ? (decodeCbor(stored, limits) as readonly CborValue[]) : []) {
      const funding = decoded(item as readonly CborValue[]);
      fundings.held.set(toHex(funding.txid), funding);
    }
    return fundings;
  }

  all(): readonly HeldFunding[] {
    return [...this.held.values()];
  }

  get(id: Uint8Array): HeldFunding | undefined {
    return this.held.get(toHex(id));
  }

  /** Durable when it resolves; also replaces. */
  async put(funding: HeldFunding): Promise<void> {
    this.held.set(toHex(funding.txid), funding);
    await this.save();
  }

  async remove(id: Uint8Array): Promise<void> {
    if (this.held.delete(toHex(id))) await this.save();
  }

  private async save(): Promise<void> {
    await this.store.setValue(KEY, encodeCbor(this.all().map(encoded)));
  }
}

function encoded(funding: HeldFunding): CborValue {
  return [
    funding.txid,
    funding.vout,
    funding.raw,
    funding.amountSatoshis,
    funding.device ?? null,
    funding.temporaryChannelId,
    funding.sinceHeight,
    funding.released,
  ];
}

function decoded(item: readonly CborValue[]): HeldFunding {
  const [id, vout, raw, amountSatoshis, device, temporary, sinceHeight, released] = item as [
    Uint8Array,
    number,
    Uint8Array,
    number,
    Uint8Array | null,
    Uint8Array,
    number,
    boolean,
  ];
  return {
    txid: txid(id.slice()),
    vout,
    raw: raw.slice(),
    amountSatoshis,
    device: device ? publicKey(device.slice()) : undefined,
    temporaryChannelId: temporary.slice(),
    sinceHeight,
    released,
  };
}
