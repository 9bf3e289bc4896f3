/** `npm run bench`: how fast, how small; `--json` prints one object, `--quick` is for a look, `--crypto noble` for the slow provider. */
import { parseArgs } from "node:util";
import { type CryptoPreference, chooseCrypto } from "../../gateway/crypto/choose.ts";
import { takeBleFigures } from "./ble-figures.ts";
import { takeFigures } from "./figures.ts";
import { takeMcuFigures } from "./mcu.ts";
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
/** A look does without the microcontroller, which takes a minute. */
const mcu = values.quick ? undefined : await takeMcuFigures();
const figures = await takeFigures(crypto, values.quick ? QUICK : FULL);
const ble = await takeBleFigures();
if (values.json) {
  const device = mcu && { mcu: mcu.json };
  console.log(JSON.stringify({ ...asJson(figures), ble: ble.json, ...device }));
} else {
  console.log([asTable(figures), "", ble.table, ...(mcu ? ["", mcu.table] : [])].join("\n"));
}
