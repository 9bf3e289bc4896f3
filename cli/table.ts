/** All commands by name; each is loaded when it is asked for, so that the command starts fast. */
import type { Command } from "./command.ts";

interface Entry {
  readonly summary: string;
  load(): Promise<Command>;
}

export const COMMANDS: Readonly<Record<string, Entry>> = {
  devices: {
    summary: "list serial ports (and BLE devices) and what answers on each",
    load: async () => (await import("./commands/devices.ts")).devices,
  },
  flash: {
    summary: "write a firmware image to an ESP board",
    load: async () => (await import("./commands/flash.ts")).flash,
  },
  pay: {
    summary: "buy at a machine, from a wallet in a folder",
    load: async () => (await import("./commands/pay.ts")).pay,
  },
  monitor: {
    summary: "show what a device says on its serial port",
    load: async () => (await import("./commands/monitor.ts")).monitor,
  },
};
