/** `npm run bench`: how fast, how small; `--json` prints one object, `--quick` is for a look, `--crypto noble` for the slow provider. */
import { parseArgs } from "node:util";
import { type CryptoPreference, chooseCrypto } from "../../gateway/crypto/choose.ts";
import { takeFigures } from "./figures.ts";
import { FULL, QUICK } from "./measure.ts";
import { asJson, asTable } from "./report.ts";

const { values } = parseArgs({
  options: {
    json: { type: "boolean", default: false },
    quick: { type: "boolean", default: false },
    crypto: { type: "string", default: "auto" },
  },
});
const crypto = chooseCrypto(values.crypto as CryptoPreference);
const figures = await takeFigures(crypto, values.quick ? QUICK : FULL);
console.log(values.json ? JSON.stringify(asJson(figures)) : asTable(figures));
