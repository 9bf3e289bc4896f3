/** `picobolt info`: how a device stands; `node info` with a device named. */
import { commandOf } from "../target/noun.ts";
import { nodeInfo } from "./node.ts";

const { device, summary } = nodeInfo;

export const info = commandOf("info", {
  summary,
  examples: ["picobolt info", "picobolt info --device ble:coffee --json"],
  ...(device && { device }),
});
