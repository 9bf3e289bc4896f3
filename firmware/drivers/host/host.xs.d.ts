/** The types of host.xs.js, which is the module picobolt/host in a Moddable build. */
declare module "picobolt/host" {
  export const host: {
    /** The tty of a UART; they are counted from 0. */
    serial(index: number): string | undefined;
    flashSize(partition: number): number;
    flashRead(partition: number, offset: number, out: Uint8Array): void;
    flashProgram(partition: number, offset: number, bytes: Uint8Array): void;
    flashErase(partition: number, sector: number): void;
    print(line: string): void;
    onLine(callback: (line: string) => void): void;
    resetReason(): "power" | "brownout" | "restart" | "watchdog" | "crash" | "unknown";
    restart(): void;
    watchdog(timeoutMs: number): void;
    retainedRead(): ArrayBuffer | undefined;
    retainedWrite(bytes: Uint8Array): void;
    usedBytes(): number;
  };
}
