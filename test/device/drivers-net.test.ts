/** MQTT, its certificate, and Wi-Fi against classes that behave as the SDK's sources say. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { derOf } from "../../firmware/drivers/certificate.ts";
import { mqttDriver } from "../../firmware/drivers/mqtt.ts";
import { wifiDriver } from "../../firmware/drivers/wifi.ts";
import type { MqttOptions } from "../../firmware/links/drivers.ts";

interface ClientOptions {
  readonly keepAlive: number;
  readonly will: { readonly topic: string; readonly retain: boolean };
  readonly socket: {
    readonly io: unknown;
    readonly secure?: { readonly certificate: ArrayBuffer };
  };
  onControl(message: object): void;
  onReadable(count: number, options: { more: boolean; topic?: string }): void;
  onError(): void;
}

const made = vi.hoisted(() => ({
  client: undefined as unknown as {
    options: ClientOptions;
    written: [unknown, Record<string, unknown>][];
    room: number;
    incoming: number[];
    isClosed: boolean;
  },
  wifi: undefined as unknown as {
    connection: number;
    tried: object[];
    isLeft: boolean;
    change(connection: number): void;
  },
  asked: [] as [string, (message: number, seconds?: number) => void][],
}));

vi.mock("embedded:io/socket/tcp", () => ({ default: "tcp" }));
vi.mock("embedded:io/socket/udp", () => ({ default: "udp" }));
vi.mock("embedded:io/socket/tcp/tls", () => ({ default: "tls" }));
vi.mock("embedded:network/dns/resolver/udp", () => ({ default: "resolver" }));
vi.mock("embedded:network/mqtt/client", () => ({
  default: class {
    static CONNACK = 2;
    static SUBSCRIBE = 8;
    written: [unknown, Record<string, unknown>][] = [];
    room = 1000;
    incoming: number[] = [];
    isClosed = false;
    constructor(readonly options: ClientOptions) {
      made.client = this;
    }
    read(count: number) {
      return Uint8Array.from(this.incoming.splice(0, count)).buffer;
    }
    write(data: Uint8Array | null, options: Record<string, unknown>) {
      if (this.isClosed) throw new TypeError("no socket");
      if ((data?.length ?? 0) > this.room) throw new Error("overflow");
      this.written.push([data, options]);
    }
    close() {
      this.isClosed = true;
    }
  },
}));
vi.mock("embedded:network/interface/wifi", () => ({
  default: class {
    connection = 200;
    tried: object[] = [];
    isLeft = false;
    constructor(readonly options: { onChanged(): void }) {
      made.wifi = this;
    }
    change(connection: number) {
      this.connection = connection;
      this.options.onChanged();
    }
    connect(options: object) {
      this.tried.push(options);
    }
    disconnect() {
      this.isLeft = true;
    }
    scan({ onFound, onComplete }: { onFound(found: object): void; onComplete(): void }) {
      onFound({ SSID: "home", RSSI: -50 });
      onFound({ SSID: "cafe", RSSI: -70, authentication: "none" });
      onComplete();
    }
  },
}));
vi.mock("sntp", () => ({
  default: class {
    static time = 1;
    constructor({ host }: { host: string }, callback: () => void) {
      made.asked.push([host, callback]);
    }
  },
}));

const told: unknown[] = [];
beforeEach(() => {
  told.length = 0;
  made.asked.length = 0;
});

describe("an MQTT connection", () => {
  const will = { topic: "gone", payload: Uint8Array.of(0), retain: true };
  const options = { host: "broker", port: 1883, clientId: "d", keepAliveSeconds: 60, will };
  const connect = (more: Partial<MqttOptions> = {}) =>
    mqttDriver(["1.1.1.1"]).connect(
      { ...options, ...more },
      {
        onConnected: () => told.push("connected"),
        onMessage: (topic, payload) => told.push([topic, [...payload]]),
        onClosed: (reason) => told.push(reason),
      },
    );

  it("leaves a will, counts milliseconds, and says when the broker has taken it", () => {
    connect();
    expect(made.client.options).toMatchObject({ keepAlive: 60_000, will: { topic: "gone" } });
    expect(made.client.options.socket).toEqual({ io: "tcp" });
    made.client.options.onControl({ operation: 2, returnCode: 0 });
    expect(told).toEqual(["connected"]);
  });

  it("tells a refusal in words, once", () => {
    connect();
    made.client.options.onControl({ operation: 2, returnCode: 5 });
    made.client.options.onError();
    expect(told).toEqual(["the broker refused user and password"]);
    expect(made.client.isClosed).toBe(true);
  });

  it("subscribes, and publishes what fits; what does not is dropped and said", () => {
    const connection = connect();
    connection.subscribe("orders/#");
    expect(made.client.written[0]).toEqual([
      null,
      { operation: 8, items: [{ topic: "orders/#" }] },
    ]);
    expect(connection.publish("up", Uint8Array.of(1), true)).toBe(true);
    expect(made.client.written[1]?.[1]).toEqual({ topic: "up", QoS: 0, retain: true });
    made.client.room = 10;
    expect(connection.publish("up", new Uint8Array(11), false)).toBe(false);
    connection.close();
    expect(connection.publish("up", Uint8Array.of(1), false)).toBe(false);
  });

  it("puts a message together of its pieces, and drops one that is too large", () => {
    connect();
    const arrive = (bytes: number[], more: boolean, topic?: string) => {
      made.client.incoming = bytes;
      const options = topic === undefined ? { more } : { more, topic };
      made.client.options.onReadable(bytes.length, options);
    };
    arrive([1, 2], true, "a");
    arrive([3], false);
    arrive(new Array(8_192).fill(0), true, "b");
    arrive([1], false);
    arrive([4], false, "c");
    expect(told).toEqual([
      ["a", [1, 2, 3]],
      ["c", [4]],
    ]);
  });

  it("gives TLS the certificate as DER, also where the owner's is PEM", () => {
    const folder = mkdtempSync(join(tmpdir(), "picobolt-ca-"));
    const file = (name: string) => join(folder, name);
    const words = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    const names = ["-subj", "/CN=broker", "-keyout", file("key"), "-out", file("pem")];
    execFileSync("openssl", ["req", ...words, ...names], { stdio: "ignore" });
    execFileSync("openssl", ["x509", "-in", file("pem"), "-outform", "der", "-out", file("der")]);
    const [pem, der] = ["pem", "der"].map((name) => new Uint8Array(readFileSync(file(name))));
    rmSync(folder, { recursive: true });
    expect(derOf(der as Uint8Array)).toEqual(der);
    connect({ tls: { ca: pem as Uint8Array } });
    const { io, secure } = made.client.options.socket;
    expect(io).toBe("tls");
    expect(new Uint8Array(secure?.certificate as ArrayBuffer)).toEqual(der);
  });
});

describe("Wi-Fi", () => {
  let work: (() => void)[];
  let seconds: number | undefined;
  const join = () => {
    work = [];
    seconds = undefined;
    const clock = {
      nowMs: () => 0,
      nowSeconds: () => seconds,
      setSeconds: (set: number) => {
        seconds = set;
      },
      after: (delayMs: number, then: () => void) => {
        told.push(delayMs);
        work.push(then);
        return () => {};
      },
    };
    const driver = wifiDriver(clock, "time.example");
    driver.onState = (...state) => told.push(state.length > 1 ? state : state[0]);
    driver.join("home", "secret");
    return driver;
  };

  it("joins, and asks the time where nobody has told it", () => {
    join();
    expect(made.wifi.tried).toEqual([{ SSID: "home", password: "secret" }]);
    made.wifi.change(400);
    made.wifi.change(500);
    expect(told).toEqual(["joined"]);
    made.asked[0]?.[1](1, 1_800_000_000);
    expect([made.asked[0]?.[0], seconds]).toEqual(["time.example", 1_800_000_000]);
  });

  it("tries again with growing pauses, and doubts the password after three", () => {
    join();
    for (let i = 0; i < 3; i++) {
      made.wifi.change(200);
      work.at(-1)?.();
    }
    expect(told).toEqual([2_000, 4_000, ["refused", expect.stringContaining("password")], 8_000]);
    expect(made.wifi.tried).toHaveLength(4);
  });

  it("says when the network is gone, comes back by itself, and leaves for good when told", () => {
    const driver = join();
    made.wifi.change(500);
    made.wifi.change(200);
    expect(told).toEqual(["joined", ["left", "the network is gone"], 1_000]);
    work.at(-1)?.();
    expect(made.wifi.tried).toHaveLength(2);
    driver.leave();
    made.wifi.change(200);
    expect(made.wifi.isLeft).toBe(true);
    expect(told).toHaveLength(3);
  });

  it("joins an open network without a password, and lists what it hears", () => {
    const driver = join();
    driver.join("cafe", "");
    expect(made.wifi.tried.at(-1)).toEqual({ SSID: "cafe" });
    const heard: unknown[] = [];
    driver.scan?.((found) => heard.push(found && [found.ssid, found.rssi, found.isOpen]));
    expect(heard).toEqual([["home", -50, false], ["cafe", -70, true], undefined]);
  });
});
