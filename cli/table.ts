/** All commands by name; each is loaded when it is asked for, so that the command starts fast. */
import type { Command } from "./command.ts";

interface Entry {
  readonly summary: string;
  /** An older name: it works, and help does not list it. */
  readonly isHidden?: boolean;
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
    summary: "save a device's settings and channels, encrypted; tell of a gateway's backups",
    load: async () => (await import("./commands/backup.ts")).backup,
  },
  owner: {
    summary: "the owner's key as 24 words, and back",
    load: async () => (await import("./commands/owner.ts")).owner,
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
  invoice: {
    summary: "show what an invoice says, and its QR code; make, list and await your gateway's",
    load: async () => (await import("./commands/invoice.ts")).invoice,
  },
  gateway: {
    summary: "run a gateway: the devices' way to Bitcoin and to each other",
    load: async () => (await import("./commands/gateway.ts")).gateway,
  },
  doctor: {
    summary: "check everything a gateway needs, and say what to do",
    load: async () => (await import("./commands/doctor.ts")).doctor,
  },
  macaroon: {
    summary: "make, narrow, show and revoke what lets programs use a gateway",
    load: async () => (await import("./commands/macaroon.ts")).macaroon,
  },
  seed: {
    summary: "make, show, restore and lock a gateway's seed",
    load: async () => (await import("./commands/seed.ts")).seed,
  },
  tower: {
    summary: "who watches for a gateway, and for whom it watches",
    load: async () => (await import("./commands/tower.ts")).tower,
  },
  "restore-gateway": {
    summary: "bring a gateway's channels back from its backups",
    load: async () => (await import("./commands/restore-gateway.ts")).restoreGateway,
  },
  "broker-config": {
    summary: "write mosquitto's TLS, passwords and access list for a gateway and its devices",
    load: async () => (await import("./commands/broker-config.ts")).brokerConfig,
  },
  discover: {
    summary: "list gateways, towers and nodes on this network",
    load: async () => (await import("./commands/discover.ts")).discover,
  },
  node: {
    summary: "who your gateway is, and how it stands",
    load: async () => (await import("./commands/node.ts")).node,
  },
  alerts: {
    summary: "what of your gateway, its channels and its devices needs a person now",
    load: async () => (await import("./commands/alerts.ts")).alerts,
  },
  peer: {
    summary: "list, connect and disconnect your gateway's peers",
    load: async () => (await import("./commands/peer.ts")).peer,
  },
  channel: {
    summary: "list, open, pay in and close your gateway's channels",
    load: async () => (await import("./commands/channel.ts")).channel,
  },
  device: {
    summary: "your gateway's fleet: list, claim, revoke; prices, settings, what was sold",
    load: async () => (await import("./commands/device.ts")).fleetDevice,
  },
  rollout: {
    summary: "send a signed image to the fleet in stages, with a halt where it does harm",
    load: async () => (await import("./commands/rollout.ts")).rollout,
  },
  wallet: {
    summary: "your gateway's coins: address, balance, withdraw",
    load: async () => (await import("./commands/wallet.ts")).wallet,
  },
  settle: {
    summary:
      "sweep, open and rebalance as your gateway's settings allow; or show what that would be",
    load: async () => (await import("./commands/settle.ts")).settle,
  },
  income: {
    summary: "what your gateway's devices got and gave, by day",
    load: async () => (await import("./commands/income.ts")).income,
  },
  payment: {
    summary: "pay invoices from your gateway, and list its payments",
    load: async () => (await import("./commands/payment.ts")).payment,
  },
  completion: {
    summary: "write the script with which bash, zsh or fish completes these commands",
    load: async () => (await import("./commands/completion.ts")).completion,
  },
  virtual: {
    summary: "run machines that are not there, and buy from them",
    load: async () => (await import("./commands/virtual.ts")).virtual,
  },
};
