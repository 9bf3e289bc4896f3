/** `picobolt reboot`: starts a device anew. */
import { ownerCommand } from "../owner/owner-command.ts";

export const reboot = ownerCommand({
  examples: ["picobolt reboot", "picobolt reboot --link ble:coffee"],
  async run(device, { out }) {
    await device.reboot();
    out.text("the device starts anew");
    out.result({ ok: true });
  },
});
