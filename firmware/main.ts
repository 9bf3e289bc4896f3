/** The program on an ESP32: a Board of Moddable's modules, and the start of the program. The one place that knows both. */
import config from "mc/config";
import { esp32 } from "picobolt/esp32";
import { nativeFunctions } from "picobolt/native-functions";
import type { Board } from "./board.ts";
import { nativeCrypto, nativeEntropy } from "./crypto/native.ts";
import { bleCentral } from "./drivers/ble-central.ts";
import { blePeripheral } from "./drivers/ble-peripheral.ts";
import { moddableClock } from "./drivers/clock.ts";
import { type BoardConfig, imageOf } from "./drivers/config.ts";
import { esp32System } from "./drivers/esp32-system.ts";
import { openPartition } from "./drivers/flash.ts";
import { mqttDriver } from "./drivers/mqtt.ts";
import { openPins } from "./drivers/pins.ts";
import { openUart } from "./drivers/serial.ts";
import { updateSlots } from "./drivers/update.ts";
import { wifiDriver } from "./drivers/wifi.ts";
import { startProgram } from "./program.ts";

function openBoard({ board }: BoardConfig): Board {
  const clock = moddableClock();
  return {
    model: board.model,
    crypto: nativeCrypto(nativeFunctions),
    entropy: nativeEntropy(nativeFunctions),
    clock,
    flash: { records: openPartition("records"), settings: openPartition("settings") },
    pins: openPins(board.pins),
    links: {
      serial: [openUart("uart", board.uart)],
      blePeripheral: blePeripheral(esp32),
      bleCentral: bleCentral(clock),
      mqtt: mqttDriver(board.nameServers),
      wifi: wifiDriver(clock, board.timeServer),
    },
    system: esp32System(),
    update: updateSlots(esp32),
  };
}

const settings = config as unknown as BoardConfig;
startProgram(openBoard(settings), imageOf(settings)).catch((error: unknown) => {
  esp32.print(`picobolt cannot start: ${error instanceof Error ? error.message : String(error)}`);
});
