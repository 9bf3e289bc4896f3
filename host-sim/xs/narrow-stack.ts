/** How much of the worker's stack must be taken so that what is left is a device's (DESIGN §5). */
import { XsBridge, type XsBridgeOptions } from "./bridge.ts";

/** Of the worker, in its own source. */
const WORKER_SLOTS = 4096;
/** The least that a device gives (DESIGN §5), and what a node with peers gets (manifests/base.json): from the link's bytes to an HTLC's hash. */
export const DEVICE_SLOTS = 512;
export const NODE_SLOTS = 1024;

/** How many frames leave so many slots. */
export async function framesThatLeave(slots: number, options: XsBridgeOptions): Promise<number> {
  return Math.ceil((await deepestDescent(options)) * (1 - slots / WORKER_SLOTS));
}

/** The most frames that the worker survives with nothing to do at their end. */
async function deepestDescent(options: XsBridgeOptions): Promise<number> {
  let possible = 1;
  let impossible = WORKER_SLOTS;
  while (impossible - possible > 1) {
    const middle = Math.floor((possible + impossible) / 2);
    if (await survives(options, middle)) possible = middle;
    else impossible = middle;
  }
  return possible;
}

async function survives(options: XsBridgeOptions, frames: number): Promise<boolean> {
  const bridge = await XsBridge.start(options);
  try {
    await bridge.call("descend", u32(frames));
    return true;
  } catch (error) {
    if (!/stack overflow/.test(String(error))) throw error;
    return false;
  } finally {
    await bridge.close();
  }
}

export function u32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value);
  return bytes;
}
