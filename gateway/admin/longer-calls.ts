/** What takes many requests of administration, over whatever carries them: a price list in pages, an image in chunks (docs/ADMIN.md). */
import type { PlainObject, PlainValue } from "../../core/messages/admin-values.ts";
import { parseUpdate } from "../../core/messages/update-image.ts";

/** One request and its answer; throws AdminRefusal or AdminSilence (gateway/admin/client.ts). */
export type AdminCall = (
  method: string,
  params?: PlainObject,
  timeoutMs?: number,
) => Promise<PlainValue>;

/** One product of a price list. */
export interface PricedProduct {
  readonly id: number;
  readonly name: string;
  readonly priceMsat: number;
}

const PRODUCTS_PER_PAGE = 32;
/** Flash is erased meanwhile. */
const SLOW_MS = 60_000;

/** In rising order of their numbers; the list goes live all at once. Answers its version on the device. */
export async function sendPrices(
  call: AdminCall,
  products: readonly PricedProduct[],
  onProgress?: (done: number) => void,
): Promise<number> {
  await call("priceList.begin");
  for (let page = 0; page * PRODUCTS_PER_PAGE < products.length; page++) {
    const from = page * PRODUCTS_PER_PAGE;
    const some = products.slice(from, from + PRODUCTS_PER_PAGE);
    const rows = some.map(({ id, name, priceMsat }) => [id, name, priceMsat]);
    await call("priceList.put", { page, products: rows });
    onProgress?.(from + some.length);
  }
  const { version } = (await call("priceList.commit")) as { readonly version: number };
  return version;
}

/** Sends what the device lacks of an update file, and restarts it into the new image. */
export async function sendUpdate(
  call: AdminCall,
  file: Uint8Array,
  onProgress?: (done: number, total: number) => void,
): Promise<PlainObject> {
  const { manifest, signature, chunks, chunk } = parseUpdate(file);
  const begun = (await call("update.begin", { manifest, signature }, SLOW_MS)) as PlainObject;
  for (let index = begun.next as number; index < chunks; ) {
    const { next, bytes } = chunk(index);
    const answer = (await call("update.chunk", { index, next, bytes })) as PlainObject;
    index = answer.next as number;
    onProgress?.(index, chunks);
  }
  return (await call("update.finish", undefined, SLOW_MS)) as PlainObject;
}
