/** `picobolt update`: a signed image over the link; it goes on where it was interrupted, and the old one stays until the new one has proved itself. */
import { existsSync, readFileSync } from "node:fs";
import { text } from "../command.ts";
import { EXIT, Failure } from "../failure.ts";
import { ownerCommand } from "../owner/owner-command.ts";

export const update = ownerCommand({
  configure(parser) {
    parser.requiredOption("--image <file>", "what picobolt sign-update made");
  },
  examples: ["picobolt update --image picobolt-0.3.0.update --link ble:coffee"],
  prepare: (_, options) => {
    const file = text(options, "image") ?? "";
    if (!existsSync(file)) throw new Failure(`there is no image at ${file}`, EXIT.refused);
  },
  async run(device, { out }, _, options) {
    const image = new Uint8Array(readFileSync(text(options, "image") ?? ""));
    await device.update(image, (done, total) => out.progress("sending", done, total));
    out.text("sent and checked: the device restarts into it, and goes back if it does not work");
    out.result({ ok: true, bytes: image.length });
  },
});
