/** Everything that `picobolt doctor` looks at, in the order in which things depend on each other. */
import { join } from "node:path";
import type { Crypto } from "../../core/ports/crypto.ts";
import { secondSource } from "../chain/second-source.ts";
import { chooseCrypto } from "../crypto/choose.ts";
import { bitcoindOf, type WantedBitcoind } from "../run/chain.ts";
import { ConfigError, type ConfigSources, loadConfig } from "../run/config.ts";
import { runningOn } from "../run/data-dir.ts";
import type { Config } from "../run/settings.ts";
import { fileText } from "../secrets/unlock.ts";
import { bitcoindChecks } from "./bitcoind-checks.ts";
import { type Check, failed, messageOf, ok } from "./check.ts";
import { type DiskSpace, diskOf } from "./disk.ts";
import {
  certificateCheck,
  cryptoCheck,
  dataDirCheck,
  diskCheck,
  nodeCheck,
  seedCheck,
} from "./local-checks.ts";
import { brokerCheck, gatewayCheck, portsCheck } from "./network-checks.ts";
import { storeCheck } from "./store-check.ts";

export interface ChecksOptions {
  readonly sources: ConfigSources;
  readonly nowMs: () => number;
  /** The machine, for those who want another one. */
  readonly nodeVersion?: string;
  readonly uid?: number;
  diskOf?(folder: string): DiskSpace;
  chooseCrypto?(): Pick<Crypto, "name">;
}

/** Nothing is looked at before a check runs, but the configuration. */
export function checksOf(options: ChecksOptions): readonly Check[] {
  const { sources, nodeVersion = process.versions.node } = options;
  const machine = [nodeCheck(nodeVersion), cryptoCheck(options.chooseCrypto ?? chooseCrypto)];
  try {
    const config = loadConfig(sources);
    return [configurationIsFine(sources), ...machine, ...gatewayChecks(config, options)];
  } catch (cause) {
    if (!(cause instanceof ConfigError)) throw cause;
    return [{ name: "configuration", run: () => configurationFailed(cause) }, ...machine];
  }
}

function configurationIsFine({ file }: ConfigSources): Check {
  const where = file === undefined ? "no file; variables and defaults" : file;
  return { name: "configuration", run: () => ok(`${where}: nothing wrong with it`) };
}

function configurationFailed({ problems }: ConfigError) {
  const advice =
    "correct it (picobolt gateway --print-config shows every setting), then look again";
  return failed(problems.join("; "), advice);
}

function gatewayChecks(config: Config, options: ChecksOptions): readonly Check[] {
  const { nowMs } = options;
  const folder = config.data_dir;
  const wanted = bitcoindOf(config);
  const holder = holderOf(folder);
  const place = config.database_url ?? join(folder, `${wanted?.network ?? "sim"}.sqlite`);
  const uid = options.uid ?? process.getuid?.();
  return [
    dataDirCheck(folder, uid),
    diskCheck(folder, options.diskOf ?? diskOf),
    seedCheck(join(folder, "seed"), config),
    storeCheck({ place, holder }),
    certificateCheck(folder, config, nowMs),
    ...chainChecks(config, wanted, nowMs),
    ...brokerChecks(config),
    portsCheck(listening(config), holder),
    gatewayCheck({ folder, holder }),
  ];
}

/** A folder that may not be read says so in its own check. */
function holderOf(folder: string): number | undefined {
  try {
    return runningOn(folder);
  } catch {
    return undefined;
  }
}

function chainChecks(
  config: Config,
  wanted: WantedBitcoind | undefined,
  nowMs: () => number,
): readonly Check[] {
  if (wanted) {
    const url = config["alerts.second_tip_url"];
    const walletName = config["bitcoind.wallet"];
    return bitcoindChecks({
      ...{ wanted, walletName, nowMs },
      ...(url !== undefined && { second: secondSource(url) }),
    });
  }
  const found = "a simulated chain (play money), anew with each start: no Bitcoin node is needed";
  return [{ name: "bitcoind", run: () => ok(found) }];
}

function brokerChecks(config: Config): readonly Check[] {
  try {
    const url = brokerOf(config);
    if (url === undefined) return [{ name: "broker", run: () => ok("the one inside the gateway") }];
    return [brokerCheck({ url, caFile: config["mqtt.ca_file"] })];
  } catch (cause) {
    const advice = "look at its owner and mode, or write it again with picobolt broker-config";
    return [{ name: "broker", run: () => failed(messageOf(cause), advice) }];
  }
}

function brokerOf(config: Config): string | undefined {
  return config["mqtt.url"] ?? fileText(config["mqtt.url_file"]);
}

function listening(config: Config) {
  const hasBroker = config["mqtt.url"] !== undefined || config["mqtt.url_file"] !== undefined;
  const api = { setting: "api.port", host: config["api.host"], port: config["api.port"] };
  const p2p = { setting: "p2p.port", host: config["p2p.host"], port: config["p2p.port"] };
  const mqtt = { setting: "mqtt.port", host: "127.0.0.1", port: config["mqtt.port"] };
  return hasBroker ? [api, p2p] : [api, p2p, mqtt];
}
