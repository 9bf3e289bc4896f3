/** `picobolt backup`: a device's settings and channels in an encrypted file, for the day that it breaks. */
import { existsSync, writeFileSync } from "node:fs";
import { text } from "../command.ts";
import { EXIT, Failure } from "../failure.ts";
import { ownerCommand } from "../owner/owner-command.ts";

export const backup = ownerCommand({
  configure(parser) {
    parser
      .requiredOption("--out <file>", "where it goes; only its owner's key opens it")
      .option("--overwrite", "replace the file");
  },
  examples: ["picobolt backup --out coffee.backup"],
  prepare: (_, options) => {
    const file = text(options, "out") ?? "";
    if (!existsSync(file) || options.overwrite) return;
    throw new Failure(`${file} is there already; use another --out, or --overwrite`, EXIT.refused);
  },
  async run(device, { out }, _, options) {
    const file = text(options, "out") ?? "";
    const bytes = await device.backup();
    writeFileSync(file, bytes, { mode: 0o600 });
    out.text(`${bytes.length} bytes in ${file}: make a new one after each new channel`);
    out.result({ file, bytes: bytes.length });
  },
});
