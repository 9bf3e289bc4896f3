/** An Improv client on BLE as a web page is one, written from improv-wifi.com/ble alone: reads, subscribes, writes. */
import {
  type Noble,
  type NobleCharacteristic,
  type NoblePeripheral,
  startNoble,
} from "../../host-sim/ble/stacks.ts";
import type { Controller } from "../../host-sim/ble/virtual-radio.ts";

const BASE = "0046776862282272466327747826800";
const SERVICE = `${BASE}0`;
const NUS = "6e400001b5a3f393e0a9e50e24dcca9e";
/** So that commands take several writes. */
const PIECE_BYTES = 18;
const ANSWER_MS = 30_000;
const SCAN_TURNS = 70;

export class ImprovClient {
  readonly states: number[] = [];
  private readonly results: Buffer[] = [];
  private readonly errors: number[] = [];

  private constructor(
    private readonly noble: Noble,
    private readonly peripheral: NoblePeripheral,
    private readonly characteristics: readonly NobleCharacteristic[],
  ) {}

  /** The first device in reach. */
  static async connect(controller: Controller): Promise<ImprovClient> {
    const noble = await startNoble(controller);
    let peripheral: NoblePeripheral | undefined;
    noble.once("discover", (found: NoblePeripheral) => {
      peripheral = found;
    });
    // The virtual controller tells of an advertiser once, when a scan begins.
    while (!peripheral) {
      await noble.startScanningAsync([NUS], false);
      for (let turn = 0; turn < SCAN_TURNS && !peripheral; turn++) {
        await new Promise((wake) => setTimeout(wake, 10));
      }
      await noble.stopScanningAsync();
    }
    await peripheral.connectAsync({ mtu: 247 });
    const { characteristics } = await peripheral.discoverSomeServicesAndCharacteristicsAsync(
      [SERVICE],
      [],
    );
    const client = new ImprovClient(noble, peripheral, characteristics);
    await client.listen();
    return client;
  }

  async capabilities(): Promise<number> {
    return (await this.named(5).readAsync())[0] as number;
  }

  async state(): Promise<number> {
    return (await this.named(1).readAsync())[0] as number;
  }

  sendWifi(ssid: string, password: string): Promise<readonly string[]> {
    const parts = [ssid, password].map((text) => Buffer.from(text));
    const data = parts.flatMap((part) => [Buffer.from([part.length]), part]);
    return this.call(1, Buffer.concat(data));
  }

  /** The strings of the result; rejects with the error state. */
  async call(command: number, data: Buffer = Buffer.alloc(0)): Promise<readonly string[]> {
    this.results.length = 0;
    this.errors.length = 0;
    const body = Buffer.concat([Buffer.from([command, data.length]), data]);
    const sum = body.reduce((total, byte) => total + byte, 0) & 0xff;
    const whole = Buffer.concat([body, Buffer.from([sum])]);
    for (let at = 0; at < whole.length; at += PIECE_BYTES) {
      await this.named(3).writeAsync(whole.subarray(at, at + PIECE_BYTES), false);
    }
    for (const until = Date.now() + ANSWER_MS; Date.now() < until; ) {
      const error = this.errors.find((one) => one !== 0);
      if (error !== undefined) throw new Error(`error ${error}`);
      const [result] = this.results;
      if (result) return stringsOf(result, command);
      await new Promise((wake) => setTimeout(wake, 5));
    }
    throw new Error("no answer");
  }

  async close(): Promise<void> {
    await this.peripheral.disconnectAsync().catch(() => {});
    this.noble.removeAllListeners();
    this.noble.stop();
  }

  private async listen(): Promise<void> {
    this.named(1).on("data", (data: Buffer) => {
      const [state] = data;
      // The same state told twice is one.
      if (state !== undefined && state !== this.states.at(-1)) this.states.push(state);
    });
    this.named(2).on("data", (data: Buffer) => this.errors.push(data[0] as number));
    this.named(4).on("data", (data: Buffer) => this.results.push(data));
    for (const last of [1, 2, 4]) await this.named(last).subscribeAsync();
  }

  private named(last: number): NobleCharacteristic {
    const found = this.characteristics.find(({ uuid }) => uuid === `${BASE}${last}`);
    if (!found) throw new Error(`the device has no characteristic …${last}`);
    return found;
  }
}

function stringsOf(result: Buffer, command: number): readonly string[] {
  const sum = result.subarray(0, -1).reduce((total, byte) => total + byte, 0) & 0xff;
  if (result[0] !== command || result[1] !== result.length - 3 || result.at(-1) !== sum) {
    throw new Error(`not a result: ${result.toString("hex")}`);
  }
  const strings: string[] = [];
  for (let at = 2; at < result.length - 1; ) {
    const end = at + 1 + (result[at] as number);
    strings.push(result.subarray(at + 1, end).toString());
    at = end;
  }
  return strings;
}
