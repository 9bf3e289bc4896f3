/** Asks peers for the blobs that they keep for us, with the node's key alone: nothing else is said, so no channel is touched. */

import { randomBytes } from "node:crypto";
import { genesisHeader, type NetworkName, networkNamed } from "../../core/chain/networks.ts";
import { HOST_MAX_MESSAGE_BYTES } from "../../core/messages/codec.ts";
import { MAX_STORED_BYTES } from "../../core/messages/storage.ts";
import { Peers } from "../../core/node/peers.ts";
import type { Crypto } from "../../core/ports/crypto.ts";
import type { NodeSigner } from "../../core/ports/signer.ts";
import { publicKey } from "../../core/primitives/brands.ts";
import { fromHex, toHex } from "../../core/primitives/bytes.ts";
import { gatewayFeatures } from "../gateway-features.ts";
import { TcpDialer } from "../links/tcp.ts";

export interface BlobHolder {
  /** Hexadecimal. */
  readonly nodeId: string;
  readonly host: string;
  readonly port: number;
}

export interface FetchOptions {
  readonly crypto: Crypto;
  readonly signer: NodeSigner;
  readonly network: NetworkName;
  readonly holders: readonly BlobHolder[];
  readonly timeoutMs: number;
}

export interface Fetched {
  readonly blobs: readonly { readonly from: string; readonly blob: Uint8Array }[];
  /** Why others gave nothing. */
  readonly silent: readonly string[];
}

const TICK_MS = 50;

/** Each of them is asked at once; whoever says nothing in time is told of. Never throws for a peer's sake. */
export async function fetchBlobs(options: FetchOptions): Promise<Fetched> {
  const { crypto, signer, network, holders, timeoutMs } = options;
  const header = genesisHeader(networkNamed(network));
  const answers = new Map<string, Uint8Array>();
  const troubles = new Map<string, string>();
  let settle: () => void = () => {};
  const all = new Promise<void>((done) => {
    settle = done;
  });
  const peers = new Peers(
    {
      crypto,
      signer,
      entropy: { random: (length) => new Uint8Array(randomBytes(length)) },
      features: gatewayFeatures,
      chainHash: crypto.sha256(crypto.sha256(header)),
      maxMessageBytes: HOST_MAX_MESSAGE_BYTES,
      maxLinks: holders.length + 1,
      nowMs: performance.now(),
    },
    {
      connected: () => {},
      disconnected: () => {},
      message: (id, message) => {
        if (message.type !== "peer_storage_retrieval") return;
        if (message.blob.length > MAX_STORED_BYTES) return;
        answers.set(toHex(id), message.blob.slice());
        if (answers.size === holders.length) settle();
      },
      alarm: () => {},
    },
  );
  const dialers = holders.map(
    ({ nodeId, host, port }) =>
      new TcpDialer({
        host,
        port,
        attach: (link) => peers.attach(link, publicKey(fromHex(nodeId))),
        isConnected: () => peers.negotiated(publicKey(fromHex(nodeId))) !== undefined,
        onProblem: (text) => troubles.set(nodeId, text),
      }),
  );
  const ticker = setInterval(() => peers.tick(performance.now()), TICK_MS);
  const timer = setTimeout(settle, timeoutMs);
  await all;
  clearInterval(ticker);
  clearTimeout(timer);
  peers.close("that was all");
  for (const dialer of dialers) dialer.close();
  const blobs = [...answers].flatMap(([from, blob]) => (blob.length > 0 ? [{ from, blob }] : []));
  const silent = holders.flatMap(({ nodeId }) => {
    const blob = answers.get(nodeId);
    if (blob && blob.length > 0) return [];
    if (blob) return [`${nodeId} keeps nothing for this node`];
    return [
      `${nodeId} ${troubles.get(nodeId) ?? "gave nothing: it has no channel with this node, or keeps no blobs"}`,
    ];
  });
  return { blobs, silent };
}
