/** The serial ports of this machine (serialport's list), and what is known of their USB side. */
import { EXIT, Failure } from "../failure.ts";

export interface PortFacts {
  readonly path: string;
  /** "Silicon Labs CP2102", where the system knows. */
  readonly description: string;
  readonly usb: { readonly vendorId?: number; readonly productId?: number };
}

/** Ports of a PC's board that nothing is wired to are left out. */
export async function listSerialPorts(): Promise<readonly PortFacts[]> {
  const { SerialPort } = await loadSerialport();
  const ports = await SerialPort.list();
  return ports
    .filter(({ path, vendorId }) => vendorId !== undefined || !/^\/dev\/ttyS\d+$/.test(path))
    .map(({ path, manufacturer, vendorId, productId, serialNumber }) => ({
      path,
      description: [manufacturer, serialNumber].filter(Boolean).join(" "),
      usb: {
        ...(vendorId !== undefined && { vendorId: Number.parseInt(vendorId, 16) }),
        ...(productId !== undefined && { productId: Number.parseInt(productId, 16) }),
      },
    }));
}

export async function usbOf(path: string): Promise<PortFacts["usb"]> {
  const found = (await listSerialPorts()).find((port) => port.path === path);
  return found?.usb ?? {};
}

/** An optional package, and native. */
async function loadSerialport() {
  try {
    return await import("serialport");
  } catch (cause) {
    throw new Failure(
      "the npm package serialport does not load on this machine; npm ci builds it (it needs a C++ compiler)",
      EXIT.failed,
      { cause },
    );
  }
}

/** The one that `--port` names, or the only one that there is. */
export async function choosePort(named: string | undefined): Promise<string> {
  if (named) return named;
  const ports = await listSerialPorts();
  const [only] = ports;
  if (only && ports.length === 1) return only.path;
  throw new Failure(
    ports.length === 0
      ? "there is no serial port; plug the device in, or name one with --port"
      : `there are ${ports.length} serial ports (${ports.map(({ path }) => path).join(", ")}); name one with --port`,
    EXIT.noAnswer,
  );
}
