/** `picobolt verify-update`: checks an update file as a device does. */
import { existsSync, readFileSync } from "node:fs";
import type { Command } from "../command.ts";
import { text } from "../command.ts";
import { EXIT, Failure, messageOf } from "../failure.ts";

export const verifyUpdate: Command = {
  configure(parser) {
    parser
      .argument("<file>", "what picobolt sign-update made")
      .option("--release-key <hex>", "whose signature it must have; else it is not checked");
  },
  examples: ["picobolt verify-update esp32c3-0.3.0.update --release-key 02a7…"],
  async run({ out }, [file = ""], options) {
    if (!existsSync(file)) throw new Failure(`there is no file ${file}`, EXIT.refused);
    const { manifestOf, updateProblem } = await import("../owner/update-file.ts");
    const { chooseCrypto } = await import("../../gateway/crypto/choose.ts");
    const bytes = new Uint8Array(readFileSync(file));
    const key = text(options, "releaseKey");
    const releaseKey = key === undefined ? undefined : new Uint8Array(Buffer.from(key, "hex"));
    let problem: string | undefined;
    try {
      problem = updateProblem(chooseCrypto(), bytes, releaseKey);
    } catch (cause) {
      problem = messageOf(cause);
    }
    if (problem) throw new Failure(`${file} must not be used: ${problem}`, EXIT.refused);
    const { model, version, number, byteLength } = manifestOf(bytes);
    const signed = releaseKey ? "signed by that key" : "whole; its signature was not checked";
    out.text(`${file}: ${model} ${version} (number ${number}), ${byteLength} bytes, ${signed}`);
    out.result({ ok: true, model, version, number, bytes: byteLength, signed: !!releaseKey });
  },
};
