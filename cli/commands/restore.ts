/** `picobolt restore`: the settings of a backup onto another device, and where the money of the broken one is. */
import { existsSync, readFileSync } from "node:fs";
import { text } from "../command.ts";
import { EXIT, Failure } from "../failure.ts";
import { ownerCommand } from "../owner/owner-command.ts";

export const restore = ownerCommand({
  configure(parser) {
    parser.requiredOption("--in <file>", "the backup");
  },
  examples: ["picobolt restore --in coffee.backup"],
  prepare: (_, options) => {
    const file = text(options, "in") ?? "";
    if (!existsSync(file)) throw new Failure(`there is no backup at ${file}`, EXIT.refused);
  },
  async run(device, { out }, _, options) {
    const bytes = new Uint8Array(readFileSync(text(options, "in") ?? ""));
    const { channels } = await device.restore(bytes);
    out.text("the settings are on the device");
    for (const channel of channels) {
      const [peer, txid] = [hex(channel.peer), hex(channel.fundingTxid.toReversed())];
      out.line(
        `the broken device had a channel of ${channel.capacitySat} sat with ${peer} (${txid}:${channel.fundingVout}): ask that node to close it, it pays child ${channel.keyIndex} of your payout key`,
        { ...channel, peer, fundingTxid: txid },
      );
    }
    out.result({ ok: true, channels: channels.length });
  },
});

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
