/** `picobolt backup`: of a device its settings and channels in an encrypted file, for the day that it breaks; of a gateway which backups there are, and new ones. */
import { existsSync, writeFileSync } from "node:fs";
import type { PicoboltClient } from "../../client/client.ts";
import { type Command, type Context, type Options, text } from "../command.ts";
import { EXIT, Failure } from "../failure.ts";
import { withGateway } from "../gateway/gateway-client.ts";
import { targetOf, targetOptions } from "../target/target.ts";

export const backup: Command = {
  configure(parser) {
    parser
      .option("--out <file>", "where it goes; of a gateway its channels' backup")
      .option("--overwrite", "replace the file")
      .option("--now", "of a gateway: copy its store now");
    targetOptions(parser, ["gateway", "device"]);
  },
  examples: [
    "picobolt backup --out coffee.backup",
    "picobolt backup --gateway /var/lib/picobolt            # where, and how current",
    "picobolt backup --gateway /var/lib/picobolt --now",
    "picobolt backup --gateway /var/lib/picobolt --out channels.backup",
  ],
  async run(context, _, options) {
    const target = targetOf(options);
    const file = text(options, "out");
    if (file !== undefined && existsSync(file) && !options.overwrite) {
      const what = `${file} is there already; use another --out, or --overwrite`;
      throw new Failure(what, EXIT.refused);
    }
    if (target?.kind === "gateway") {
      return withGateway(target, options, (client) => ofGateway(client, context, options));
    }
    if (options.now) throw new Failure("--now is of a gateway: name it by --gateway", EXIT.usage);
    if (file === undefined) {
      const what = "say where a device's backup goes: --out <file>; or name a gateway: --gateway";
      throw new Failure(what, EXIT.usage);
    }
    await ofDevice(file, context, options);
  },
};

async function ofDevice(file: string, context: Context, options: Options): Promise<void> {
  const { out } = context;
  const { answered, openOwnedDevice } = await import("../owner/owned-device.ts");
  const device = await openOwnedDevice(context, options);
  const bytes = await answered(device.backup());
  writeFileSync(file, bytes, { mode: 0o600 });
  out.text(`${bytes.length} bytes in ${file}: make a new one after each new channel`);
  out.result({ file, bytes: bytes.length });
}

async function ofGateway(
  client: PicoboltClient,
  { out }: Context,
  options: Options,
): Promise<void> {
  const file = text(options, "out");
  if (options.now) {
    const made = await client.makeBackup();
    out.text(`${made.bytes} bytes in ${made.path}`);
    if (file === undefined) return out.result(made);
  }
  if (file !== undefined) {
    const { base64, created_at } = await client.call("downloadBackup", {});
    const bytes = Buffer.from(base64, "base64");
    writeFileSync(file, bytes, { mode: 0o600 });
    out.text(`${bytes.length} bytes in ${file}, as they were written at ${created_at}`);
    return out.result({ file, bytes: bytes.length, created_at });
  }
  const told = await client.getBackup();
  for (const line of linesOf(told)) out.text(line);
  out.result(told);
}

type Told = Awaited<ReturnType<PicoboltClient["getBackup"]>>;

function linesOf({ channels, store, peers, s3 }: Told): readonly string[] {
  const lines = [
    `channels  ${channels.count}, written ${channels.written_at ?? "never"}${stale(channels)}`,
    ...channels.paths.map((path) => `          ${path}`),
  ];
  if (store) {
    lines.push(`store     ${store.created_at ?? "never copied"}  ${store.path}`);
    if (store.failure !== null) lines.push(`          the last copy failed: ${store.failure}`);
    if (store.stream) {
      const { path, written_at, is_whole } = store.stream;
      const gap = is_whole ? "" : ", waits for a new copy";
      lines.push(`stream    ${written_at ?? "nothing yet"}${gap}  ${path}`);
    }
  } else lines.push("store     PostgreSQL: by its own means");
  for (const peer of peers) {
    lines.push(`peer      ${peer.node_id}  ${peer.given_at ?? "not yet"}${stale(peer)}`);
  }
  if (s3) {
    lines.push(`s3        ${s3.place}  ${s3.channels_at ?? "not yet"}${stale(s3)}`);
    if (s3.failure !== null) lines.push(`          ${s3.failure}`);
  }
  return lines;
}

function stale({ is_current }: { readonly is_current: boolean }): string {
  return is_current ? "" : ", NOT CURRENT";
}
