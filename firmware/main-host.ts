/** The program as a Linux process on the Moddable SDK: the same core, program and apps; a tty is its UART, files are its flash. */
import config from "mc/config";
import { host } from "picobolt/host";
import { nativeFunctions } from "picobolt/native-functions";
import type { Board } from "./board.ts";
import { nativeCrypto, nativeEntropy } from "./crypto/native.ts";
import { moddableClock } from "./drivers/clock.ts";
import { type HostConfig, imageOf } from "./drivers/config.ts";
import { hostFlash, hostPins, hostSystem } from "./drivers/host-board.ts";
import { openTty } from "./drivers/serial.ts";
import type { SerialDriver } from "./links/drivers.ts";
import { startProgram } from "./program.ts";

function openBoard({ board }: HostConfig): Board {
  return {
    model: board.model,
    crypto: nativeCrypto(nativeFunctions),
    entropy: nativeEntropy(nativeFunctions),
    clock: moddableClock(),
    flash: { records: hostFlash(0), settings: hostFlash(1) },
    pins: hostPins(board.pins),
    links: { serial: openTtys(board.baud) },
    system: hostSystem(),
  };
}

function openTtys(baud: number): readonly SerialDriver[] {
  const drivers: SerialDriver[] = [];
  for (;;) {
    const { length } = drivers;
    const tty = host.serial(length);
    if (tty === undefined) return drivers;
    drivers.push(openTty(length === 0 ? "uart" : `uart${length + 1}`, tty, baud));
  }
}

const settings = config as unknown as HostConfig;
startProgram(openBoard(settings), imageOf(settings)).catch((error: unknown) => {
  host.print(`picobolt cannot start: ${error instanceof Error ? error.message : String(error)}`);
});
