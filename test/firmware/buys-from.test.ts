/** A buying device's owner names the machine that it walks up to: the program calls it over BLE, over restarts, until told otherwise. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { MemoryStore } from "../../core/node/memory-store.ts";
import { PROTOCOL_VERSION } from "../../core/transport/identity.ts";
import { PayerApp } from "../../firmware/apps/payer.ts";
import { BlePeripheral } from "../../firmware/links/ble-peripheral.ts";
import { startProgram } from "../../firmware/program.ts";
import type { AdminClient } from "../../gateway/admin/client.ts";
import { Air } from "../support/ble-air.ts";
import { DeviceLab, type LabDevice } from "../support/device-lab.ts";
import { hostClock } from "../support/mqtt-world.ts";
import { PATIENCE_MS } from "../support/patience.ts";
import {
  type Chips,
  claimRequest,
  LabBoard,
  newChips,
  newOwner,
  type Owner,
  ownerOf,
  testImage,
  until,
} from "../support/program-lab.ts";

let lab: DeviceLab;
let machine: LabDevice;
let air: Air;
let owner: Owner;
let chips: Chips;
let board: LabBoard;
let program: Awaited<ReturnType<typeof startProgram>>;
let client: AdminClient;
let peripheral: BlePeripheral;

/** The payer's board, with what its flash holds. */
async function switchOn(): Promise<void> {
  const plain = new LabBoard({ chips });
  const links = { ...plain.links, bleCentral: air.central("payer") };
  board = Object.assign(plain, { links });
  program = await startProgram(board, testImage);
  client = await ownerOf(board, program.nodeId, owner);
}

function switchOff(): void {
  client.close();
  program.stop();
  board.stopTimers();
}

beforeEach(async () => {
  lab = await DeviceLab.make();
  machine = await lab.add("machine", () => new PayerApp(), new MemoryStore(), { card });
  air = new Air();
  owner = newOwner();
  chips = newChips();
  await switchOn();
  peripheral = new BlePeripheral({
    driver: air.peripheral,
    clock: hostClock,
    name: "vend-7",
    attach: (link) => machine.device.attach(link),
  });
  peripheral.start();
});
afterEach(async () => {
  peripheral.stop();
  switchOff();
  await lab.close();
});

const card = () => ({
  protocolVersion: PROTOCOL_VERSION,
  nodeId: machine.id,
  name: "vend-7",
  model: "lab",
  firmwareVersion: "0.2.0",
  claimed: true,
});
const isThere = () => machine.device.node.isConnected(program.nodeId);

/** Whether it came true, while everybody acts. */
async function comes(holds: () => boolean, ms = PATIENCE_MS): Promise<boolean> {
  for (const end = performance.now() + ms; !holds(); ) {
    if (performance.now() > end) return false;
    await lab.flow(1);
    air.pump();
    await new Promise((wake) => setTimeout(wake, 2));
  }
  return true;
}

describe("buysFrom", () => {
  it("is called by name, also after a restart, and left when the owner takes it back", async () => {
    await client.claim(claimRequest({ app: "payer" }));
    await until(() => program.device !== undefined);
    expect(await comes(isThere, 300)).toBe(false);
    await client.setSettings({ buysFrom: { machine: "vend-7" } });
    expect(await comes(isThere)).toBe(true);
    switchOff();
    for (const one of air.connections.splice(0)) one.close();
    await comes(() => !isThere());
    await switchOn();
    expect(await comes(isThere)).toBe(true);
    expect(await client.settings()).toMatchObject({ buysFrom: { machine: "vend-7" } });
    await client.setSettings({ buysFrom: null });
    expect(await comes(() => !isThere())).toBe(true);
  });

  it("of a known node calls that one alone: a machine that borrowed the name gets no session", async () => {
    const { nodeId } = newOwner();
    await client.claim(claimRequest({ app: "payer", buysFrom: { machine: "vend-7", nodeId } }));
    await until(() => program.device !== undefined);
    expect(await comes(isThere, 1_000)).toBe(false);
    await client.setSettings({ buysFrom: { machine: "vend-7", nodeId: machine.id } });
    expect(await comes(isThere)).toBe(true);
  });

  it("that is wrong is refused in words", async () => {
    await client.claim(claimRequest({ app: "payer" }));
    await until(() => program.device !== undefined);
    for (const [buysFrom, words] of [
      [{ machine: "" }, "buysFrom.machine must be a text of 1 to 32 bytes"],
      [{ machine: "a", nodeId: new Uint8Array(33) }, "buysFrom.nodeId must be a node id"],
      [{ machine: "a", price: 1 }, '"buysFrom.price" is not known here'],
      ["vend-7", "buysFrom must be a map"],
    ] as const) {
      await expect(client.setSettings({ buysFrom })).rejects.toThrow(words);
    }
    expect(await client.settings()).not.toHaveProperty("buysFrom");
  });
});
