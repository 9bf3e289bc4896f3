/** A device that has not heard of the chain for longer than it allows itself declines what it is paid (rule `offline-budget`). */
import { toHex } from "../../../core/primitives/bytes.ts";
import { WorldDevice } from "../actors/world-device.ts";
import type { MakeChecker } from "./checker.ts";

const SECONDS_PER_BLOCK = 600;

export const offlineBudget: MakeChecker = (world, complain) => {
  /** By device and run: its newest block, and when it was seen to have it. */
  const heard = new Map<string, { readonly tip: string; readonly seconds: number }>();
  return {
    step: () => {
      for (const device of world.nodes) {
        if (!(device instanceof WorldDevice) || !device.headers) continue;
        const key = `${device.name}/${device.runs}`;
        const tip = toHex(device.headers.tip.hash);
        if (heard.get(key)?.tip !== tip) heard.set(key, { tip, seconds: device.chainSeconds });
      }
    },
    event: (device, _, event) => {
      if (event.type !== "pushReceived" && event.type !== "htlcReceived") return;
      if (!(device instanceof WorldDevice) || !device.hasClock || event.declined) return;
      if (device.faults.slow) return; // it decided before it is told: when its disk was done
      const last = heard.get(`${device.name}/${device.runs}`);
      const tip = device.headers && toHex(device.headers.tip.hash);
      if (!last || last.tip !== tip) return; // it has heard of a block in this step
      const blocks = Math.floor((device.chainSeconds - last.seconds) / SECONDS_PER_BLOCK);
      const { maxOfflineBlocks } = device.budget;
      if (blocks <= maxOfflineBlocks) return;
      complain(`${device.name} is paid after ${blocks} blocks of silence of ${maxOfflineBlocks}`);
    },
  };
};
