/** The devices that were claimed from here: their names, and the network that each is on. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { NetworkName } from "../../core/chain/networks.ts";
import { EXIT, Failure } from "../failure.ts";
import { makePrivateFolder } from "../keys/home.ts";

export interface KnownDevice {
  readonly name: string;
  readonly network: NetworkName;
}

/** Until mainnet has seen more of it, nothing of value is at stake by mistake. */
export const DEFAULT_NETWORK: NetworkName = "regtest";
export const NETWORK_NAMES = ["mainnet", "testnet4", "signet", "regtest"] as const;

/** Throws a Failure for a name that is none. */
export function networkOf(words: string): NetworkName {
  const found = NETWORK_NAMES.find((name) => name === words);
  if (found) return found;
  throw new Failure(`there is no network "${words}"; use ${NETWORK_NAMES.join(", ")}`, EXIT.usage);
}

export function networkOfDevice(home: string, nodeId: Uint8Array): NetworkName {
  return knownDevices(home)[hex(nodeId)]?.network ?? DEFAULT_NETWORK;
}

export function rememberDevice(home: string, nodeId: Uint8Array, device: KnownDevice): void {
  makePrivateFolder(home);
  const all = { ...knownDevices(home), [hex(nodeId)]: device };
  writeFileSync(fileIn(home), `${JSON.stringify(all, undefined, 2)}\n`);
}

function knownDevices(home: string): Readonly<Record<string, KnownDevice>> {
  if (!existsSync(fileIn(home))) return {};
  return JSON.parse(readFileSync(fileIn(home), "utf8")) as Record<string, KnownDevice>;
}

function fileIn(home: string): string {
  return join(home, "devices.json");
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
