/** What devices entrusted to be published, kept over restarts: a device that sleeps asks once, and hears of no restart. */
import { encodeCbor } from "../../core/messages/cbor.ts";
import { decodeMessage, encodeMessage, messageLimits } from "../../core/messages/codec.ts";
import type { MessageNamed } from "../../core/messages/message.ts";
import type { CborValue } from "../../core/messages/schema.ts";
import type { Store } from "../../core/ports/store.ts";
import type { PublicKey } from "../../core/primitives/brands.ts";
import { equal, toHex } from "../../core/primitives/bytes.ts";
import { demand } from "../../core/primitives/errors.ts";
import { readList } from "../store/stored-list.ts";

export type PublishRequest = MessageNamed<"chain_publish">;

/** As many as the publisher takes of one. */
const MAX_CLAIMS = 128;

export class EntrustedClaims {
  /** By device and by channel and claim, hexadecimal: the request as the device sent it. */
  private readonly devices = new Map<string, Map<string, Uint8Array>>();

  constructor(
    private readonly store: Store,
    private readonly onProblem: (text: string) => void,
  ) {}

  /** What it entrusted before this process served it; what is damaged of it the device asks for again. */
  async load(device: PublicKey): Promise<readonly PublishRequest[]> {
    const { items } = await readList(this.store, this.onProblem, {
      key: keyOf(device),
      what: `the list of claims that device ${toHex(device)} entrusted`,
      advice:
        "What of it cannot be read is not published until the device has connected and asks anew: wake it, before a deadline of its channels is over.",
      read: requestOf,
    });
    for (const { request, bytes } of items) {
      this.of(device).set(nameOf(request.channel, request.id), bytes);
    }
    return items.map(({ request }) => request);
  }

  /** Written where it is new, or another version of what is there; a device asks again at every block. */
  async keep(device: PublicKey, request: PublishRequest): Promise<void> {
    const claims = this.of(device);
    const name = nameOf(request.channel, request.id);
    const bytes = encodeMessage(request);
    const known = claims.get(name);
    if (known ? equal(known, bytes) : claims.size >= MAX_CLAIMS) return;
    claims.set(name, bytes);
    await this.save(device);
  }

  /** It is in a block, or was given up. */
  async over(device: PublicKey, channel: Uint8Array, id: string): Promise<void> {
    if (this.devices.get(toHex(device))?.delete(nameOf(channel, id))) await this.save(device);
  }

  /** Another process serves it. */
  drop(device: PublicKey): void {
    this.devices.delete(toHex(device));
  }

  private of(device: PublicKey): Map<string, Uint8Array> {
    const known = this.devices.get(toHex(device));
    if (known) return known;
    const claims = new Map<string, Uint8Array>();
    this.devices.set(toHex(device), claims);
    return claims;
  }

  private async save(device: PublicKey): Promise<void> {
    const claims = this.devices.get(toHex(device));
    await this.store.setValue(keyOf(device), encodeCbor([...(claims?.values() ?? [])]));
    if (claims?.size === 0) this.devices.delete(toHex(device));
  }
}

function requestOf(item: CborValue): { request: PublishRequest; bytes: Uint8Array } {
  demand(item instanceof Uint8Array, "claim", "is no message");
  const request = decodeMessage(item, messageLimits(item.length));
  demand(request.type === "chain_publish", "claim", "is no request to publish");
  return { request, bytes: item.slice() };
}

function keyOf(device: PublicKey): string {
  return `chain-service/claims/${toHex(device)}`;
}

function nameOf(channel: Uint8Array, id: string): string {
  return `${toHex(channel)}/${id}`;
}
