/** `npm run bench`: how fast, how small; what it measures is in docs/PERFORMANCE.md. */
import { Command, InvalidArgumentError, Option } from "commander";
import { type CryptoPreference, chooseCrypto } from "../../gateway/crypto/choose.ts";
import { merged, PARTS, type PartBench, type PartName } from "./parts.ts";

const NAMES = Object.keys(PARTS) as PartName[];

interface Words {
  readonly json: boolean;
  readonly quick: boolean;
  readonly crypto: CryptoPreference;
  readonly only?: readonly PartName[];
}

const program = new Command("npm run bench --")
  .description("Measures speed and size beside a peer and a floor; asserts nothing.")
  .option("--only <parts>", `comma-separated: ${NAMES.join(", ")}`, parts)
  .option("--quick", "a look: fewer rounds, and without the parts that take a minute", false)
  .addOption(
    new Option("--crypto <provider>", "the provider of curve operations")
      .choices(["auto", "noble", "libsecp256k1"])
      .default("auto"),
  )
  .option("--json", "print one JSON object; the tables go to standard error", false)
  .allowExcessArguments(false)
  .parse();
const words = program.opts<Words>();
const crypto = chooseCrypto(words.crypto);
const taken: PartBench[] = [];
for (const name of NAMES) {
  const { inALook, take } = PARTS[name];
  if (words.only ? !words.only.includes(name) : words.quick && !inALook) continue;
  if (process.stderr.isTTY) process.stderr.write(`bench: ${name} ...\n`);
  const part = await take({ crypto, quick: words.quick });
  const table = taken.length > 0 ? `\n${part.table}` : part.table;
  // A bench takes minutes: who keeps the object sees the figures as they come.
  if (words.json) console.error(table);
  else console.log(table);
  taken.push(part);
}
if (words.json) console.log(JSON.stringify(merged(taken)));

function parts(text: string): readonly PartName[] {
  return text.split(",").map((word) => {
    const name = NAMES.find((one) => one === word);
    if (!name) throw new InvalidArgumentError(`There is no part "${word}" of the bench.`);
    return name;
  });
}
