/** The BLE peripheral against a server that asks and behaves as the SDK's bleserver.c (8.2.3) does: strict about callbacks, careless about ends. */
import { beforeEach, describe, expect, it, vi } from "vitest";
import {
  blePeripheral,
  LEAST_WRITE_BYTES,
  MAX_NOTIFICATIONS,
} from "../../firmware/drivers/ble-peripheral.ts";
import type { BleRadio } from "../../firmware/drivers/ble-radio.ts";
import { type BleConnection, NUS_RX, NUS_TX } from "../../firmware/links/drivers.ts";
import {
  IMPROV_COMMAND,
  IMPROV_RESULT,
  IMPROV_SERVICE,
  IMPROV_STATE,
} from "../../firmware/links/improv-ble.ts";

interface Characteristic {
  readonly uuid: string;
  readonly properties: number;
  onRead?(central: Central): ArrayBuffer;
  onWrite?(value: ArrayBuffer, central: Central): void;
  onSubscribe?(central: Central): void;
  onUnsubscribe?(central: Central): void;
}

interface Options {
  readonly services: readonly {
    readonly uuid: string;
    readonly characteristics: readonly Characteristic[];
  }[];
  onReady(): void;
  onConnect(central: Central): void;
  onDisconnect(central: Central): void;
}

interface Advertised {
  readonly services?: readonly string[];
  readonly name?: string;
  readonly [type: number]: Uint8Array;
}

const made = vi.hoisted(() => ({
  options: undefined as unknown as Options,
  advertised: [] as [Advertised, Advertised][],
}));

vi.mock("embedded:io/bluetoothle/peripheral", () => ({
  GATTServer: class {
    static properties = { read: 2, notify: 16, write: 8, writeWithOutResponse: 4 };
    constructor(options: Options) {
      made.options = options;
      for (const one of options.services.flatMap(({ characteristics }) => characteristics)) {
        const { properties: p } = one;
        const isConsistent =
          !one.onRead === !(p & 2) &&
          !one.onWrite === !(p & 12) &&
          !one.onUnsubscribe === !(p & 16);
        if (!isConsistent) throw new Error(`inconsistent callbacks of ${one.uuid}`);
      }
    }
    startAdvertising(scan: Advertised, response: Advertised) {
      for (const one of [scan, response]) {
        if (bytesOf(one) > 31) throw new RangeError("resize");
      }
      made.advertised.push([scan, response]);
    }
    stopAdvertising() {}
  },
}));

function bytesOf(advertised: Advertised): number {
  let bytes = 0;
  for (const [name, value] of Object.entries(advertised)) {
    if (name === "services") bytes += 2 + 16 * value.length;
    else if (name === "name") bytes += 2 + Buffer.byteLength(value);
    else bytes += name === "flags" ? 3 : 2 + value.length;
  }
  return bytes;
}

class Central {
  maximumWrite = LEAST_WRITE_BYTES;
  isTerminated = false;
  readonly told: [string, number[]][] = [];
  readonly sent: (((error: number) => void) | undefined)[] = [];
}

let areNotificationsOff: boolean;
const radio: BleRadio = {
  bleNotify(this: unknown, characteristic, value, onSent) {
    if (areNotificationsOff) throw new Error("disabled");
    const central = this as Central;
    central.told.push([(characteristic as Characteristic).uuid, [...new Uint8Array(value)]]);
    central.sent.push(onSent);
  },
  bleTerminate(connection) {
    (connection as Central).isTerminated = true;
  },
};

function characteristic(uuid: string): Characteristic {
  const all = made.options.services.flatMap(({ characteristics }) => characteristics);
  return all.find((one) => one.uuid === uuid) as Characteristic;
}

let driver: ReturnType<typeof blePeripheral>;
let connections: BleConnection[];
beforeEach(() => {
  made.advertised = [];
  areNotificationsOff = false;
  connections = [];
  driver = blePeripheral(radio);
  driver.onConnected = (one) => void connections.push(one);
});

function customer(): [Central, BleConnection] {
  const central = new Central();
  made.options.onConnect(central);
  characteristic(NUS_TX).onSubscribe?.(central);
  return [central, connections.at(-1) as BleConnection];
}

describe("what it advertises", () => {
  it("is the UART and its name, once the radio is ready, and on while a customer is there", () => {
    driver.advertise("kiosk");
    expect(made.advertised).toHaveLength(0);
    made.options.onReady();
    customer();
    expect(made.advertised).toHaveLength(2);
    expect(made.advertised[1]?.[1].name).toBe("kiosk");
  });

  it("fits, whatever the name: cut between characters", () => {
    made.options.onReady();
    driver.advertise("Süßigkeiten für alle müden Bürger");
    expect(made.advertised[0]?.[1].name).toBe("Süßigkeiten für alle müde");
  });

  it("has Improv's service while the device takes a network, and not afterwards", () => {
    made.options.onReady();
    driver.advertise("a machine of a long name");
    driver.improv.setValue(IMPROV_STATE, Uint8Array.of(2));
    const [scan, response] = made.advertised.at(-1) as [Advertised, Advertised];
    expect(response).toEqual({ services: [IMPROV_SERVICE], name: "a machine o" });
    expect([...(scan[0x16] as Uint8Array)]).toEqual([0x77, 0x46, 2, 0, 0, 0, 0, 0]);
    driver.improv.setValue(IMPROV_STATE, Uint8Array.of(4));
    expect(made.advertised.at(-1)?.[1]).toEqual({ name: "a machine of a long name" });
  });
});

describe("a customer's connection", () => {
  it("writes 20 bytes until a larger MTU is negotiated, and passes on what arrives", () => {
    const [central, connection] = customer();
    expect(connection.maxWrite).toBe(LEAST_WRITE_BYTES);
    central.maximumWrite = 244;
    expect(connection.maxWrite).toBe(244);
    const seen: number[] = [];
    connection.onBytes = (bytes) => seen.push(...bytes);
    characteristic(NUS_RX).onWrite?.(Uint8Array.of(1, 2).buffer, central);
    expect(seen).toEqual([1, 2]);
  });

  it("says that it is full, and when it is not any more", () => {
    const [central, connection] = customer();
    let freed = 0;
    connection.onWritable = () => {
      freed += 1;
    };
    for (let i = 0; i < MAX_NOTIFICATIONS; i++)
      expect(connection.send(Uint8Array.of(i))).toBe(true);
    expect(connection.send(Uint8Array.of(9))).toBe(false);
    central.sent[0]?.(0);
    expect(freed).toBe(1);
    expect(connection.send(Uint8Array.of(9))).toBe(true);
    expect(central.told.map(([, [first]]) => first)).toEqual([0, 1, 2, 3, 9]);
  });

  it.each([
    ["is lost", (central: Central) => central.sent[0]?.(6)],
    [
      "is refused",
      (_central: Central, connection: BleConnection) => {
        areNotificationsOff = true;
        connection.send(Uint8Array.of(1));
      },
    ],
  ])("ends where a notification %s: the stream would have a hole", (_how, happen) => {
    const [central, connection] = customer();
    const reasons: string[] = [];
    connection.onClosed = (why) => reasons.push(why);
    connection.send(new Uint8Array(20));
    happen(central, connection);
    expect(reasons).toHaveLength(1);
    expect(central.isTerminated).toBe(true);
    expect(connection.send(new Uint8Array(1))).toBe(false);
  });

  it("closed here, it is over at once; the radio's own end is told to nobody twice", () => {
    const [central, connection] = customer();
    const reasons: string[] = [];
    connection.onClosed = (why) => reasons.push(why);
    connection.onBytes = () => reasons.push("bytes");
    connection.close();
    characteristic(NUS_RX).onWrite?.(Uint8Array.of(1).buffer, central);
    characteristic(NUS_TX).onUnsubscribe?.(central);
    made.options.onDisconnect(central);
    expect(reasons).toEqual(["closed here"]);
    expect(central.isTerminated).toBe(true);
  });
});

describe("Improv beside it", () => {
  it("gives its values to readers, and to whoever watches them", () => {
    const central = new Central();
    made.options.onConnect(central);
    driver.improv.setValue(IMPROV_RESULT, Uint8Array.of(5));
    characteristic(IMPROV_RESULT).onSubscribe?.(central);
    driver.improv.setValue(IMPROV_RESULT, Uint8Array.of(7, 8));
    expect(central.told).toEqual([[IMPROV_RESULT, [7, 8]]]);
    const read = characteristic(IMPROV_RESULT).onRead?.(central) as ArrayBuffer;
    expect([...new Uint8Array(read)]).toEqual([7, 8]);
    made.options.onDisconnect(central);
    driver.improv.setValue(IMPROV_RESULT, Uint8Array.of(9));
    expect(central.told).toHaveLength(1);
  });

  it("takes commands, apart from the UART's bytes", () => {
    const seen: number[] = [];
    driver.improv.onCommand = (bytes) => seen.push(...bytes);
    const central = new Central();
    made.options.onConnect(central);
    characteristic(IMPROV_COMMAND).onWrite?.(Uint8Array.of(2, 0, 2).buffer, central);
    expect(seen).toEqual([2, 0, 2]);
  });
});
