/** `picobolt channels`: the channels of a device, and what each side holds. */
import { ownerCommand } from "../owner/owner-command.ts";

export const channels = ownerCommand({
  examples: ["picobolt channels", "picobolt channels --json"],
  async run(device, { out }) {
    const all = await device.channels();
    for (const one of all) {
      const { phase, capacitySat, localMsat, remoteMsat } = one;
      const [id, peer] = [hex(one.id), hex(one.peer)];
      out.line(
        `${id}  ${phase}\n  with ${peer}\n  ${localMsat / 1000} sat here, ${remoteMsat / 1000} sat there, of ${capacitySat} sat`,
        { ...one, id, peer },
      );
    }
    if (all.length === 0) out.text("no channels");
    out.result({ channels: all.length });
  },
});

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
