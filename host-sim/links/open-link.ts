/** Opens a link by its name on a command line: `serial:/dev/ttyUSB0` or `socket:/path`. */
import type { Link } from "../../core/ports/link.ts";
import { SerialLink } from "./serial-link.ts";
import { connectSocket } from "./socket-link.ts";

export function openLink(name: string): Promise<Link> {
  const at = name.indexOf(":");
  const kind = name.slice(0, at);
  const path = name.slice(at + 1);
  switch (kind) {
    case "serial":
      return SerialLink.open(path);
    case "socket":
      return connectSocket(path);
    default:
      throw new Error(`no such link: ${name}; use serial:/dev/… or socket:/path`);
  }
}
