/** Which chain the gateway runs on: the bitcoind that is named, the one that is found on regtest, or a simulated one. */
import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import type { ChainSource, ChainWallet } from "../../core/ports/chain.ts";
import type { Crypto } from "../../core/ports/crypto.ts";
import { BitcoindDescriptors } from "../chain/bitcoind/descriptors.ts";
import { BitcoindRpc, type RpcOptions, RpcUnavailable } from "../chain/bitcoind/rpc.ts";
import { BitcoindSource } from "../chain/bitcoind/source.ts";
import { BitcoindWallet } from "../chain/bitcoind/wallet.ts";
import { ChainHealth, type ChainHealthOptions } from "../chain/chain-health.ts";
import { ownFork } from "../chain/forks.ts";
import { secondSource } from "../chain/second-source.ts";
import type { SweepWallet } from "../chain/sweep-wallet.ts";
import { AddressDescriptors, type Descriptors } from "../settlement/descriptors.ts";
import type { Config, GatewayNetwork } from "./settings.ts";

export interface RunningChain {
  readonly network: GatewayNetwork;
  readonly source: ChainSource;
  readonly wallet: ChainWallet & SweepWallet;
  /** What a descriptor of the operator's stands for. */
  readonly descriptors: Descriptors;
  /** How old its newest block is, and whether others see the same. */
  readonly health: ChainHealth;
  /** The coins are worth nothing. */
  readonly isPlayMoney: boolean;
  close?(): Promise<void>;
}

/** Made by whoever has one: the simulated chain is no part of the gateway. */
export type OpenSimChain = (
  crypto: Crypto,
) => Promise<Pick<RunningChain, "source" | "wallet" | "close">>;

interface BitcoindDefaults {
  readonly port: number;
  /** Below bitcoind's own folder. */
  readonly folder: string;
  /** As `getblockchaininfo` names it. */
  readonly chain: string;
}

const BITCOIND: Readonly<Record<Exclude<GatewayNetwork, "sim">, BitcoindDefaults>> = {
  mainnet: { port: 8332, folder: "", chain: "main" },
  testnet4: { port: 48332, folder: "testnet4", chain: "testnet4" },
  signet: { port: 38332, folder: "signet", chain: "signet" },
  regtest: { port: 18443, folder: "regtest", chain: "regtest" },
};
const POLL_MS = 1_000;
const REGTEST_POLL_MS = 200;

export async function openChain(
  config: Config,
  crypto: Crypto,
  openSimChain: OpenSimChain,
): Promise<RunningChain> {
  const wanted = bitcoindOf(config);
  if (!wanted) {
    const descriptors = new AddressDescriptors("sim");
    const opened = await openSimChain(crypto);
    const health = healthOf(config, { source: opened.source, crypto, hasPace: false });
    return { network: "sim", isPlayMoney: true, descriptors, health, ...opened };
  }
  return openBitcoind(config, crypto, wanted);
}

/** The Bitcoin node that the configuration means. */
export interface WantedBitcoind {
  readonly network: Exclude<GatewayNetwork, "sim">;
  /** As `getblockchaininfo` names it. */
  readonly chain: string;
  /** For messages. */
  readonly place: string;
  readonly rpc: RpcOptions;
}

/** Undefined: it means the simulated chain. */
export function bitcoindOf(config: Config): WantedBitcoind | undefined {
  const isNamed = config["bitcoind.url"] !== undefined;
  const network = config.network ?? (isNamed ? "regtest" : foundRegtest());
  if (network === undefined || network === "sim") return undefined;
  const defaults = BITCOIND[network];
  const rpc = rpcOptions(config, defaults);
  const place = `bitcoind at ${rpc.host ?? "127.0.0.1"}:${rpc.port}`;
  return { network, chain: defaults.chain, place, rpc };
}

/** A node that runs on this machine with its usual folder. */
function foundRegtest(): GatewayNetwork | undefined {
  return existsSync(usualCookie(BITCOIND.regtest)) ? "regtest" : undefined;
}

function usualCookie({ folder }: BitcoindDefaults): string {
  return join(homedir(), ".bitcoin", folder, ".cookie");
}

async function openBitcoind(
  config: Config,
  crypto: Crypto,
  { network, chain: wanted, place, rpc: options }: WantedBitcoind,
): Promise<RunningChain> {
  const rpc = new BitcoindRpc(options);
  try {
    const { chain } = await rpc.call<{ chain: string }>("getblockchaininfo");
    if (chain !== wanted) {
      throw new Error(`${place} is on ${chain}, and network says ${network} (NETWORK)`);
    }
    const pollMs = network === "regtest" ? REGTEST_POLL_MS : POLL_MS;
    const source = await BitcoindSource.open(rpc, { pollMs, crypto });
    const wallet = await BitcoindWallet.open(new BitcoindRpc(options), config["bitcoind.wallet"]);
    const descriptors = new BitcoindDescriptors(rpc);
    const health = healthOf(config, {
      source,
      crypto,
      hasPace: network !== "regtest",
      ownFork: () => ownFork(rpc),
    });
    await health.tip();
    return { network, source, wallet, descriptors, health, isPlayMoney: network !== "mainnet" };
  } catch (cause) {
    rpc.close();
    if (!(cause instanceof RpcUnavailable)) throw cause;
    throw new Error(
      `${place} does not answer (${cause.message}): start it, or say where it is ` +
        "(BITCOIND_URL, bitcoind.cookie_file)",
      { cause },
    );
  }
}

function healthOf(
  config: Config,
  about: Omit<ChainHealthOptions, "staleMinutes" | "nowMs" | "second">,
): ChainHealth {
  const url = config["alerts.second_tip_url"];
  return new ChainHealth({
    ...about,
    staleMinutes: config["policy.stale_tip_minutes"],
    nowMs: () => Date.now(),
    ...(url !== undefined && { second: secondSource(url) }),
  });
}

function rpcOptions(config: Config, defaults: BitcoindDefaults): RpcOptions {
  const url = config["bitcoind.url"] ? new URL(config["bitcoind.url"]) : undefined;
  const port = url?.port ? Number(url.port) : defaults.port;
  const host = url ? { host: url.hostname.replace(/^\[|\]$/g, "") } : {};
  if (url?.password) {
    const user = decodeURIComponent(url.username);
    return { ...host, port, auth: { user, password: decodeURIComponent(url.password) } };
  }
  const cookieFile = config["bitcoind.cookie_file"] ?? usualCookie(defaults);
  return { ...host, port, auth: { cookieFile } };
}
