/** Opens a serial port to listen and to write, alone, without resetting the board that is on it. */
import { SerialPort } from "serialport";

const BAUD = 115_200;

/** Rejects with the system's words: ports/port-errors.ts explains them. */
export async function openPort(path: string, baudRate = BAUD): Promise<SerialPort> {
  const port = new SerialPort({ path, baudRate, autoOpen: false, hupcl: false });
  await new Promise<void>((done, fail) => port.open((error) => (error ? fail(error) : done())));
  port.on("error", () => {});
  return port;
}

export async function closePort(port: SerialPort): Promise<void> {
  if (port.isOpen) await new Promise<void>((done) => port.close(() => done()));
}
