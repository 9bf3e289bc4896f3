/** All commands by name; each is loaded when it is asked for, so that the command starts fast. */
import type { Command } from "./command.ts";

interface Entry {
  readonly summary: string;
  load(): Promise<Command>;
}

export const COMMANDS: Readonly<Record<string, Entry>> = {
  devices: {
    summary: "list serial ports or BLE machines, and who answers on each",
    load: async () => (await import("./commands/devices.ts")).devices,
  },
  flash: {
    summary: "write a firmware image to an ESP board",
    load: async () => (await import("./commands/flash.ts")).flash,
  },
  monitor: {
    summary: "show what a device says on its serial port",
    load: async () => (await import("./commands/monitor.ts")).monitor,
  },
  claim: {
    summary: "make a new device yours",
    load: async () => (await import("./commands/claim.ts")).claim,
  },
  info: {
    summary: "how a device stands",
    load: async () => (await import("./commands/info.ts")).info,
  },
  settings: {
    summary: "read or change a device's settings",
    load: async () => (await import("./commands/settings.ts")).settings,
  },
  "price-list": {
    summary: "read or replace what a machine sells",
    load: async () => (await import("./commands/price-list.ts")).priceList,
  },
  channels: {
    summary: "list a device's channels",
    load: async () => (await import("./commands/channels.ts")).channels,
  },
  close: {
    summary: "end channels: their money goes to your payout key",
    load: async () => (await import("./commands/close.ts")).close,
  },
  logs: {
    summary: "what a device noted",
    load: async () => (await import("./commands/logs.ts")).logs,
  },
  backup: {
    summary: "save a device's settings and channels, encrypted",
    load: async () => (await import("./commands/backup.ts")).backup,
  },
  restore: {
    summary: "put a backup's settings on another device",
    load: async () => (await import("./commands/restore.ts")).restore,
  },
  update: {
    summary: "send a signed image to a device",
    load: async () => (await import("./commands/update.ts")).update,
  },
  "sign-update": {
    summary: "sign an image with the release key, or make that key",
    load: async () => (await import("./commands/sign-update.ts")).signUpdate,
  },
  "verify-update": {
    summary: "check an update file as a device does",
    load: async () => (await import("./commands/verify-update.ts")).verifyUpdate,
  },
  wifi: {
    summary: "tell a device which network to join",
    load: async () => (await import("./commands/wifi.ts")).wifi,
  },
  reboot: {
    summary: "start a device anew",
    load: async () => (await import("./commands/reboot.ts")).reboot,
  },
  pay: {
    summary: "buy at a machine, from a wallet in a folder",
    load: async () => (await import("./commands/pay.ts")).pay,
  },
  virtual: {
    summary: "run machines that are not there, and buy from them",
    load: async () => (await import("./commands/virtual.ts")).virtual,
  },
};
