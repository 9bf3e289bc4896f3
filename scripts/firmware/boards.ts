/** The boards that have a manifest, and how mcconfig calls their platforms. */
import { CommandFailed } from "./run.ts";

export interface BoardTarget {
  readonly manifest: string;
  readonly platform: string;
  readonly about: string;
}

export const BOARDS: { readonly [name: string]: BoardTarget } = {
  esp32: {
    manifest: "manifests/esp32.json",
    platform: "esp32",
    about: "ESP32 with 4 MB of flash (DevKitC, NodeMCU-32S): Wi-Fi, BLE, UART",
  },
  esp32s3: {
    manifest: "manifests/esp32s3.json",
    platform: "esp32/esp32s3",
    about: "ESP32-S3 with 4 MB of flash or more: Wi-Fi, BLE, UART",
  },
  esp32c3: {
    manifest: "manifests/esp32c3.json",
    platform: "esp32/esp32c3",
    about: "ESP32-C3 with 4 MB of flash: Wi-Fi, BLE, UART",
  },
  host: {
    manifest: "manifests/host.json",
    platform: "x-cli-lin",
    about: "a Linux process: a tty is its UART, files are its flash",
  },
};

export function boardNamed(name: string): BoardTarget {
  const board = Object.hasOwn(BOARDS, name) ? BOARDS[name] : undefined;
  if (board) return board;
  throw new CommandFailed(`no board "${name}"; there are ${Object.keys(BOARDS).join(", ")}`);
}
