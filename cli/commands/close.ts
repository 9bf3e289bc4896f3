/** `picobolt close`: `channel close` on a device. */
import { commandOf } from "../target/noun.ts";
import { closeChannels } from "./channel.ts";

const { device, summary, configure } = closeChannels;

export const close = commandOf("close", {
  summary,
  examples: ["picobolt close all", "picobolt close 7f3a --force"],
  ...(configure && { configure }),
  ...(device && { device }),
});
