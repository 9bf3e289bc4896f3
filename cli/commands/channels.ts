/** `picobolt channels`: `channel list` of a device. */
import { commandOf } from "../target/noun.ts";
import { listChannels } from "./channel.ts";

const { device, summary } = listChannels;

export const channels = commandOf("channels", {
  summary,
  examples: ["picobolt channels", "picobolt channels --device ble:coffee --json"],
  ...(device && { device }),
});
