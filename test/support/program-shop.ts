/** The device's whole program as a shop: on a board with cables and BLE, with its gateway, a chain, motors, and buyers who come by either. */
import { REGTEST } from "../../core/chain/networks.ts";
import type { Link } from "../../core/ports/link.ts";
import {
  type ChannelId,
  milliSatoshi,
  type PublicKey,
  satoshi,
} from "../../core/primitives/brands.ts";
import { PayerApp } from "../../firmware/apps/payer.ts";
import type { Board } from "../../firmware/board.ts";
import type { Device } from "../../firmware/device.ts";
import { BleCentral, type BleCentralState, isNamed } from "../../firmware/links/ble-central.ts";
import { type Program, startProgram } from "../../firmware/program.ts";
import { AdminClient } from "../../gateway/admin/client.ts";
import { BenchPins } from "./bench-board.ts";
import { Air } from "./ble-air.ts";
import { DeviceLab, type LabDevice } from "./device-lab.ts";
import { PATIENCE_MS } from "./patience.ts";
import {
  claimRequest,
  entropy,
  LabBoard,
  newOwner,
  noble,
  testImage,
  until,
} from "./program-lab.ts";

/** Cables by their use. */
export const GATEWAY_CABLE = 0;
export const OWNER_CABLE = 1;
export const BUYER_CABLE = 2;

export const PRODUCTS = [
  { id: 1, name: "tea", priceMsat: 900_000 },
  { id: 2, name: "soup", priceMsat: 700_000 },
];
const FALLS_AFTER_MS = 120;
const PASSES_IN_MS = 40;
const NAME = "coffee";

interface ShopParts {
  readonly lab: DeviceLab;
  readonly board: LabBoard & Board;
  readonly program: Program;
  readonly admin: AdminClient;
  readonly alarms: readonly string[];
  readonly air: Air;
  readonly pins: BenchPins;
}

export class ProgramShop {
  /** Products that fell, in their order. */
  readonly fallen: string[] = [];
  /** Motors that turned at the same time, at most. */
  mostMotors = 0;
  private readonly centrals: BleCentral[] = [];

  private constructor(private readonly parts: ShopParts) {
    this.wire();
  }

  static async open(): Promise<ProgramShop> {
    const lab = await DeviceLab.make();
    const air = new Air();
    const pins = new BenchPins(["motor1", "motor2", "sensor", "led", "button"]);
    const plain = new LabBoard({ cables: 3 });
    const links = { ...plain.links, blePeripheral: air.peripheral };
    const board = Object.assign(plain, { links, pins });
    const alarms: string[] = [];
    const events = { onAlarm: (text: string) => void alarms.push(text) };
    const program = await startProgram(board, testImage, events);
    const admin = await AdminClient.connect({
      crypto: noble,
      entropy,
      link: linkOf(board, OWNER_CABLE),
      deviceId: program.nodeId,
      ownerSecret: newOwner().secret,
      network: REGTEST,
      timeoutMs: 30_000,
    });
    const shop = new ProgramShop({ lab, board, program, admin, alarms, air, pins });
    await shop.claim();
    return shop;
  }

  get lab(): DeviceLab {
    return this.parts.lab;
  }

  get board(): LabBoard {
    return this.parts.board;
  }

  get admin(): AdminClient {
    return this.parts.admin;
  }

  get alarms(): readonly string[] {
    return this.parts.alarms;
  }

  get nodeId(): PublicKey {
    return this.parts.program.nodeId;
  }

  get node() {
    return (this.parts.program.device as Device).node;
  }

  /** A buyer with a way to its gateway, not at the machine yet. */
  async buyer(name: string): Promise<LabDevice> {
    const buyer = await this.lab.add(name, () => new PayerApp());
    this.lab.connect(buyer);
    await this.live(100);
    return buyer;
  }

  /** By cable; `through` puts something into the line. */
  plugIn(buyer: LabDevice, through: (line: Link) => Link = (line) => line): void {
    buyer.device.attach(through(linkOf(this.board, BUYER_CABLE)), this.nodeId);
  }

  /** By radio, as whoever stands before it does; without a buyer: it only takes the place. */
  approach(address: string, buyer?: LabDevice): BleCentralState[] {
    const states: BleCentralState[] = [];
    const central = new BleCentral({
      driver: this.parts.air.central(address),
      clock: this.board.clock,
      entropy,
      isWanted: isNamed(NAME),
      attach: (found) => buyer?.device.attach(found, this.nodeId),
      onState: (state) => states.push(state),
    });
    central.start();
    this.centrals.push(central);
    return states;
  }

  async openChannel(buyer: LabDevice): Promise<ChannelId> {
    const { nodeId } = this;
    await this.until(() => buyer.device.node.isConnected(nodeId));
    buyer.device.node.open({
      remoteNodeId: nodeId,
      channelType: "zero_fee_commitments",
      fundingSatoshis: satoshi(400_000),
      pushMsat: milliSatoshi(50_000_000),
      feeratePerKw: 0,
    });
    await this.until(() => buyer.events("created").length > 0);
    const { channelId } = buyer.events("created").at(-1) as { channelId: ChannelId };
    for (let i = 0; i < 4; i++) {
      await this.lab.chain.mine(1);
      await this.live(60);
    }
    const sides = [this.node, buyer.device.node];
    await this.until(() => sides.every((node) => node.record(channelId)?.phase === "normal"));
    await this.until(() => buyer.payer.priceList(nodeId)?.ready === true);
    return channelId;
  }

  balance(id: ChannelId): number {
    return this.node.record(id)?.base.toLocalMsat ?? 0;
  }

  async live(ms: number): Promise<void> {
    const end = performance.now() + ms;
    await this.until(() => performance.now() >= end, ms + 5_000);
  }

  /** Lets everybody act until it is so. */
  async until(holds: () => boolean, ms = PATIENCE_MS): Promise<void> {
    const end = performance.now() + ms;
    while (!holds()) {
      if (performance.now() > end) {
        throw new Error(`it never came true; ${[...this.alarms, ...this.lab.alarms].join("; ")}`);
      }
      await this.lab.flow(1);
      this.parts.air.pump();
      await new Promise((wake) => setTimeout(wake, 2));
    }
  }

  /** What came of it, while everybody acts. */
  async during<T>(work: Promise<T>): Promise<T> {
    let isOver = false;
    const end = work.finally(() => {
      isOver = true;
    });
    end.catch(() => {});
    await this.until(() => isOver);
    return end;
  }

  async close(): Promise<void> {
    for (const central of this.centrals) central.stop();
    this.admin.close();
    this.parts.program.stop();
    this.board.stopTimers();
    await this.lab.close();
  }

  private async claim(): Promise<void> {
    const { lab, board, program } = this.parts;
    const motor = { pulseMs: 200, windowMs: 400, retries: 0 };
    const appConfig = { machine: NAME, products: PRODUCTS, motor };
    const { gatewayId: gateway } = lab;
    await this.admin.claim(claimRequest({ name: NAME, gateway, app: "vending", appConfig }));
    await until(() => program.device !== undefined);
    lab.gateway.attach(linkOf(board, GATEWAY_CABLE), program.nodeId);
    await this.until(() => this.node.isConnected(gateway));
  }

  private wire(): void {
    const { pins, board } = this.parts;
    const turning = new Set<string>();
    pins.onWrite = (name, on) => {
      if (!name.startsWith("motor")) return;
      if (!on) turning.delete(name);
      else if (!turning.has(name)) {
        turning.add(name);
        this.mostMotors = Math.max(this.mostMotors, turning.size);
        board.clock.after(FALLS_AFTER_MS, () => {
          this.fallen.push(name);
          pins.set("sensor", true);
          board.clock.after(PASSES_IN_MS, () => pins.set("sensor", false));
        });
      }
    };
  }
}

function linkOf(board: LabBoard, cable: number) {
  const end = board.ends[cable];
  if (!end) throw new Error(`the board has no cable ${cable}`);
  return end.link;
}
