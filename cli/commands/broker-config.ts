/** `picobolt broker-config`: writes what mosquitto needs to serve a gateway and its devices. */
import { resolve } from "node:path";
import { topicName } from "../../core/transport/mqtt-topics.ts";
import type { Command, Context, Options } from "../command.ts";
import { text } from "../command.ts";
import { EXIT, Failure } from "../failure.ts";

const USUAL_PORT = 8883;
const NODE_ID = /^0[23][0-9a-f]{64}$/;
const TOPIC_NAME = /^[0-9a-f]{16}$/;

export const brokerConfig: Command = {
  configure(parser) {
    parser
      .argument("<folder>", "where the files are written, or brought up to date")
      .option("--device <id...>", "node ids of devices that are let in")
      .option("--revoke <id...>", "node ids of devices that are let in no longer")
      .option("--host <name...>", "under which devices call the broker (default: localhost)")
      .option("--port <number>", `of the broker (default: ${USUAL_PORT})`)
      .option("--data-dir <folder>", "the gateway's (DATA_DIR)")
      .option("--config <file>", "the gateway's TOML file, where it has one")
      .option("--passphrase-file <file>", "holds the passphrase of the gateway's seed")
      .option("--key-file <file>", "opens the seed instead of a passphrase");
  },
  examples: [
    "picobolt broker-config /etc/mosquitto/picobolt --host broker.example --device 02ab… 03cd…",
    "picobolt broker-config /etc/mosquitto/picobolt --revoke 02ab…",
  ],
  run,
};

async function run(context: Context, args: readonly string[], options: Options): Promise<void> {
  const { out } = context;
  const port = Number(text(options, "port") ?? USUAL_PORT);
  if (!Number.isInteger(port) || port < 1 || port > 65_535) {
    throw new Failure("--port takes a number from 1 to 65535", EXIT.usage);
  }
  const add = topicNames(options.device);
  const revoke = topicNames(options.revoke);
  const { openSeed, seedPlace } = await import("../gateway/seed-access.ts");
  const { chooseCrypto } = await import("../../gateway/crypto/choose.ts");
  const { SeedSigner } = await import("../../core/keys/seed-signer.ts");
  const { writeBrokerConfig } = await import("../../gateway/fleet/broker-config.ts");
  const { secret } = await openSeed(context, seedPlace(options));
  const crypto = chooseCrypto();
  const { nodeId } = new SeedSigner(crypto, secret.seed(crypto));
  const made = writeBrokerConfig({
    folder: resolve(args[0] as string),
    gateway: topicName(Buffer.from(nodeId).toString("hex")),
    add,
    revoke,
    names: (options.host as readonly string[] | undefined) ?? ["localhost"],
    port,
    caSecret: secret.derive(crypto, "certificate authority"),
    nowMs: Date.now,
  });
  const unknown = revoke.filter((name) => !made.revoked.includes(name));
  for (const name of unknown) out.note(`${name} had no password here`);
  for (const name of made.added) {
    out.text(`${name}: picobolt settings set mqtt=@${made.devices.get(name)}`);
  }
  out.text(
    `devices: ${made.devices.size}, ${made.added.length} new, ${made.revoked.length} revoked`,
  );
  out.text(`broker:  mosquitto -c ${made.config}   (one that runs reads it anew on SIGHUP)`);
  out.text(`gateway: mqtt.url is in ${made.gatewayUrlFile}, mqtt.ca_file ${made.caFile}`);
  out.result({
    config: made.config,
    ca_file: made.caFile,
    gateway_url_file: made.gatewayUrlFile,
    devices: Object.fromEntries(made.devices),
    added: made.added,
    revoked: made.revoked,
  });
}

function topicNames(given: Options[string]): readonly string[] {
  const ids = Array.isArray(given) ? (given as readonly string[]) : [];
  return ids.map((id) => {
    if (NODE_ID.test(id)) return topicName(id);
    if (TOPIC_NAME.test(id)) return id;
    throw new Failure(
      `"${id}" is no node id: 66 hexadecimal digits; picobolt devices shows it`,
      EXIT.usage,
    );
  });
}
