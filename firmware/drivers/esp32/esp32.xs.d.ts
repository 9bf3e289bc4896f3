/** The types of esp32.xs.js, which is the module picobolt/esp32 in a Moddable build. */
declare module "picobolt/esp32" {
  export const esp32: {
    resetReason(): "power" | "brownout" | "restart" | "watchdog" | "crash" | "unknown";
    restart(): void;
    watchdogStart(timeoutMs: number): void;
    watchdogFeed(): void;
    retainedSize(): number;
    retainedRead(): ArrayBuffer | undefined;
    retainedWrite(bytes: Uint8Array): void;
    freeBytes(): number;
    totalBytes(): number;
    print(line: string): void;
    isOnTrial(): boolean;
    confirm(): void;
    rollBack(): void;
    bleNotify(
      this: unknown,
      characteristic: unknown,
      value: ArrayBuffer,
      onSent?: (error: number) => void,
    ): void;
    bleTerminate(connection: unknown): void;
  };
}
