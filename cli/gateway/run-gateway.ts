/** Runs a gateway in the foreground until it is asked to stop. */
import type { Crypto } from "../../core/ports/crypto.ts";
import { ConfigError, loadConfig } from "../../gateway/run/config.ts";
import { openLog } from "../../gateway/run/log.ts";
import { GatewayService } from "../../gateway/run/service.ts";
import { type Config, SETTINGS, type SettingName } from "../../gateway/run/settings.ts";
import { SecretError } from "../../gateway/secrets/secret-error.ts";
import { openLink } from "../../host-sim/links/open-link.ts";
import type { Context } from "../command.ts";
import { EXIT, Failure, messageOf } from "../failure.ts";
import { typedWord } from "../prompt.ts";
import { versionOf } from "../version.ts";

interface Words {
  readonly file: string | undefined;
  /** `name=value` */
  readonly set: readonly string[];
  readonly words: Readonly<Partial<Record<SettingName, string | undefined>>>;
}

const SIM_BLOCK_MS = 10_000;

export async function runGateway(context: Context, words: Words): Promise<void> {
  const { out, signal } = context;
  const config = configOf(words);
  const log = openLog(config);
  const ask = process.stdin.isTTY ? typedWord : undefined;
  const service = await GatewayService.start({
    config,
    env: process.env,
    log,
    version: versionOf(),
    openSimChain,
    openSerial: (path) => openLink(`serial:${path}`),
    ...(ask && { ask }),
  }).catch((cause: unknown) => {
    if (cause instanceof Failure) throw cause;
    // What no second start would mend: a service manager leaves it alone.
    const isForPerson = cause instanceof SecretError && cause.code !== "io";
    throw new Failure(messageOf(cause), isForPerson ? EXIT.usage : EXIT.refused);
  });
  // Programs that this one starts have no business with it.
  delete process.env.PICOBOLT_PASSPHRASE;
  context.atEnd(async () => {
    out.note("stopping: links close, records are durable");
    await service.stop();
  });
  context.stopsByRequest();
  tell(context, service);
  const asked = new Promise<undefined>((done) =>
    signal.addEventListener("abort", () => done(undefined), { once: true }),
  );
  const reason = await Promise.race([asked, service.mustEnd]);
  if (reason !== undefined) throw new Failure(`${reason}; start it again`, EXIT.failed);
}

function configOf({ file, set, words }: Words): Config {
  const given: Partial<Record<SettingName, string>> = {};
  for (const [name, value] of Object.entries(words)) {
    if (value !== undefined) given[name as SettingName] = value;
  }
  for (const pair of set) {
    const [name, ...value] = pair.split("=") as [string, ...string[]];
    if (!Object.hasOwn(SETTINGS, name) || value.length === 0) {
      throw new Failure(
        `--set ${pair}: picobolt gateway --print-config lists the settings; say name=value`,
        EXIT.usage,
      );
    }
    given[name as SettingName] = value.join("=");
  }
  try {
    return loadConfig({ ...(file !== undefined && { file }), env: process.env, words: given });
  } catch (cause) {
    if (!(cause instanceof ConfigError)) throw cause;
    throw new Failure(cause.problems.join("\npicobolt: "), EXIT.usage);
  }
}

/** Blocks as a chain has them, and a wallet that is full. */
async function openSimChain(crypto: Crypto) {
  const lab = (await simChainModule()).startSimLab(crypto);
  const timer = setInterval(() => void lab.mine(1), SIM_BLOCK_MS);
  return {
    source: await lab.source(),
    wallet: await lab.wallet("gateway"),
    close: async () => clearInterval(timer),
  };
}

/** It checks scripts by a package that only installations for development have. */
async function simChainModule() {
  try {
    return await import("../../host-sim/chain/sim-lab.ts");
  } catch (cause) {
    throw new Failure(
      "no bitcoind was found, and the simulated chain is not part of this installation: say where " +
        "bitcoind is (BITCOIND_URL, NETWORK)",
      EXIT.usage,
      { cause },
    );
  }
}

function tell({ out }: Context, service: GatewayService): void {
  const { chain, peers, brokerUrl = "", nodeId, dataDir, options } = service;
  const { config } = options;
  if (chain.isPlayMoney) {
    out.text(`*** PLAY MONEY: ${chain.source.name}. Its coins are worth nothing. ***`);
  }
  if (chain.network === "sim") {
    out.text("    The simulated chain begins anew with each start, and so do the channels.");
  }
  const p2p = `${config["p2p.host"]}:${peers?.port}`;
  for (const path of service.api?.newMacaroons ?? []) out.text(`a macaroon was written: ${path}`);
  const ca = service.api?.tls?.authority?.path;
  const lines = [
    ["node", nodeId],
    ["api", service.api?.url ?? ""],
    ...(ca === undefined ? [] : [["ca", ca]]),
    ["chain", chain.source.name],
    ["data", dataDir.path],
    ["peers", `${nodeId}@${p2p}`],
    ["devices", `${brokerUrl}/${nodeId}`],
  ];
  for (const [name, value] of lines) out.text(`${`${name}:`.padEnd(9)}${value}`);
  out.text("ready; Ctrl-C stops it");
  out.result({
    event: "ready",
    node_id: nodeId,
    chain: chain.source.name,
    network: chain.network,
    api: service.api?.url ?? null,
    ca: ca ?? null,
    macaroons: service.api?.newMacaroons ?? [],
    play_money: chain.isPlayMoney,
    data_dir: dataDir.path,
    p2p,
    mqtt: brokerUrl,
  });
}
