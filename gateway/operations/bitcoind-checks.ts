/** Checks of the Bitcoin node: reached, the right network, new enough, synced, relays what channels need, and its wallet. */
import { BitcoindRpc } from "../chain/bitcoind/rpc.ts";
import { differsFrom, ownFork, type SecondSource } from "../chain/forks.ts";
import type { WantedBitcoind } from "../run/chain.ts";
import { type Check, type CheckResult, failed, messageOf, ok, skipped, warning } from "./check.ts";

export interface BitcoindChecksOptions {
  readonly wanted: WantedBitcoind;
  readonly walletName: string;
  /** Who else knows the chain. */
  readonly second?: SecondSource;
  readonly nowMs: () => number;
}

/** Only the fields that are read. */
interface NodeFacts {
  readonly chain: {
    readonly chain: string;
    readonly blocks: number;
    readonly headers: number;
    readonly time?: number;
    readonly mediantime: number;
    readonly initialblockdownload: boolean;
  };
  readonly network: { readonly version: number; readonly subversion: string };
  readonly mempool: { readonly loaded: boolean; readonly truc_policy?: string };
}

const TIMEOUT_MS = 5_000;
const LEAST_VERSION = 29;
const VERSION_UNIT = 10_000;
const MINUTE_MS = 60_000;
/** Nine blocks' worth: by chance once in two months. */
const OLD_TIP_MINUTES = 90;
/** A block's time may be that far ahead of everybody's clock (consensus). */
const FUTURE_BLOCK_MINUTES = 120;
const CLOCK_SLACK_MINUTES = 10;
/** The gateway splits a coin when it has fewer. */
const FEW_COINS = 5;

export function bitcoindChecks(options: BitcoindChecksOptions): readonly Check[] {
  const { wanted, nowMs } = options;
  const rpc = new BitcoindRpc({ ...wanted.rpc, timeoutMs: TIMEOUT_MS });
  let asked: Promise<NodeFacts | Error> | undefined;
  const facts = () => {
    asked ??= factsOf(rpc).catch((cause: unknown) => new Error(messageOf(cause)));
    return asked;
  };
  const about = (
    name: string,
    judge: (facts: NodeFacts) => CheckResult | Promise<CheckResult>,
  ): Check => ({
    name,
    run: async () => {
      const known = await facts();
      return known instanceof Error ? skipped("the Bitcoin node does not answer") : judge(known);
    },
  });
  const wallet = about("wallet", () => walletResult(rpc, options.walletName));
  return [
    { name: "bitcoind", run: async () => reached(await facts(), wanted) },
    about("bitcoin network", (known) => rightChain(known, wanted)),
    about("bitcoin version", newEnough),
    about("bitcoin blocks", (known) => synced(known, { wanted, nowMs })),
    about("bitcoin forks", () => forks(rpc, options.second)),
    about("clock", (known) => clock(known, nowMs)),
    about("relay policy", relays),
    {
      ...wallet,
      run: async () => {
        const result = await wallet.run();
        rpc.close();
        return result;
      },
    },
  ];
}

async function factsOf(rpc: BitcoindRpc): Promise<NodeFacts> {
  const [chain, network, mempool] = await Promise.all([
    rpc.call<NodeFacts["chain"]>("getblockchaininfo"),
    rpc.call<NodeFacts["network"]>("getnetworkinfo"),
    rpc.call<NodeFacts["mempool"]>("getmempoolinfo"),
  ]);
  return { chain, network, mempool };
}

function reached(known: NodeFacts | Error, { place }: WantedBitcoind): CheckResult {
  if (!(known instanceof Error)) return ok(`${place} answers: ${known.network.subversion}`);
  return failed(
    `${place} does not answer: ${known.message}`,
    "start it, or say where it is and how to sign in (BITCOIND_URL, bitcoind.cookie_file)",
  );
}

function rightChain({ chain }: NodeFacts, wanted: WantedBitcoind): CheckResult {
  if (chain.chain === wanted.chain) return ok(`it is on ${chain.chain}, as configured`);
  return failed(
    `it is on ${chain.chain}, and network says ${wanted.network}`,
    "change network (NETWORK), or name another node (BITCOIND_URL)",
  );
}

function newEnough({ network }: NodeFacts): CheckResult {
  const major = Math.floor(network.version / VERSION_UNIT);
  if (major >= LEAST_VERSION) return ok(`version ${major}`);
  return failed(
    `version ${major} does not relay commitments that pay no fee`,
    `upgrade the node to Bitcoin Core or Knots ${LEAST_VERSION} or newer`,
  );
}

function synced(
  { chain }: NodeFacts,
  { wanted, nowMs }: { readonly wanted: WantedBitcoind; readonly nowMs: () => number },
): CheckResult {
  const { blocks, headers } = chain;
  if (blocks < headers) {
    return warning(
      `it has ${blocks} of ${headers} blocks`,
      "wait until it is done: until then the gateway does not see what happens to channels",
    );
  }
  if (wanted.network === "regtest") return ok(`block ${blocks}; regtest has no pace of its own`);
  const ageMinutes = Math.floor((nowMs() - tipSeconds(chain) * 1_000) / MINUTE_MS);
  if (ageMinutes <= OLD_TIP_MINUTES) return ok(`block ${blocks}, ${ageMinutes} minutes old`);
  return warning(
    `block ${blocks} is ${ageMinutes} minutes old, and none came since`,
    "look whether the node has peers (bitcoin-cli getpeerinfo) and whether this clock is right",
  );
}

async function forks(rpc: BitcoindRpc, second: SecondSource | undefined): Promise<CheckResult> {
  const advice = "compare it with other nodes before you trust a confirmation; upgrade it";
  const own = await ownFork(rpc);
  if (own !== undefined) return failed(`it may be on a fork: ${own}`, advice);
  if (!second)
    return ok("it knows of no longer chain; alerts.second_tip_url would ask another one");
  const itself = {
    height: () => rpc.call<number>("getblockcount"),
    hashAt: (height: number) => rpc.call<string>("getblockhash", height),
  };
  try {
    const differs = await differsFrom(second, itself);
    if (differs !== undefined) return failed(`it may be on a fork: ${differs}`, advice);
    return ok(`the same chain as ${second.name}`);
  } catch (cause) {
    return warning(
      `${second.name} does not tell its blocks: ${messageOf(cause)}`,
      "correct alerts.second_tip_url, or name another one",
    );
  }
}

/** The median of eleven blocks is behind honest clocks by an hour or so; regtest's, made at once, may be ahead by seconds. */
function clock({ chain }: NodeFacts, nowMs: () => number): CheckResult {
  const nowSeconds = nowMs() / 1_000;
  const aheadMinutes = Math.ceil((tipSeconds(chain) - nowSeconds) / 60);
  const medianAheadMinutes = (chain.mediantime - nowSeconds) / 60;
  if (medianAheadMinutes <= CLOCK_SLACK_MINUTES && aheadMinutes <= FUTURE_BLOCK_MINUTES) {
    return ok("this machine's clock fits the blocks");
  }
  return failed(
    `this machine's clock is ${aheadMinutes} minutes behind the newest block`,
    "set it (timedatectl set-ntp true): invoices and certificates depend on it",
  );
}

function tipSeconds({ time, mediantime }: NodeFacts["chain"]): number {
  return time ?? mediantime;
}

/** Core from 29 on does it without being told; Knots tells of TRUC, and not of ephemeral anchors. */
function relays({ network, mempool }: NodeFacts): CheckResult {
  if (!mempool.loaded) return warning("the mempool is still being loaded", "look again later");
  const isKnots = network.subversion.includes("Knots");
  if (!isKnots) return ok("version 3 (TRUC) packages and P2A anchors, as Bitcoin Core has them");
  if (mempool.truc_policy === "enforce") {
    return ok(
      "version 3 (TRUC) packages; whether permitephemeral=anchor,-send,dust is set, Knots does not tell",
    );
  }
  return failed(
    `Knots treats version 3 (TRUC) transactions by "${mempool.truc_policy ?? "no rule"}"`,
    "set corepolicy=1, or mempooltruc=enforce and permitephemeral=anchor,-send,dust, in bitcoin.conf",
  );
}

async function walletResult(rpc: BitcoindRpc, name: string): Promise<CheckResult> {
  try {
    return await walletState(rpc, name);
  } catch (cause) {
    return failed(
      `the node says nothing of its wallets: ${messageOf(cause)}`,
      "it may have been built or started without them (disablewallet)",
    );
  }
}

async function walletState(rpc: BitcoindRpc, name: string): Promise<CheckResult> {
  const [loaded, known] = await Promise.all([
    rpc.call<readonly string[]>("listwallets"),
    rpc.call<{ readonly wallets: readonly { readonly name: string }[] }>("listwalletdir"),
  ]);
  if (!loaded.includes(name)) {
    const isThere = known.wallets.some((one) => one.name === name);
    return warning(
      `the node's wallet "${name}" is ${isThere ? "not loaded" : "not there yet"}`,
      `the gateway ${isThere ? "loads" : "makes"} it when it starts; nothing to do where it has yet to`,
    );
  }
  const wallet = rpc.wallet(name);
  const [info, coins] = await Promise.all([
    wallet.call<{ readonly unlocked_until?: number }>("getwalletinfo"),
    wallet.call<readonly unknown[]>("listunspent", 1),
  ]);
  if (info.unlocked_until === 0) {
    return failed(
      `the node's wallet "${name}" is locked: no channel can be funded, no claim paid for`,
      "unlock it while the gateway runs (bitcoin-cli walletpassphrase)",
    );
  }
  if (coins.length >= FEW_COINS) return ok(`"${name}" has ${coins.length} confirmed coins ready`);
  return warning(
    `"${name}" has ${coins.length} confirmed coins ready; each claim of a closing channel takes one`,
    "send bitcoin to it (picobolt wallet address): the gateway splits what comes into ten",
  );
}
