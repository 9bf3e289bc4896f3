/** Drivers against classes that behave as the SDK's sources say: a UART that throws when full, notifications that are acknowledged later. */
import { beforeEach, describe, expect, it, vi } from "vitest";
import {
  blePeripheral,
  LEAST_WRITE_BYTES,
  MAX_NOTIFICATIONS,
} from "../../firmware/drivers/ble-peripheral.ts";
import { openUart } from "../../firmware/drivers/serial.ts";
import type { BleConnection } from "../../firmware/links/drivers.ts";

interface SerialOptions {
  onReadable(this: unknown, count: number): void;
  onWritable(this: unknown, count: number): void;
}

interface Central {
  maximumWrite?: number;
  closed: boolean;
  close(): void;
  notify(tx: unknown, value: ArrayBuffer, callback: (error?: Error) => void): void;
}

interface ServerOptions {
  onReady(): void;
  onConnect(central: Central): void;
  services: [{ characteristics: [unknown, { onSubscribe(central: Central): void }] }];
}

const made = vi.hoisted(() => ({
  serial: undefined as unknown as {
    options: SerialOptions;
    sent: number[];
    room: number;
    incoming: number[];
  },
  server: undefined as unknown as { options: ServerOptions; advertised: unknown[] },
}));

vi.mock("embedded:io/serial", () => ({
  default: class {
    sent: number[] = [];
    incoming: number[] = [];
    room = 0;
    constructor(readonly options: SerialOptions) {
      made.serial = this;
    }
    read() {
      return new Uint8Array(this.incoming.splice(0)).buffer;
    }
    write(buffer: ArrayBuffer) {
      if (!(buffer instanceof ArrayBuffer)) throw new TypeError("a view");
      if (buffer.byteLength > this.room) throw new Error("output full");
      this.room -= buffer.byteLength;
      this.sent.push(...new Uint8Array(buffer));
    }
  },
}));

vi.mock("embedded:io/bluetoothle/peripheral", () => ({
  GATTServer: class {
    static properties = { notify: 16, write: 8, writeWithOutResponse: 4 };
    advertised: unknown[] = [];
    constructor(readonly options: object) {
      made.server = this as never;
    }
    startAdvertising(scan: object, response: object) {
      this.advertised.push({ ...scan, ...response });
    }
    stopAdvertising() {}
  },
}));

describe("a UART", () => {
  const uart = () => openUart("uart", { port: 1, receive: 1, transmit: 2, baud: 115_200 });
  const writable = (count: number) => {
    made.serial.room = count;
    made.serial.options.onWritable.call(made.serial, count);
  };

  it("keeps bytes until there is room, and sends them in order, never more than fit", () => {
    const driver = uart();
    const bytes = Uint8Array.from({ length: 300 }, (_, i) => i % 251);
    driver.write(bytes.subarray(0, 200));
    driver.write(bytes.subarray(200));
    for (let i = 0; i < 10; i++) writable(128);
    expect(made.serial.sent).toEqual([...bytes]);
  });

  it("passes on what arrived", () => {
    const driver = uart();
    const seen: number[] = [];
    driver.onBytes = (bytes) => seen.push(...bytes);
    made.serial.incoming = [1, 2, 3];
    made.serial.options.onReadable.call(made.serial, 3);
    expect(seen).toEqual([1, 2, 3]);
  });
});

describe("the BLE peripheral", () => {
  let connection: BleConnection;
  let acknowledge: ((error?: Error) => void)[];
  let central: Central;

  beforeEach(() => {
    const driver = blePeripheral();
    driver.advertise("kiosk");
    made.server.options.onReady();
    driver.onConnected = (one) => {
      connection = one;
    };
    acknowledge = [];
    central = {
      closed: false,
      close: () => {
        central.closed = true;
      },
      notify: (_tx, _value, callback) => acknowledge.push(callback),
    };
    made.server.options.onConnect(central);
    const [, tx] = made.server.options.services[0].characteristics;
    tx.onSubscribe(central);
  });

  it("advertises on while a customer is there: the next one must hear that it has to wait", () => {
    expect(made.server.advertised.length).toBe(2);
  });

  it("writes 20 bytes until a larger MTU is negotiated", () => {
    expect(connection.maxWrite).toBe(LEAST_WRITE_BYTES);
    central.maximumWrite = 244;
    expect(connection.maxWrite).toBe(244);
  });

  it("says that it is full, and when it is not any more", () => {
    let freed = 0;
    connection.onWritable = () => {
      freed += 1;
    };
    for (let i = 0; i < MAX_NOTIFICATIONS; i++)
      expect(connection.send(new Uint8Array(20))).toBe(true);
    expect(connection.send(new Uint8Array(20))).toBe(false);
    acknowledge[0]?.();
    expect(freed).toBe(1);
    expect(connection.send(new Uint8Array(20))).toBe(true);
  });

  it("ends where a notification is lost: the stream would have a hole", () => {
    let reason = "";
    connection.onClosed = (why) => {
      reason = why;
    };
    connection.send(new Uint8Array(20));
    acknowledge[0]?.(new Error("no memory"));
    expect(reason).toContain("no memory");
    expect(central.closed).toBe(true);
    expect(connection.send(new Uint8Array(1))).toBe(false);
  });
});
