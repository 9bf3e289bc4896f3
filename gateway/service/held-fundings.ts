/** Signed funding transactions that wait for the peer's signature: kept over restarts, or their coins and their channel would be stranded. */
import { encodeCbor } from "../../core/messages/cbor.ts";
import type { CborValue } from "../../core/messages/schema.ts";
import type { Store } from "../../core/ports/store.ts";
import { type PublicKey, publicKey, type Txid, txid } from "../../core/primitives/brands.ts";
import { toHex } from "../../core/primitives/bytes.ts";
import { itemsOf, readList } from "../store/stored-list.ts";

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

export class HeldFundings {
  private readonly held = new Map<string, HeldFunding>();

  private constructor(private readonly store: Store) {}

  /** Those of devices that another process serves by now are its own. */
  static async load(
    store: Store,
    onProblem: (text: string) => void,
    serves: (device: PublicKey) => boolean = () => true,
  ): Promise<HeldFundings> {
    const fundings = new HeldFundings(store);
    const { items } = await readList(store, onProblem, {
      key: KEY,
      what: "the list of funding transactions that wait to be broadcast",
      advice:
        "What of it cannot be read is not broadcast, and its coins may stay locked in the wallet (bitcoin-cli lockunspent): a channel that never confirms because of it holds no money, close it and open another.",
      read: fundingOf,
    });
    for (const funding of items) {
      if (funding.device && !serves(funding.device)) continue;
      fundings.held.set(toHex(funding.txid), funding);
    }
    return fundings;
  }

  /** Those of another process's, as it stored them, that are ours from now on. */
  async takeOver(
    stored: Uint8Array | undefined,
    isOurs: (funding: HeldFunding) => boolean,
  ): Promise<void> {
    const { items } = stored ? itemsOf(stored, { read: fundingOf }) : { items: [] };
    const found = items.filter((one) => isOurs(one) && !this.get(one.txid));
    for (const funding of found) this.held.set(toHex(funding.txid), funding);
    if (found.length > 0) await this.save();
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

function fundingOf(item: CborValue): HeldFunding {
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
