/** Opens a link by its name on a command line: `serial:/dev/ttyUSB0`, `socket:/path`, `ble:name`, `mqtt://host:port/gateway/device`. */
import type { Link } from "../../core/ports/link.ts";
import { connectSocket } from "./socket-link.ts";

export async function openLink(name: string): Promise<Link> {
  const at = name.indexOf(":");
  const kind = name.slice(0, at);
  const path = name.slice(at + 1);
  switch (kind) {
    case "serial":
      return (await serialLinks()).open(path);
    case "socket":
      return connectSocket(path);
    case "ble":
      return (await import("./ble-link.ts")).openBleLink(path);
    case "mqtt":
    case "mqtts":
      return (await import("../mqtt/mqtt-link.ts")).openMqttLink(name);
    default:
      throw new Error(
        `no such link: ${name}; use serial:/dev/…, socket:/path, ble:<name> or mqtt://host:port/<gateway>/<device>`,
      );
  }
}

/** Why serial ports cannot be opened on this machine; undefined: they can. */
export async function whyNoSerialLinks(): Promise<string | undefined> {
  return serialLinks().then(
    () => undefined,
    (cause: unknown) => (cause instanceof Error ? cause.message : String(cause)),
  );
}

/** serialport is an optional package, and native: sockets do without it. */
async function serialLinks() {
  try {
    return (await import("./serial-link.ts")).SerialLink;
  } catch (cause) {
    throw new Error(
      "the npm package serialport does not load: npm ci builds it (needs a compiler)",
      {
        cause,
      },
    );
  }
}
