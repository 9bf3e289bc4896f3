/** Price lists as people keep them: a CSV table (number,name,sat) or JSON; checked with the line that is wrong. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { extname } from "node:path";
import { milliSatoshi } from "../../core/primitives/brands.ts";
import { MAX_PRODUCTS } from "../../firmware/apps/price-list.ts";
import { checkProduct, type Product } from "../../firmware/apps/product.ts";
import type { PricedProduct } from "../../gateway/admin/longer-calls.ts";
import { EXIT, Failure, messageOf } from "../failure.ts";

const HEADER = "number,name,sat";
const MSAT_PER_SAT = 1000;

/** In rising order of their numbers. */
export function readPriceFile(path: string): readonly Product[] {
  if (!existsSync(path)) throw new Failure(`there is no price list at ${path}`, EXIT.refused);
  const text = readFileSync(path, "utf8").replace(/^\uFEFF/, "");
  const rows = extname(path) === ".json" ? jsonRows(path, text) : csvRows(path, text);
  const products = rows.map((row) => productOf(path, row));
  products.sort((a, b) => a.id - b.id);
  const twice = products.find(({ id }, index) => products[index + 1]?.id === id);
  if (twice) throw wrong(path, `the number ${twice.id} is there twice`);
  if (products.length === 0 || products.length > MAX_PRODUCTS) {
    throw wrong(path, `it has ${products.length} products, 1 to ${MAX_PRODUCTS} are allowed`);
  }
  return products;
}

export function writePriceFile(path: string, products: readonly PricedProduct[]): void {
  writeFileSync(path, extname(path) === ".json" ? toJson(products) : toCsv(products));
}

export function toCsv(products: readonly PricedProduct[]): string {
  const rows = products.map(({ id, name, priceMsat }) => {
    const quoted = /[",\n]/.test(name) ? `"${name.replaceAll('"', '""')}"` : name;
    return `${id},${quoted},${priceMsat / MSAT_PER_SAT}`;
  });
  return `${[HEADER, ...rows].join("\n")}\n`;
}

function toJson(products: readonly PricedProduct[]): string {
  const plain = products.map(({ id, name, priceMsat }) => ({
    number: id,
    name,
    sat: priceMsat / MSAT_PER_SAT,
  }));
  return `${JSON.stringify(plain, undefined, 2)}\n`;
}

interface Row {
  readonly where: string;
  readonly number: unknown;
  readonly name: unknown;
  readonly sat: unknown;
}

function jsonRows(path: string, text: string): readonly Row[] {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (cause) {
    throw wrong(path, messageOf(cause));
  }
  if (!Array.isArray(parsed)) throw wrong(path, "it must be a list of {number, name, sat}");
  return parsed.map((one: unknown, index) => {
    const { number, name, sat } = (one ?? {}) as Record<string, unknown>;
    return { where: `entry ${index + 1}`, number, name, sat };
  });
}

function csvRows(path: string, text: string): readonly Row[] {
  const rows: Row[] = [];
  text.split(/\r?\n/).forEach((line, index) => {
    const where = `line ${index + 1}`;
    if (!line.trim() || line.startsWith("#") || (index === 0 && /^number/i.test(line))) return;
    const cells = csvCells(line);
    if (cells.length !== 3) throw wrong(path, `${where} must be ${HEADER}`);
    const [number, name, sat] = cells as [string, string, string];
    rows.push({ where, number: Number(number), name, sat: Number(sat) });
  });
  return rows;
}

/** RFC 4180, on one line. */
function csvCells(line: string): readonly string[] {
  const cells = line.match(/("(?:[^"]|"")*"|[^,]*)(,|$)/g) ?? [];
  const texts = cells.map((cell) => cell.replace(/,$/, "").trim());
  if (!line.trimEnd().endsWith(",")) texts.pop(); // the empty match at the end
  return texts.map((cell) =>
    cell.startsWith('"') ? cell.slice(1, -1).replaceAll('""', '"') : cell,
  );
}

function productOf(path: string, { where, number, name, sat }: Row): Product {
  const priceMsat = Math.round(Number(sat) * MSAT_PER_SAT);
  const product = {
    id: number as number,
    name: name as string,
    priceMsat: milliSatoshi(Number.isSafeInteger(priceMsat) && priceMsat > 0 ? priceMsat : 0),
  };
  try {
    checkProduct(product);
    return product;
  } catch (cause) {
    throw wrong(path, `${where}: ${messageOf(cause)}`);
  }
}

function wrong(path: string, what: string): Failure {
  return new Failure(`the price list ${path} cannot be used: ${what}`, EXIT.refused);
}
