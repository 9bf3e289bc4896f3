/** What a machine sells, and the price list that says so (docs/PROTOCOL.md "price_list"). */
import { DEVICE_MAX_MESSAGE_BYTES, encodeMessage } from "../../core/messages/codec.ts";
import type { MessageNamed } from "../../core/messages/message.ts";
import { utf8Length } from "../../core/messages/utf8.ts";
import type { MilliSatoshi } from "../../core/primitives/brands.ts";
import { assert } from "../../core/primitives/errors.ts";

export interface Product {
  readonly id: number;
  readonly name: string;
  readonly priceMsat: MilliSatoshi;
}

/** A reference begins with its product's number, so that a payment says what it buys. */
export const PRODUCT_BYTES = 2;
const MAX_PRODUCTS = 64;
const MAX_NAME = 48;
const MAX_MACHINE = 64;

/** Throws where a payer could not read it. */
export function priceListOf(
  machine: string,
  products: readonly Product[],
): MessageNamed<"price_list"> {
  assert(utf8Length(machine) <= MAX_MACHINE, `a machine's name has at most ${MAX_MACHINE} bytes`);
  assert(products.length <= MAX_PRODUCTS, `a machine sells at most ${MAX_PRODUCTS} products`);
  for (const { id, name, priceMsat } of products) {
    assert(id >= 0 && id <= 0xffff, `a product's number is 0 to 65535, not ${id}`);
    assert(utf8Length(name) <= MAX_NAME, `the name "${name}" has more than ${MAX_NAME} bytes`);
    assert(Number.isSafeInteger(priceMsat) && priceMsat > 0, `${name} must have a price`);
  }
  const list = { type: "price_list", machine, ready: true, products } as const;
  const { length } = encodeMessage(list);
  assert(length <= DEVICE_MAX_MESSAGE_BYTES, `a price list of ${length} bytes is too long`);
  return list;
}
