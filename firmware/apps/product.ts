/** What a machine sells, and how a product is kept in flash. */
import { decodeUtf8, encodeUtf8, utf8Length } from "../../core/messages/utf8.ts";
import { type MilliSatoshi, milliSatoshi } from "../../core/primitives/brands.ts";
import { ByteReader, ByteWriter } from "../../core/transactions/codec.ts";
import { ConfigError } from "./config.ts";

export interface Product {
  readonly id: number;
  readonly name: string;
  readonly priceMsat: MilliSatoshi;
}

/** A reference begins with its product's number, so that a payment says what it buys. */
export const PRODUCT_BYTES = 2;
const MAX_ID = 0xffff;
/** Bytes of UTF-8, as on the wire. */
const MAX_NAME = 48;
export const MAX_MACHINE = 64;
/** 0.1 bitcoin: what is dearer is a mistake. */
const MAX_PRICE_MSAT = 10_000_000_000;
const VERSION = 1;

/** The product that a reference of 16 bytes names. */
export function productOfReference(reference: Uint8Array): number {
  return ((reference[0] as number) << 8) | (reference[1] as number);
}

/** Throws a ConfigError where a payer could not read it. */
export function checkProduct({ id, name, priceMsat }: Product): void {
  const fair = Number.isInteger(id) && id >= 0 && id <= MAX_ID;
  if (!fair) throw new ConfigError(`a product's number must be 0 to ${MAX_ID}, not ${id}`);
  const length = typeof name === "string" ? utf8Length(name) : 0;
  if (length === 0 || length > MAX_NAME) {
    throw new ConfigError(`the name of product ${id} must have 1 to ${MAX_NAME} bytes`);
  }
  const priced = Number.isSafeInteger(priceMsat) && priceMsat > 0 && priceMsat <= MAX_PRICE_MSAT;
  if (!priced) {
    throw new ConfigError(`the price of ${name} must be 1 to ${MAX_PRICE_MSAT} millisatoshi`);
  }
}

export function encodeProducts(products: readonly Product[]): Uint8Array {
  const writer = new ByteWriter();
  writer.u8(VERSION);
  for (const { id, name, priceMsat } of products) {
    const text = new Uint8Array(utf8Length(name));
    encodeUtf8(name, text, 0);
    writer.varint(id);
    writer.prefixed(text);
    writer.varint(priceMsat);
  }
  return writer.bytes();
}

export function decodeProducts(bytes: Uint8Array): Product[] {
  const reader = new ByteReader(bytes);
  if (reader.u8() !== VERSION) {
    throw new ConfigError("the products were stored by a newer firmware");
  }
  const products: Product[] = [];
  while (reader.remaining > 0) {
    const id = reader.varint();
    const text = reader.prefixed();
    const name = decodeUtf8(text, 0, text.length);
    products.push({ id, name, priceMsat: milliSatoshi(reader.varint()) });
  }
  return products;
}
