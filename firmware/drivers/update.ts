/** The other slot of an A/B update (`embedded:update`); whether this image is on trial the boot loader's C interface says. */
import FlashStorage, { type Flash } from "embedded:storage/flash";
import Update, { type Updater } from "embedded:update";
import type { UpdateSlots } from "../board.ts";

/** ESP-IDF's calls that the SDK does not offer (esp32/esp32.xs.js). */
export interface BootLoader {
  isOnTrial(): boolean;
  confirm(): void;
  /** Does not return. */
  rollBack(): void;
}

interface Writing {
  readonly partition: Flash;
  readonly updater: Updater;
}

export function updateSlots(bootLoader: BootLoader): UpdateSlots {
  let writing: Writing | undefined;
  const end = () => {
    writing?.updater.close();
    writing?.partition.close();
    writing = undefined;
  };
  const current = (): Updater => {
    if (!writing) throw new Error("no update has begun");
    return writing.updater;
  };
  return {
    get confirmed() {
      return !bootLoader.isOnTrial();
    },
    begin(byteLength) {
      end();
      const partition = FlashStorage.open({ path: "nextota", mode: "r+" });
      const { size } = partition.status();
      if (byteLength > size) {
        partition.close();
        throw new RangeError(`the image has ${byteLength} bytes, the slot ${size}`);
      }
      // Sequential writes erase as they go: an erase of the whole slot would starve the watchdog.
      writing = { partition, updater: Update.open({ partition, mode: "a" }) };
    },
    write(bytes) {
      current().write(bytes);
    },
    complete() {
      current().complete();
      end();
    },
    abort: end,
    confirm: () => bootLoader.confirm(),
    rollBack: () => bootLoader.rollBack(),
  };
}
