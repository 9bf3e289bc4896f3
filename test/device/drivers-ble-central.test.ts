/** The BLE central against a client that queues requests and acknowledges writes later, as the SDK's bleclient.js does. */
import { beforeEach, describe, expect, it, vi } from "vitest";
import { bleCentral, MAX_WRITES } from "../../firmware/drivers/ble-central.ts";
import {
  type BleCentralDriver,
  type BleConnection,
  NUS_RX,
  NUS_SERVICE,
  NUS_TX,
} from "../../firmware/links/drivers.ts";

type Callback<T> = (error: Error | null, value: T) => void;

interface ClientOptions {
  readonly address: string;
  onReady(): void;
  onError(error?: Error): void;
  onReadable(this: unknown, count: number): void;
}

const made = vi.hoisted(() => ({
  scanner: undefined as unknown as {
    options: { services: string[]; onReadable(this: unknown, count: number): void };
    heard: object[];
    isClosed: boolean;
  },
  client: undefined as unknown as {
    options: ClientOptions;
    services: object[];
    characteristics: object[];
    subscribed: ((error?: Error) => void) | undefined;
    written: [object, number[], Callback<void>][];
    values: (ArrayBuffer & { handle: number })[];
    maximumWrite: number;
    isClosed: boolean;
  },
}));

vi.mock("embedded:io/bluetoothle/central", () => ({
  GAPClient: class {
    heard: object[] = [];
    isClosed = false;
    constructor(readonly options: object) {
      made.scanner = this as never;
    }
    read() {
      return this.heard.shift();
    }
    close() {
      if (this.isClosed) throw new Error("closed twice");
      this.isClosed = true;
    }
  },
  GATTClient: class {
    services: object[] = [{}];
    // The SDK's C writes UUIDs as NimBLE does; drivers compare in small letters.
    characteristics = [
      { uuid: NUS_RX.toUpperCase(), handle: 3 },
      { uuid: NUS_TX, handle: 5 },
    ];
    subscribed: ((error?: Error) => void) | undefined;
    written: unknown[] = [];
    values: unknown[] = [];
    maximumWrite = 20;
    isClosed = false;
    constructor(readonly options: ClientOptions) {
      made.client = this as never;
    }
    getPrimaryServices(_uuids: string[], callback: Callback<object[]>) {
      callback(null, this.services);
    }
    getCharacteristics(_service: object, _uuids: string[], callback: Callback<object[]>) {
      callback(null, this.characteristics);
    }
    subscribe(_characteristic: object, callback: (error?: Error) => void) {
      this.subscribed = callback;
    }
    read() {
      return this.values.shift();
    }
    write(what: object, value: Uint8Array, _options: object, callback: Callback<void>) {
      if (this.isClosed) throw new Error("closing");
      this.written.push([what, [...value], callback]);
    }
    close() {
      this.isClosed = true;
    }
  },
}));

let timeout: { delayMs: number; work(): void } | undefined;
let central: BleCentralDriver;
beforeEach(() => {
  timeout = undefined;
  central = bleCentral({
    nowMs: () => 0,
    nowSeconds: () => undefined,
    after: (delayMs, work) => {
      timeout = { delayMs, work };
      return () => {
        timeout = undefined;
      };
    },
  });
});

async function connected(): Promise<BleConnection> {
  const connecting = central.connect("11:22:33:44:55:66/1");
  made.client.options.onReady();
  made.client.subscribed?.();
  return connecting;
}

describe("a scan", () => {
  it("looks for the UART service, tells each machine once, and ends once", () => {
    const found: object[] = [];
    const stop = central.scan((one) => found.push(one));
    expect(made.scanner.options.services).toEqual([NUS_SERVICE]);
    const kiosk = { address: "11:22:33:44:55:66/1", name: "kiosk" };
    made.scanner.heard = [kiosk, kiosk, { address: "21:22:33:44:55:66/0" }];
    made.scanner.options.onReadable.call(made.scanner, 3);
    expect(found).toEqual([kiosk, { address: "21:22:33:44:55:66/0", name: "" }]);
    stop();
    stop();
    expect(made.scanner.isClosed).toBe(true);
  });
});

describe("connecting", () => {
  it("is done when notifications are on, and its timeout is off then", async () => {
    const connection = await connected();
    expect(connection.address).toBe("11:22:33:44:55:66/1");
    expect(timeout).toBeUndefined();
  });

  it("fails with a reason: no answer, no service, no characteristic, a lost connection", async () => {
    const lacking: [string, () => void][] = [
      ["it did not answer in time", () => timeout?.work()],
      ["it is gone", () => made.client.options.onError(new Error("it is gone"))],
      [
        "it has no Nordic UART service",
        () => {
          made.client.services = [];
          made.client.options.onReady();
        },
      ],
      [
        "its Nordic UART service is incomplete",
        () => {
          made.client.characteristics.pop();
          made.client.options.onReady();
        },
      ],
      [
        "it refuses notifications",
        () => {
          made.client.options.onReady();
          made.client.subscribed?.(new Error("no"));
        },
      ],
    ];
    for (const [words, happen] of lacking) {
      const connecting = central.connect("11:22:33:44:55:66/1");
      happen();
      await expect(connecting).rejects.toThrow(words);
      expect(made.client.isClosed).toBe(true);
      expect(timeout).toBeUndefined();
    }
  });
});

describe("a connection", () => {
  it("writes to RX, at most so many at a time, and says when there is room again", async () => {
    const connection = await connected();
    let freed = 0;
    connection.onWritable = () => {
      freed += 1;
    };
    for (let i = 0; i < MAX_WRITES; i++) expect(connection.send(Uint8Array.of(i))).toBe(true);
    expect(connection.send(Uint8Array.of(9))).toBe(false);
    const [what, bytes, acknowledge] = made.client.written[0] as (typeof made.client.written)[0];
    expect([what, bytes]).toEqual([{ uuid: NUS_RX.toUpperCase(), handle: 3 }, [0]]);
    acknowledge(null, undefined);
    expect(freed).toBe(1);
    made.client.maximumWrite = 244;
    expect(connection.maxWrite).toBe(244);
  });

  it("passes on TX's notifications, and nobody else's", async () => {
    const connection = await connected();
    const seen: number[] = [];
    connection.onBytes = (bytes) => seen.push(...bytes);
    const value = (handle: number, byte: number) =>
      Object.assign(Uint8Array.of(byte).buffer, { handle });
    made.client.values = [value(5, 1), value(7, 2), value(5, 3)];
    made.client.options.onReadable.call(made.client, 3);
    expect(seen).toEqual([1, 3]);
  });

  it.each([
    ["the radio loses it", () => made.client.options.onError(new Error("gone")), "gone"],
    ["a write fails", () => made.client.written[0]?.[2](new Error("no"), undefined), "closed here"],
  ])("ends once where %s", async (_how, happen, reason) => {
    const connection = await connected();
    const reasons: string[] = [];
    connection.onClosed = (why) => reasons.push(why);
    connection.send(Uint8Array.of(1));
    happen();
    connection.close();
    expect(reasons).toEqual([reason]);
    expect(connection.send(Uint8Array.of(1))).toBe(false);
    expect(connection.maxWrite).toBe(20);
  });
});
