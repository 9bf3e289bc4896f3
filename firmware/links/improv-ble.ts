/** Improv over BLE: a service of five characteristics beside the Nordic UART (improv-wifi.com/ble, version 2.2). */
import { utf8Length } from "../../core/messages/utf8.ts";
import type { BleImprovDriver } from "./drivers.ts";
import { ImprovDesk, type ImprovHost, type ImprovLine, type Network, SEND_WIFI } from "./improv.ts";
import {
  checksum,
  decodeRpc,
  encodeRpc,
  ImprovError,
  MAX_RPC_BYTES,
  withChecksum,
} from "./improv-packet.ts";

export const IMPROV_SERVICE = "00467768-6228-2272-4663-277478268000";
export const IMPROV_STATE = "00467768-6228-2272-4663-277478268001";
export const IMPROV_ERROR = "00467768-6228-2272-4663-277478268002";
export const IMPROV_COMMAND = "00467768-6228-2272-4663-277478268003";
export const IMPROV_RESULT = "00467768-6228-2272-4663-277478268004";
export const IMPROV_CAPABILITIES = "00467768-6228-2272-4663-277478268005";

const IDENTIFY = 2;
const DEVICE_INFO = 3;
const SCAN = 4;
/** Command, length, checksum. */
const LEAST_BYTES = 3;

export class ImprovBle {
  private readonly desk: ImprovDesk;
  private readonly line: ImprovLine;
  /** What has come of a command that takes several writes. */
  private held = new Uint8Array(0);

  constructor(host: ImprovHost | ImprovDesk, driver: BleImprovDriver) {
    this.desk = host instanceof ImprovDesk ? host : new ImprovDesk(host);
    this.line = {
      state: (state) => driver.setValue(IMPROV_STATE, Uint8Array.of(state)),
      error: (error) => driver.setValue(IMPROV_ERROR, Uint8Array.of(error)),
      result: (command, strings) =>
        driver.setValue(IMPROV_RESULT, withChecksum(encodeRpc(command, strings))),
    };
    this.desk.add(this.line);
    driver.setValue(IMPROV_CAPABILITIES, Uint8Array.of(this.capabilities()));
    driver.setValue(IMPROV_RESULT, new Uint8Array(0));
    this.line.error(ImprovError.none);
    this.refresh();
    driver.onCommand = (bytes) => this.receive(bytes);
  }

  /** The device was claimed or released, or knows another network. */
  refresh(): void {
    this.line.state(this.desk.state);
  }

  private capabilities(): number {
    const { identify, scan } = this.desk.host;
    return (identify ? 1 : 0) | 2 | (scan ? 4 : 0);
  }

  /** A command may come in pieces; one that never ends is given up when the next one begins. */
  private receive(bytes: Uint8Array): void {
    const { held } = this;
    const all = new Uint8Array(held.length + bytes.length);
    all.set(held);
    all.set(bytes, held.length);
    const length = all.length < 2 ? LEAST_BYTES : (all[1] as number) + LEAST_BYTES;
    if (all.length < length) {
      this.held = all;
      return;
    }
    this.held = new Uint8Array(0);
    const body = all.subarray(0, all.length - 1);
    const isWhole = all.length === length && length <= MAX_RPC_BYTES + LEAST_BYTES;
    const rpc = isWhole && checksum(body) === all[all.length - 1] ? decodeRpc(body) : undefined;
    if (!rpc) {
      this.line.error(ImprovError.invalidCommand);
      return;
    }
    this.line.error(ImprovError.none);
    this.refresh();
    this.run(rpc);
  }

  private run(rpc: { readonly command: number; readonly data: Uint8Array }): void {
    const { line, desk } = this;
    const { command } = rpc;
    switch (command) {
      case SEND_WIFI:
        desk.sendWifi(line, rpc);
        break;
      case IDENTIFY:
        desk.host.identify?.();
        break;
      case DEVICE_INFO:
        line.result(command, desk.host.info());
        break;
      case SCAN:
        // All in one answer, as many as fit: three strings each.
        desk.scan((networks) => line.result(command, fitting(networks)));
        break;
      default:
        line.error(ImprovError.unknownCommand);
    }
  }
}

/** Whole networks only. */
function fitting(networks: readonly Network[]): readonly string[] {
  const strings: string[] = [];
  let room = MAX_RPC_BYTES;
  for (const { ssid, rssi, isOpen } of networks) {
    const three = [ssid, String(rssi), isOpen ? "NO" : "WPA2"];
    room -= three.reduce((sum, text) => sum + 1 + utf8Length(text), 0);
    if (room < 0) break;
    for (const text of three) strings.push(text);
  }
  return strings;
}
