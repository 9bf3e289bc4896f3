/** Methods of the price list: read and replaced in pages, live all at once (docs/ADMIN.md "Methods"). */

import type { CborValue } from "../../core/messages/schema.ts";
import { PRODUCTS_PER_PAGE } from "../../core/messages/service.ts";
import type { MilliSatoshi } from "../../core/primitives/brands.ts";
import { ConfigError } from "../apps/config.ts";
import { MAX_PRODUCTS } from "../apps/price-list.ts";
import type { Product } from "../apps/product.ts";
import type { Method } from "./admin-server.ts";
import type { Administered } from "./administered.ts";
import { AdminError } from "./params.ts";

const PAGES = { min: 0, max: Math.ceil(MAX_PRODUCTS / PRODUCTS_PER_PAGE) };

export function priceMethods(of: Administered): readonly (readonly [string, Method])[] {
  const { prices, log } = of;
  return [
    [
      "priceList.get",
      {
        run: async ({ params }) => {
          const page = params.has("page") ? params.integer("page", PAGES) : 0;
          params.end();
          const products = await prices.page(page);
          const rows = products.map(({ id, name, priceMsat }) => [id, name, priceMsat]);
          const { version, total, pages } = prices;
          return { version, total, pages, page, products: rows };
        },
      },
    ],
    [
      "priceList.begin",
      {
        run: ({ params }) => {
          params.end();
          prices.begin();
          return { page: 0 };
        },
      },
    ],
    [
      "priceList.put",
      {
        run: async ({ params }) => {
          const page = params.integer("page", PAGES);
          const products = params.list("products", PRODUCTS_PER_PAGE).map(productOf);
          params.end();
          await fair(() => prices.put(page, products));
          return { page: page + 1 };
        },
      },
    ],
    [
      "priceList.commit",
      {
        run: async ({ params }) => {
          params.end();
          const wasEmpty = prices.total === 0;
          const version = await fair(() => prices.commit());
          // Without a list the app sells what its own settings name: which of the two, it learns at its start.
          if (wasEmpty !== (prices.total === 0)) of.renewNodeSoon();
          log.add(`another price list: ${prices.total} products`);
          return { version, total: prices.total };
        },
      },
    ],
  ];
}

function productOf(value: CborValue, index: number): Product {
  const row = Array.isArray(value) && value.length === 3 ? (value as CborValue[]) : [];
  const [id, name, priceMsat] = row;
  const isRow = typeof id === "number" && typeof name === "string" && typeof priceMsat === "number";
  if (!isRow) {
    throw new AdminError("params", `products[${index}] must be [number, name, price in msat]`);
  }
  return { id, name, priceMsat: priceMsat as MilliSatoshi };
}

async function fair<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    if (cause instanceof ConfigError) throw new AdminError("prices", cause.message);
    throw cause;
  }
}
