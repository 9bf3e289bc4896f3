/** `picobolt close`: ends channels, so that their money goes to the owner's payout key on chain. */
import { EXIT, Failure } from "../failure.ts";
import { ownerCommand } from "../owner/owner-command.ts";

export const close = ownerCommand({
  configure(parser) {
    parser
      .argument("<channel>", 'its id or the beginning of it, or "all"')
      .option("--force", "alone, where the peer does not answer: its money is bound for days");
  },
  examples: ["picobolt close all", "picobolt close 7f3a --force"],
  async run(device, { out }, [wanted = ""], options) {
    const all = (await device.channels()).map(({ id }) => ({
      id: Buffer.from(id).toString("hex"),
      bytes: id,
    }));
    const chosen = all.filter(({ id }) => wanted === "all" || id.startsWith(wanted));
    if (chosen.length === 0) {
      const has = all.map(({ id }) => id.slice(0, 8)).join(", ") || "none";
      throw new Failure(`the device has no channel ${wanted}; it has ${has}`, EXIT.refused);
    }
    if (chosen.length > 1 && wanted !== "all") {
      throw new Failure(
        `${chosen.length} channels begin with ${wanted}; give more of the id`,
        EXIT.usage,
      );
    }
    for (const { id, bytes } of chosen) {
      await device.closeChannel(bytes, options.force === true);
      out.line(`${id} is closing`, { channel: id, closing: true, force: options.force === true });
    }
    out.result({ closing: chosen.length });
  },
});
