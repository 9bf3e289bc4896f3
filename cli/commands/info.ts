/** `picobolt info`: how a device stands. */
import { fieldsOf } from "../owner/fields.ts";
import { ownerCommand } from "../owner/owner-command.ts";

export const info = ownerCommand({
  examples: ["picobolt info", "picobolt info --link ble:coffee --json"],
  async run(device, { out }) {
    const told = await device.info();
    for (const line of fieldsOf(told)) out.text(line);
    out.result(told);
  },
});
