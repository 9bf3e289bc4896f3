/** Improv over BLE on bad days: broken commands, an owner, many networks, two wishes at once. */
import { beforeEach, describe, expect, it } from "vitest";
import type { BleImprovDriver } from "../../../firmware/links/drivers.ts";
import { ImprovDesk, type Network, PROVISION_MS } from "../../../firmware/links/improv.ts";
import {
  IMPROV_CAPABILITIES,
  IMPROV_ERROR,
  IMPROV_RESULT,
  IMPROV_STATE,
  ImprovBle,
} from "../../../firmware/links/improv-ble.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { breath } from "../../support/node-pair.ts";

let clock: FakeClock;
let values: Map<string, number[]>;
let states: number[];
let driver: BleImprovDriver;
let isClaimed: boolean;
let networks: Network[];
let join: (ssid: string, password: string) => Promise<string | undefined>;
let shown: number;
let isProvisioned: boolean;

beforeEach(() => {
  clock = new FakeClock();
  values = new Map();
  states = [];
  isClaimed = false;
  networks = [];
  shown = 0;
  isProvisioned = false;
  join = async () => "http://vend-7.local";
  driver = {
    onCommand: () => {},
    setValue: (uuid, value) => {
      values.set(uuid, [...value]);
      if (uuid === IMPROV_STATE) states.push(value[0] as number);
    },
  };
  const desk = new ImprovDesk({
    clock,
    info: () => ["picobolt", "0.2.0", "esp32c3", "vend-7"],
    mayProvision: () => !isClaimed,
    isProvisioned: () => isProvisioned,
    provision: async (ssid, password) => {
      const page = await join(ssid, password);
      isProvisioned = true;
      return page;
    },
    identify: () => void shown++,
    scan: (onFound) => {
      for (const one of networks) onFound(one);
      onFound(undefined);
    },
  });
  new ImprovBle(desk, driver);
});

const error = () => values.get(IMPROV_ERROR)?.[0];
const result = () => Buffer.from(values.get(IMPROV_RESULT) ?? []);

function command(...body: number[]): void {
  const sum = body.reduce((total, byte) => total + byte, 0) & 0xff;
  driver.onCommand(Uint8Array.of(...body, sum));
}

function sendWifi(ssid: string, password: string): void {
  const data = [ssid, password].flatMap((text) => {
    const bytes = [...Buffer.from(text)];
    return [bytes.length, ...bytes];
  });
  command(1, data.length, ...data);
}

describe("a new device", () => {
  it("says what it can and that it waits for a network", () => {
    expect(values.get(IMPROV_CAPABILITIES)).toEqual([7]);
    expect(values.get(IMPROV_STATE)).toEqual([2]);
    expect(error()).toBe(0);
  });

  it("identifies itself", () => {
    command(2, 0);
    expect(shown).toBe(1);
  });

  it("lists networks, strongest first, each once, as many as one answer holds", () => {
    networks = Array.from({ length: 40 }, (_, i) => ({
      ssid: `network number ${i % 30}`,
      rssi: -90 + i,
      isOpen: i === 39,
    }));
    command(4, 0);
    const text = result().toString("latin1");
    expect(result()[0]).toBe(4);
    expect(result()[1]).toBe(result().length - 3);
    expect(text).toContain("network number 9\x03-51\x02NO");
    expect(text.match(/network number \d+/g)?.length).toBe(9);
    expect(text.indexOf("network number 8\x03")).toBeGreaterThan(text.indexOf("network number 9"));
  });
});

describe("commands that are none", () => {
  it.each([
    ["a wrong checksum", [3, 0, 9], 1],
    ["more bytes than it says", [3, 0, 3, 3], 1],
    ["nothing but credentials that end too early", [1, 3, 5, 65, 66, 142], 1],
    ["an unknown number", [99, 0, 99], 2],
    ["an empty network name", [1, 2, 0, 0, 3], 1],
  ])("%s: the error state says so", (_, bytes, code) => {
    driver.onCommand(Uint8Array.from(bytes));
    expect(error()).toBe(code);
    command(3, 0);
    expect(error()).toBe(0);
    expect(result().toString()).toContain("esp32c3");
  });

  it("a command that never ends is over with the next one that does not fit behind it", () => {
    driver.onCommand(Uint8Array.of(1, 250, 1, 2, 3));
    for (let i = 0; i < 60 && error() !== 1; i++) driver.onCommand(new Uint8Array(20));
    expect(error()).toBe(1);
    command(3, 0);
    expect(error()).toBe(0);
  });
});

describe("giving it a network", () => {
  it("tells each step, and where its page is", async () => {
    sendWifi("shop", "secret password");
    expect(states.at(-1)).toBe(3);
    await breath();
    expect(states).toEqual([2, 2, 3, 4]);
    expect(result().subarray(3, -1).toString()).toBe("http://vend-7.local");
  });

  it("with another wish while it joins: that one waits, nothing is mixed up", async () => {
    const asked: string[] = [];
    let joined = (_: string | undefined) => {};
    join = (ssid) => {
      asked.push(ssid);
      return new Promise((resolve) => {
        joined = resolve;
      });
    };
    sendWifi("first", "12345678");
    sendWifi("second", "12345678");
    expect(asked).toEqual(["first"]);
    joined(undefined);
    await breath();
    expect(states.at(-1)).toBe(4);
  });

  it("that never answers: unable to connect, and ready again", async () => {
    join = () => new Promise(() => {});
    sendWifi("far away", "12345678");
    clock.advance(PROVISION_MS);
    await breath();
    expect(error()).toBe(3);
    expect(states.at(-1)).toBe(2);
  });

  it("of a device that has an owner: not authorized, whoever asks", async () => {
    isClaimed = true;
    let asked = 0;
    join = async () => {
      asked++;
      return undefined;
    };
    sendWifi("thief", "12345678");
    await breath();
    expect(error()).toBe(4);
    expect(asked).toBe(0);
    expect(states.at(-1)).toBe(1);
  });
});
