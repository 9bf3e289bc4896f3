/** `picobolt wifi`: the network that a device joins. */
import { text } from "../command.ts";
import { EXIT, Failure } from "../failure.ts";
import { ownerCommand } from "../owner/owner-command.ts";
import { typedWord } from "../prompt.ts";

export const wifi = ownerCommand({
  configure(parser) {
    parser
      .requiredOption("--ssid <name>", "the network's name")
      .option("--open", "it has no password; else the password is asked for");
  },
  examples: ["picobolt wifi --ssid workshop", "picobolt wifi --ssid guests --open"],
  async run(device, { out }, _, options) {
    const ssid = text(options, "ssid") ?? "";
    const password = options.open ? "" : await typedWord(`password of ${ssid}: `);
    if (!options.open && !password) throw new Failure("no password was typed", EXIT.usage);
    await device.setSettings({ wifi: { ssid, password } });
    out.text(`the device joins ${ssid}`);
    out.result({ ok: true, ssid });
  },
});
