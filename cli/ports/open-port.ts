/** Opens a serial port to listen and to write, alone, without resetting the board that is on it. */
import type { SerialPort } from "serialport";
import { openSerialPort } from "../../gateway/links/serial-port.ts";

const BAUD = 115_200;

/** Rejects with the system's words: ports/port-errors.ts explains them. */
export async function openPort(path: string, baudRate = BAUD): Promise<SerialPort> {
  const port = await openSerialPort({ path, baudRate, hupcl: false });
  port.on("error", () => {});
  return port;
}

export async function closePort(port: SerialPort): Promise<void> {
  if (port.isOpen) await new Promise<void>((done) => port.close(() => done()));
}
