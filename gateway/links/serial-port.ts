/** Opens a serial port (serialport), and notices that it hangs up while bytes arrive: the library then reads nothing for ever. */
import { read } from "node:fs";
import { promisify } from "node:util";
import { SerialPort } from "serialport";

export interface SerialPortOptions {
  readonly path: string;
  readonly baudRate: number;
  /** Nobody else opens it meanwhile (default true). */
  readonly lock?: boolean;
  /** DTR falls when it is closed, which resets many boards (default true). */
  readonly hupcl?: boolean;
}

/** What serialport has of a port on Linux and macOS (@serialport/bindings-cpp 13). */
interface UnixPort {
  readonly fd: number | null;
  readonly poller: {
    once(event: "readable", heard: (error: Error | null) => void): unknown;
  };
  read(buffer: Buffer, offset: number, length: number): Promise<Read>;
}
interface Read {
  readonly buffer: Buffer;
  readonly bytesRead: number;
}

const readSome = promisify(read);

/** Rejects with the system's words. */
export async function openSerialPort(options: SerialPortOptions): Promise<SerialPort> {
  const port = new SerialPort({ ...options, autoOpen: false });
  await new Promise<void>((done, fail) => port.open((error) => (error ? fail(error) : done())));
  if (process.platform !== "win32") noticeHangUp(port.port as unknown as UnixPort);
  return port;
}

/** A terminal that hung up reads as no bytes: the library tries again at once, and neither closes nor waits. */
function noticeHangUp(port: UnixPort): void {
  port.read = async (buffer, offset, length) => {
    for (;;) {
      const bytesRead = await readSome(openFile(port), buffer, offset, length, null).then(
        (some) => some.bytesRead,
        waitingLater,
      );
      if (bytesRead === 0) throw new Error("the line hung up");
      if (bytesRead !== undefined) return { buffer, bytesRead };
      // Closed meanwhile, it has nothing left to wait with.
      openFile(port);
      await readable(port);
    }
  };
}

function openFile({ fd }: UnixPort): number {
  if (fd !== null) return fd;
  throw Object.assign(new Error("the port is closed"), { canceled: true });
}

/** Undefined where nothing has come yet. */
function waitingLater(cause: NodeJS.ErrnoException): undefined {
  const { code } = cause;
  if (code !== "EAGAIN" && code !== "EWOULDBLOCK" && code !== "EINTR") throw cause;
}

function readable({ poller }: UnixPort): Promise<void> {
  return new Promise((resolve, reject) => {
    poller.once("readable", (error) => (error ? reject(error) : resolve()));
  });
}
