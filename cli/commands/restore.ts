/** `picobolt restore`: the settings of a backup onto another device; the gateway closes the broken one's channels, to the owner's payout key. */
import { existsSync, readFileSync } from "node:fs";
import type { PicoboltClient } from "../../client/client.ts";
import type { BackupChannel } from "../../gateway/admin/backup.ts";
import { type Context, type Options, text } from "../command.ts";
import { EXIT, Failure } from "../failure.ts";
import { withGateway } from "../gateway/gateway-client.ts";
import { ownerCommand } from "../owner/owner-command.ts";
import { targetIn } from "../target/target.ts";

export const restore = ownerCommand({
  configure(parser) {
    parser
      .option("--in <file>", "the backup")
      .option("--lost <node_id>", "the broken device, for the backup that it left at the gateway")
      .option("--gateway <url|folder>", "closes the broken device's channels, and has its backup")
      .option("--macaroon <file>", "of that gateway; default: admin.macaroon in its data folder")
      .option("--ca <file>", "PEM of its authority; default: ca.pem in its data folder");
  },
  examples: [
    "picobolt restore --in coffee.backup",
    "picobolt restore --lost 02ab… --gateway /var/lib/picobolt",
  ],
  prepare: (_, options) => {
    const file = text(options, "in");
    const lost = text(options, "lost");
    if ((file === undefined) === (lost === undefined)) {
      throw new Failure("say either --in <file> or --lost <node_id>", EXIT.usage);
    }
    if (lost !== undefined && text(options, "gateway") === undefined) {
      throw new Failure("--lost needs --gateway: who has its backup?", EXIT.usage);
    }
    if (file !== undefined && !existsSync(file)) {
      throw new Failure(`there is no backup at ${file}`, EXIT.refused);
    }
  },
  async run(device, context, _, options) {
    const { out } = context;
    const bytes = await backupOf(options);
    const { channels } = await device.restore(bytes);
    out.text("the settings are on the device");
    const closed = await closedBy(context, options, channels);
    for (const channel of channels) {
      const { peer, fundingTxid } = named(channel);
      const what = closed.has(fundingTxid)
        ? "that node closes it"
        : "ask that node to close it (picobolt channel close --force)";
      out.line(
        `the broken device had a channel of ${channel.capacitySat} sat with ${peer} (${fundingTxid}:${channel.fundingVout}): ${what}, it pays child ${channel.keyIndex} of your payout key`,
        { ...channel, peer, fundingTxid, closed: closed.has(fundingTxid) },
      );
    }
    out.result({ ok: true, channels: channels.length, closed: closed.size });
  },
});

async function backupOf(options: Options): Promise<Uint8Array> {
  const file = text(options, "in");
  if (file !== undefined) return new Uint8Array(readFileSync(file));
  let bytes = new Uint8Array(0);
  await atGateway(options, async (client) => {
    const node_id = text(options, "lost") ?? "";
    const { base64 } = await client.call("getDeviceBackup", { node_id });
    bytes = new Uint8Array(Buffer.from(base64, "base64"));
  });
  return bytes;
}

/** The gateway publishes its newest commitment: what the backup knows of balances does not matter. */
async function closedBy(
  { out }: Context,
  options: Options,
  channels: readonly BackupChannel[],
): Promise<ReadonlySet<string>> {
  const closed = new Set<string>();
  if (text(options, "gateway") === undefined) return closed;
  await atGateway(options, async (client) => {
    const { node_id } = await client.getNodeInfo();
    const open = await client.listChannels();
    for (const channel of channels) {
      const { peer, fundingTxid } = named(channel);
      const outpoint = `${fundingTxid}:${channel.fundingVout}`;
      const found = open.find((one) => `${one.funding_txid}:${one.funding_vout}` === outpoint);
      if (peer !== node_id || !found) {
        out.note(`that gateway has no channel ${outpoint}: it may be closed already`);
        continue;
      }
      await client.closeChannel(found.channel_id, { force: true });
      closed.add(fundingTxid);
    }
  });
  return closed;
}

function atGateway(
  options: Options,
  work: (client: PicoboltClient) => Promise<void>,
): Promise<void> {
  const target = targetIn(`gateway:${text(options, "gateway")}`);
  if (target.kind !== "gateway") throw new Failure("--gateway names a gateway", EXIT.usage);
  return withGateway(target, options, work);
}

function named({ peer, fundingTxid }: BackupChannel) {
  return { peer: hex(peer), fundingTxid: hex(fundingTxid.toReversed()) };
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
