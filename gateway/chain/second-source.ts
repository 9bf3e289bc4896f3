/** The second source of the chain's tip that an operator names: another node's RPC, or an Esplora server (`/blocks/tip/height`, `/block-height/<n>`). */
import { BitcoindRpc } from "./bitcoind/rpc.ts";
import type { SecondSource } from "./forks.ts";

const TIMEOUT_MS = 5_000;
const MAX_ANSWER = 200;

/** With a user it is a node's RPC, else Esplora's API. */
export function secondSource(url: string): SecondSource {
  const { username, password, host, hostname, port, protocol } = new URL(url);
  if (username === "") return esplora(url.replace(/\/+$/, ""), host);
  const rpc = new BitcoindRpc({
    host: hostname.replace(/^\[|\]$/g, ""),
    port: Number(port || (protocol === "https:" ? 443 : 8332)),
    auth: { user: decodeURIComponent(username), password: decodeURIComponent(password) },
    timeoutMs: TIMEOUT_MS,
  });
  return {
    name: host,
    height: () => rpc.call<number>("getblockcount"),
    hashAt: (height) => rpc.call<string>("getblockhash", height),
  };
}

function esplora(base: string, name: string): SecondSource {
  const ask = async (path: string, shape: RegExp) => {
    const answer = await fetch(`${base}${path}`, {
      signal: AbortSignal.timeout(TIMEOUT_MS),
      redirect: "error",
    });
    const text = (await answer.text()).trim();
    if (answer.ok && text.length <= MAX_ANSWER && shape.test(text)) return text;
    throw new Error(`${name}${path} answers ${answer.status}: no such server, or no such path`);
  };
  return {
    name,
    height: async () => Number(await ask("/blocks/tip/height", /^\d{1,9}$/)),
    hashAt: (height) => ask(`/block-height/${height}`, /^[0-9a-f]{64}$/),
  };
}
