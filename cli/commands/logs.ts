/** `picobolt logs`: what a device noted, newest last. */
import { ownerCommand } from "../owner/owner-command.ts";

export const logs = ownerCommand({
  streams: true,
  examples: ["picobolt logs", "picobolt logs --json | tail -1"],
  async run(device, { out }) {
    const lines = await device.logs();
    for (const line of lines) out.line(line, { line });
    out.result({ lines: lines.length });
  },
});
