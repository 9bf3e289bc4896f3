/** Improv over a serial line, byte for byte as a web flasher speaks it. */
import { beforeEach, describe, expect, it } from "vitest";
import { ascii } from "../../../core/primitives/bytes.ts";
import { type ImprovHost, PROVISION_MS } from "../../../firmware/links/improv.ts";
import {
  encodeImprovPacket,
  encodeRpc,
  PacketType,
} from "../../../firmware/links/improv-packet.ts";
import { ImprovSerial } from "../../../firmware/links/improv-serial.ts";
import { FakeClock } from "../../support/fake-clock.ts";

const READY = "01 01 02";
const PROVISIONING = "01 01 03";
const PROVISIONED = "01 01 04";
const NO_ERROR = "02 01 00";

let clock: FakeClock;
let written: Uint8Array[];
let asked: (readonly [string, string])[];
let isClaimed: boolean;
let isJoined: boolean;
let join: () => Promise<string | undefined>;
let improv: ImprovSerial;

beforeEach(() => {
  clock = new FakeClock();
  written = [];
  asked = [];
  isClaimed = false;
  isJoined = false;
  join = async () => {
    isJoined = true;
    return "http://10.0.0.7";
  };
  const host: ImprovHost = {
    clock,
    info: () => ["picobolt", "0.2.0", "ESP32-C3", "coffee"],
    mayProvision: () => !isClaimed,
    isProvisioned: () => isJoined,
    provision: (ssid, password) => {
      asked.push([ssid, password]);
      return join();
    },
    scan: (onFound) => {
      onFound({ ssid: "weak", rssi: -80, isOpen: true });
      onFound({ ssid: "strong", rssi: -40, isOpen: false });
      onFound({ ssid: "weak", rssi: -70, isOpen: true });
      onFound({ ssid: "", rssi: -10, isOpen: true });
      onFound(undefined);
    },
  };
  improv = new ImprovSerial(host, (bytes) => written.push(bytes));
});

/** As a client frames it: without the line's end. */
function command(data: readonly number[]): void {
  improv.receive(encodeImprovPacket(PacketType.command, Uint8Array.from(data)).slice(0, -1));
}

/** Types, lengths and data of what was answered; header, checksum and line end are checked. */
function answers(): string[] {
  return written.splice(0).map((packet) => {
    expect([...packet.subarray(0, 7)]).toEqual([...ascii("IMPROV"), 1]);
    const sum = packet.subarray(0, -2).reduce((total, byte) => total + byte, 0) & 0xff;
    expect([packet.at(-2), packet.at(-1)]).toEqual([sum, 0x0a]);
    expect(packet[8]).toBe(packet.length - 11);
    return Buffer.from(packet.subarray(7, -2))
      .toString("hex")
      .replace(/..(?!$)/g, "$& ");
  });
}

const text = (value: string) => [value.length, ...ascii(value)];
const wifi = (ssid: string, password: string) => {
  const data = [...text(ssid), ...text(password)];
  return [1, data.length, ...data];
};
const result = (id: number, strings: readonly string[]) => {
  const rpc = encodeRpc(id, strings);
  return Buffer.from([4, rpc.length, ...rpc])
    .toString("hex")
    .replace(/..(?!$)/g, "$& ");
};
const settled = async () => {
  for (let i = 0; i < 10; i++) await Promise.resolve();
};

describe("a device that nobody owns", () => {
  it("tells its state: the packet of the specification", () => {
    improv.receive(Uint8Array.from([...ascii("IMPROV"), 1, 3, 2, 2, 0, 0xe5]));
    expect(Buffer.from(written[1] as Uint8Array).toString("hex")).toBe("494d50524f5601010102e20a");
    expect(answers()).toEqual([NO_ERROR, READY]);
  });

  it("joins a network: provisioning, provisioned, and where its page is", async () => {
    command(wifi("cafe", "12345678"));
    expect(answers()).toEqual([NO_ERROR, PROVISIONING]);
    await settled();
    expect(answers()).toEqual([PROVISIONED, result(1, ["http://10.0.0.7"])]);
    expect(asked).toEqual([["cafe", "12345678"]]);
  });

  it("that has a network already answers the question for its state under that command's number", () => {
    isJoined = true;
    command([2, 0]);
    expect(answers()).toEqual([NO_ERROR, PROVISIONED, result(2, [])]);
  });

  it("says that it could not connect, and may be asked again", async () => {
    join = async () => {
      throw new Error("wrong password");
    };
    command(wifi("cafe", "wrong"));
    await settled();
    expect(answers()).toEqual([NO_ERROR, PROVISIONING, "02 01 03", READY]);
    command(wifi("cafe", "right"));
    expect(asked).toHaveLength(2);
  });

  it("gives up on a network that never answers, and does not start twice meanwhile", async () => {
    join = () => new Promise(() => {});
    command(wifi("cafe", "x"));
    command(wifi("cafe", "x"));
    expect(asked).toHaveLength(1);
    answers();
    clock.advance(PROVISION_MS);
    await settled();
    expect(answers()).toEqual(["02 01 03", READY]);
  });

  it("tells what it is, and lists networks, strongest first and each once", () => {
    command([3, 0]);
    expect(answers()).toEqual([NO_ERROR, result(3, ["picobolt", "0.2.0", "ESP32-C3", "coffee"])]);
    command([4, 0]);
    const found = [["strong", "-40", "YES"], ["weak", "-70", "NO"], []];
    expect(answers()).toEqual([NO_ERROR, ...found.map((one) => result(4, one))]);
  });

  it.each([
    ["an unknown command", [0x42, 0], ["02 01 00", "02 01 02"]],
    ["a length that does not fit", [1, 9, 1], ["02 01 01"]],
    ["nothing", [], ["02 01 01"]],
    ["strings that reach beyond the end", [1, 3, 200, 1, 1], ["02 01 00", "02 01 01"]],
    ["no name", wifi("", "x"), ["02 01 00", "02 01 01"]],
    ["a name of 33 bytes", wifi("x".repeat(33), "x"), ["02 01 00", "02 01 01"]],
    ["no UTF-8", [1, 4, 1, 0xff, 1, 0x78], ["02 01 00", "02 01 01"]],
  ])("%s: an error, and nothing is tried", (_, data, expected) => {
    command(data as number[]);
    expect(answers()).toEqual(expected);
    expect(asked).toEqual([]);
  });

  it("answers to packets that are no commands with silence: two devices on one line", () => {
    improv.receive(encodeImprovPacket(PacketType.state, Uint8Array.of(2)).slice(0, -1));
    expect(written).toEqual([]);
  });
});

describe("a device that has an owner", () => {
  it("refuses another network, and still says what it is", () => {
    isClaimed = true;
    command(wifi("evil twin", "12345678"));
    expect(answers()).toEqual([NO_ERROR, "02 01 04"]);
    expect(asked).toEqual([]);
    command([3, 0]);
    expect(answers()).toHaveLength(2);
  });
});
