/** Inside XS: serves a node that Node drives step by step (portable-node.ts). */
import type { Crypto } from "../../core/ports/crypto.ts";
import { askHost, callHost, serve, text } from "./agent-calls.ts";
import { remoteCrypto } from "./crypto-calls.ts";
import { type CoreParts, type NodeSetup, PortableNode } from "./portable-node.ts";
import { descend } from "./stack.ts";
import { decodeValue } from "./values.ts";

/** Curve, hashes and ciphers outside the engine, as a device's are in its C library. */
export const hostCrypto = remoteCrypto("host", askHost);

/** `node-start`: whose crypto ("host" or "noble"), the setup. `node-step`: frames on the stack already, the step, its parameter. */
export function serveNode(core: CoreParts, noble?: () => Crypto): void {
  const holder: { node?: PortableNode } = {};
  serve("node-start", async (provider, setup) => {
    const wanted = text(provider as Uint8Array) === "noble" ? noble?.() : hostCrypto;
    if (wanted === undefined) throw new Error("noble is not in this image");
    holder.node = new PortableNode(core, wanted, callHost);
    await holder.node.start(decodeValue(setup as Uint8Array) as NodeSetup);
    return undefined;
  });
  serve("node-step", (frames, step, parameter) => {
    const { node } = holder;
    if (node === undefined) throw new Error("the node is not started");
    return descend(frameCount(frames as Uint8Array), () =>
      node.perform(text(step as Uint8Array), parameter as Uint8Array),
    );
  });
}

export function frameCount(bytes: Uint8Array): number {
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(0);
}
