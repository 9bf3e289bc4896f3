/** BLE as boards and phones have it: real host stacks, bleno and noble, over BlueZ's virtual controller. */
import { readdirSync, readFileSync } from "node:fs";
import { connect } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { busyNotice } from "../../firmware/links/ble-stream.ts";
import { ImprovBle } from "../../firmware/links/improv-ble.ts";
import { blePeripheralDriver } from "../../host-sim/ble/bleno-peripheral.ts";
import { realClock } from "../../host-sim/ble/real-clock.ts";
import { startNoble } from "../../host-sim/ble/stacks.ts";
import { VirtualRadio, whyNoVirtualRadio } from "../../host-sim/ble/virtual-radio.ts";
import { RADIO_VARIABLE } from "../../host-sim/links/ble-link.ts";
import { openLink } from "../../host-sim/links/open-link.ts";
import { measureBle } from "../bench/ble.ts";
import { BleRadioLab, MACHINE_NAME } from "../support/ble-radio.ts";
import { Cable } from "../support/cable.ts";
import { ImprovClient } from "../support/improv-client.ts";
import { payment } from "../support/node-pair.ts";

const AMOUNT_MSAT = 4_000;
const closing: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
  expect(emulatorsOfOurs()).toEqual([]);
});

/** Many questions, and gone before an answer. */
function leaveAtOnce(path: string): Promise<void> {
  return new Promise((gone, fail) => {
    const socket = connect(path, () => {
      const reset = Buffer.from("01030c00", "hex");
      socket.write(Buffer.concat(Array(20).fill(reset)), () => socket.destroy());
    });
    socket.on("error", fail);
    socket.on("close", () => gone());
  });
}

async function startLab(options: { readonly mtu?: number } = {}): Promise<BleRadioLab> {
  const lab = await BleRadioLab.start(options);
  closing.push(() => lab.stop());
  return lab;
}

it("this machine has a virtual radio: its test command installs it", () => {
  expect(whyNoVirtualRadio()).toBeUndefined();
});

it("the radio goes on where a host stack leaves while it is written to", async () => {
  const radio = await VirtualRadio.start();
  closing.push(() => radio.stop());
  for (let i = 0; i < 500; i++) await leaveAtOnce(radio.controller().path);
  const noble = await startNoble(radio.controller());
  noble.stop();
});

describe("a customer and a machine", () => {
  it("find each other, negotiate 247, shake hands and pay in three round trips or fewer", async () => {
    const figures = await measureBle();
    expect(figures.mtu).toBe(247);
    expect(figures.roundTrips).toBeLessThanOrEqual(3);
    expect(figures.bytes).toBeLessThanOrEqual(450);
    expect(figures.latency.p50Ms).toBeLessThan(1_000);
  });

  it("pay at the least MTU, in pieces of 20 bytes", async () => {
    const lab = await startLab({ mtu: 23 });
    await lab.resumed();
    await lab.pay(AMOUNT_MSAT);
    await lab.until(() => lab.paid === AMOUNT_MSAT);
    expect(Math.max(...lab.passed.map(({ bytes }) => bytes))).toBe(20);
  });

  it("are cut apart in the middle of a payment: the customer comes back by itself, and pays once", async () => {
    const lab = await startLab();
    await lab.resumed();
    lab.atNextAnswer(() => lab.bleno.disconnectAll());
    lab.buyer.node.command(lab.channel, { type: "push", payments: payment(AMOUNT_MSAT) });
    await lab.until(() => lab.states.some(({ type }) => type === "pausing"));
    await lab.resumed(2);
    await lab.until(() => lab.paid === AMOUNT_MSAT);
    lab.buyer.node.command(lab.channel, { type: "push", payments: payment(AMOUNT_MSAT) });
    await lab.until(() => lab.paid === 2 * AMOUNT_MSAT);
    lab.pair.expectPeace();
  });

  it("have a cable too: when the radio goes in the middle of a payment, it is finished on the cable", async () => {
    const lab = await startLab();
    await lab.resumed();
    const cable = new Cable();
    lab.buyer.node.attach(cable.ends[0], lab.machine.nodeId);
    lab.machine.node.attach(cable.ends[1]);
    const flowing = setInterval(() => cable.pump(), 2);
    closing.push(() => clearInterval(flowing));
    lab.atNextAnswer(() => lab.central.stop());
    lab.buyer.node.command(lab.channel, { type: "push", payments: payment(AMOUNT_MSAT) });
    await lab.until(() => lab.paid === AMOUNT_MSAT);
    expect(lab.machine.node.linkOf(lab.buyer.nodeId)?.name).toBe("memory:b");
    lab.pair.expectPeace();
  });
});

describe("openLink", () => {
  it("reaches a machine by its name in either case, and again after the link was closed", async () => {
    const lab = await startLab();
    await lab.resumed();
    lab.central.stop();
    await lab.until(() => lab.peripheral.linkName === undefined);
    withRadio(lab.radio);
    for (let visit = 0; visit < 2; visit++) {
      const link = await openLink(`ble:${MACHINE_NAME.toUpperCase()}`);
      expect(link.name).toMatch(/^ble:[0-9a-f:]{17}$/);
      lab.buyer.node.attach(link, lab.machine.nodeId);
      await lab.resumed(2 + visit);
      await lab.pay(AMOUNT_MSAT);
      link.close();
      await lab.until(() => lab.peripheral.linkName === undefined);
    }
  });
});

describe("many machines in one room", () => {
  it("the one that was named is found, and each customer speaks with its own", async () => {
    const radio = await startRadio();
    withRadio(radio);
    const names = ["vend-1", "vend-2", "vend-3"];
    const visits = names.map(async (name) => {
      const peripheral = await blePeripheralDriver(radio.controller());
      closing.push(() => peripheral.close());
      peripheral.onConnected = (connection) => {
        connection.onBytes = () => connection.send(Buffer.from(name));
      };
      peripheral.advertise(name);
    });
    await Promise.all(visits);
    const answers = names.map(async (name) => {
      const link = await openLink(`ble:${name}`);
      closing.push(() => link.close());
      return new Promise<string>((tell) => {
        link.onBytes = (bytes) => tell(Buffer.from(bytes).toString());
        link.send(Uint8Array.of(1));
      });
    });
    expect(await Promise.all(answers)).toEqual(names);
  });
});

describe("a machine that is busy", () => {
  it("says so in one notification, and the customer's link sees no byte of it", async () => {
    const radio = await startRadio();
    const peripheral = await blePeripheralDriver(radio.controller());
    closing.push(() => peripheral.close());
    let visits = 0;
    peripheral.onConnected = (connection) => {
      visits++;
      if (visits > 1) return;
      connection.send(busyNotice());
      setTimeout(() => connection.close(), 300);
    };
    peripheral.advertise("busy-1");
    withRadio(radio);
    // The second visit is the one that is served.
    const link = await openLink("ble:busy-1");
    closing.push(() => link.close());
    expect(visits).toBe(2);
  });
});

describe("Improv over BLE", () => {
  it("any client gives the device its network: state, info, credentials in pieces, answer", async () => {
    const radio = await startRadio();
    const peripheral = await blePeripheralDriver(radio.controller());
    closing.push(() => peripheral.close());
    const given: string[][] = [];
    let isClaimed = false;
    const improv = new ImprovBle(
      {
        clock: realClock,
        info: () => ["picobolt", "0.2.0", "virtual", "vend-7"],
        mayProvision: () => !isClaimed,
        isProvisioned: () => given.length > 0,
        provision: async (ssid: string, password: string) => {
          if (password === "wrong") throw new Error("refused");
          given.push([ssid, password]);
          return undefined;
        },
      },
      peripheral.improv,
    );
    peripheral.advertise("new-one");
    const client = await ImprovClient.connect(radio.controller());
    closing.push(() => client.close());
    expect(await client.capabilities()).toBe(2);
    expect(await client.state()).toBe(2);
    expect(await client.call(3)).toEqual(["picobolt", "0.2.0", "virtual", "vend-7"]);
    await expect(client.sendWifi("shop", "wrong")).rejects.toThrow("error 3");
    expect(await client.sendWifi("shop ☕", "a password of 30 characters …")).toEqual([]);
    expect(given).toEqual([["shop ☕", "a password of 30 characters …"]]);
    expect(client.states).toEqual([2, 3, 2, 3, 4]);
    isClaimed = true;
    improv.refresh();
    await expect(client.sendWifi("thief", "thief")).rejects.toThrow("error 4");
    expect(given).toHaveLength(1);
  });
});

async function startRadio(): Promise<VirtualRadio> {
  const radio = await VirtualRadio.start();
  closing.push(() => radio.stop());
  return radio;
}

function withRadio(radio: VirtualRadio): void {
  process.env[RADIO_VARIABLE] = radio.socketFolder;
  closing.push(() => delete process.env[RADIO_VARIABLE]);
}

/** Emulators that this process started. */
function emulatorsOfOurs(): readonly string[] {
  return readdirSync("/proc").filter((id) => {
    try {
      if (!/^\d+$/.test(id)) return false;
      const parent = /\) \S (\d+)/.exec(readFileSync(`/proc/${id}/stat`, "utf8"))?.[1];
      const command = readFileSync(`/proc/${id}/cmdline`, "utf8");
      return parent === String(process.pid) && command.startsWith("btvirt");
    } catch {
      return false;
    }
  });
}
