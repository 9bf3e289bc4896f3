/** `picobolt price-list get|set`: what a machine sells, as a CSV or JSON file. */
import { PRODUCTS_PER_PAGE } from "../../core/messages/service.ts";
import { argumentOneOf } from "../command.ts";
import { EXIT, Failure } from "../failure.ts";
import { ownerCommand } from "../owner/owner-command.ts";
import { readPriceFile, toCsv, writePriceFile } from "../owner/price-file.ts";

export const priceList = ownerCommand({
  streams: true,
  configure(parser) {
    parser
      .addArgument(argumentOneOf("<action>", "what is done", ["get", "set"]))
      .argument("[file]", "prices.csv (number,name,sat) or prices.json");
  },
  examples: [
    "picobolt price-list get                  # to the terminal",
    "picobolt price-list get prices.csv",
    "picobolt price-list set prices.csv",
  ],
  prepare: ([action, file]) => {
    if (action === "get") return;
    if (action !== "set") {
      throw new Failure(`a price list is get or set, not "${action}"`, EXIT.usage);
    }
    if (!file) throw new Failure("name the file: picobolt price-list set <file>", EXIT.usage);
    readPriceFile(file);
  },
  async run(device, { out }, [action, file]) {
    if (action === "set" && file) {
      const products = readPriceFile(file);
      await device.setPrices(products, (done) => out.progress("sending", done, products.length));
      out.text(`${products.length} products are on sale`);
      out.result({ ok: true, products: products.length });
      return;
    }
    const products = await device.prices();
    if (file) writePriceFile(file, products);
    if (out.isJson) for (const product of products) out.line("", product);
    else out.text(file ? `${products.length} products are in ${file}` : toCsv(products).trimEnd());
    out.result({
      products: products.length,
      pages: Math.ceil(products.length / PRODUCTS_PER_PAGE),
    });
  },
});
