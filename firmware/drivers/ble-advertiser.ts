/** What the device advertises: the Nordic UART service and its name; while it takes a Wi-Fi network, Improv's service too (improv-wifi.com/ble). */
import type { GATTServer } from "embedded:io/bluetoothle/peripheral";
import { utf8Length } from "../../core/messages/utf8.ts";
import { NUS_SERVICE } from "../links/drivers.ts";
import { IMPROV_SERVICE } from "../links/improv-ble.ts";
import { ImprovState } from "../links/improv-packet.ts";

/** An advertisement and a scan response have 31 bytes each; a record's header takes 2, a service's name 16. */
const MAX_NAME_BYTES = 31 - 2;
const MAX_NAME_BYTES_BESIDE_SERVICE = 31 - 2 - 16 - 2;
const FLAGS_GENERAL_NO_CLASSIC = 6;
/** "Service data" of Improv's number 0x4677. */
const SERVICE_DATA = 0x16;

export class BleAdvertiser {
  private server: GATTServer | undefined;
  private name: string | undefined;
  private state: number | undefined;
  private capabilities = 0;

  ready(server: GATTServer): void {
    this.server = server;
    this.again();
  }

  start(name: string): void {
    this.name = name;
    this.again();
  }

  stop(): void {
    this.name = undefined;
    this.server?.stopAdvertising();
  }

  setImprov(state: number | undefined, capabilities: number): void {
    if (state === this.state && capabilities === this.capabilities) return;
    this.state = state;
    this.capabilities = capabilities;
    this.again();
  }

  again(): void {
    const { server, name, state } = this;
    if (!server || name === undefined) return;
    server.stopAdvertising();
    const uart = { flags: FLAGS_GENERAL_NO_CLASSIC, services: [NUS_SERVICE] };
    if (state !== ImprovState.authorized) {
      server.startAdvertising(uart, { name: cut(name, MAX_NAME_BYTES) });
      return;
    }
    const data = Uint8Array.of(0x77, 0x46, state, this.capabilities, 0, 0, 0, 0);
    const short = cut(name, MAX_NAME_BYTES_BESIDE_SERVICE);
    server.startAdvertising(
      { ...uart, [SERVICE_DATA]: data },
      { services: [IMPROV_SERVICE], name: short },
    );
  }
}

/** Whole characters only. */
function cut(name: string, maxBytes: number): string {
  let out = "";
  let length = 0;
  for (const character of name) {
    length += utf8Length(character);
    if (length > maxBytes) break;
    out += character;
  }
  return out;
}
