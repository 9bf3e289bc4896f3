/** A stream link of this host as the serial driver of a virtual board: what its UART or USB CDC is. */
import type { Link } from "../../core/ports/link.ts";
import type { SerialDriver } from "../../firmware/links/drivers.ts";

export function serialDriverOf(link: Link): SerialDriver {
  const driver: SerialDriver = {
    name: link.name,
    write: (bytes) => link.send(bytes),
    onBytes: () => {},
  };
  link.onBytes = (bytes) => driver.onBytes(bytes);
  return driver;
}
