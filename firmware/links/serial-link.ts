/** A UART as a stream link that shares its line with Improv's packets and the console's text (docs/LINKS.md "Serial"). */
import type { Link } from "../../core/ports/link.ts";
import type { SerialDriver } from "./drivers.ts";
import { IMPROV_HEADER, improvPacketLength, isImprovPacket } from "./improv-packet.ts";

export interface SerialPort {
  /** Frames and text; it never closes by itself. */
  readonly link: Link;
  /** A whole line of Improv's answers. */
  write(bytes: Uint8Array): void;
}

/** `onImprov` gets whole packets whose checksum fits; without it everything is the link's. */
export function openSerial(
  driver: SerialDriver,
  onImprov?: (packet: Uint8Array) => void,
): SerialPort {
  const link: Link = {
    name: `serial:${driver.name}`,
    kind: "stream",
    send: (bytes) => driver.write(bytes),
    close: () => {},
    onBytes: () => {},
    onClosed: () => {},
  };
  const splitter = onImprov && new ImprovSplitter((bytes) => link.onBytes(bytes), onImprov);
  driver.onBytes = (bytes) => {
    if (splitter) splitter.push(bytes);
    else link.onBytes(bytes);
  };
  return { link, write: (bytes) => driver.write(bytes) };
}

/** A UART as a stream link alone. */
export function serialLink(driver: SerialDriver): Link {
  return openSerial(driver).link;
}

/** Takes Improv's packets out of a stream; everything else goes on, in order, and nothing waits but a packet's beginning. */
export class ImprovSplitter {
  /** The beginning of what may become a packet. */
  private held: Uint8Array | undefined;

  constructor(
    private readonly onRest: (bytes: Uint8Array) => void,
    private readonly onPacket: (packet: Uint8Array) => void,
  ) {}

  push(bytes: Uint8Array): void {
    let rest = this.held ? joined(this.held, bytes) : bytes;
    this.held = undefined;
    for (let from = 0; rest.length > 0; ) {
      const at = rest.indexOf(IMPROV_HEADER[0] as number, from);
      if (at < 0) break;
      const candidate = rest.subarray(at);
      if (!isBeginning(candidate)) {
        from = at + 1;
        continue;
      }
      const length = improvPacketLength(candidate);
      if (length === undefined || candidate.length < length) {
        this.pass(rest.subarray(0, at));
        this.held = candidate.slice();
        return;
      }
      if (isImprovPacket(candidate.subarray(0, length))) {
        this.pass(rest.subarray(0, at));
        this.onPacket(candidate.slice(0, length));
        rest = candidate.subarray(length);
        from = 0;
      } else from = at + 1;
    }
    this.pass(rest);
  }

  private pass(bytes: Uint8Array): void {
    if (bytes.length > 0) this.onRest(bytes);
  }
}

/** Whether it is, as far as it goes, the header of a packet. */
function isBeginning(bytes: Uint8Array): boolean {
  const length = Math.min(bytes.length, IMPROV_HEADER.length);
  for (let i = 0; i < length; i++) if (bytes[i] !== IMPROV_HEADER[i]) return false;
  return true;
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  const out = new Uint8Array(a.length + b.length);
  out.set(a);
  out.set(b, a.length);
  return out;
}
