/** A device of a fleet: the firmware's whole program with a real MQTT connection, and slots for images that start or do not. */

import type { PlainObject } from "../../../core/messages/admin-values.ts";
import { makeUpdate } from "../../../core/messages/update-image.ts";
import { ascii, concat } from "../../../core/primitives/bytes.ts";
import type { Image, ResetReason, UpdateSlots } from "../../../firmware/board.ts";
import { type Program, startProgram } from "../../../firmware/program.ts";
import { mqttDriver } from "../../../host-sim/mqtt/mqtt-driver.ts";
import {
  claimRequest,
  LabBoard,
  newChips,
  newOwner,
  noble,
  ownerOf,
} from "../../support/program-lab.ts";

const release = newOwner();
const FIRST_IMAGE = 5;
const IMAGE_BYTES = 5_000;
/** An image on trial is not confirmed by the time that passes here, however long: `age` does it. */
const TRIAL_PACE = 0.4;

/** An update file; a bad image ends by its watchdog before it has proved itself. */
export function imageFile(number: number, kind: "good" | "bad"): Uint8Array {
  const head = ascii(`${kind} ${number}`.padEnd(16));
  const program = concat(head, new Uint8Array(IMAGE_BYTES).fill(number));
  const of = { model: "lab", version: `0.${number}.0`, number };
  return makeUpdate(noble, program, of, (hash) => noble.sign(hash, release.secret));
}

export class FleetMachine {
  private readonly chips = newChips();
  private readonly slots = new Slots();
  private image = FIRST_IMAGE;
  private program: Program | undefined;
  private board!: LabBoard;
  /** Every image that it was ever started with. */
  readonly started: number[] = [];

  private constructor() {}

  static async start(): Promise<FleetMachine> {
    const machine = new FleetMachine();
    await machine.switchOn();
    return machine;
  }

  get nodeId(): string {
    return Buffer.from((this.program as Program).nodeId).toString("hex");
  }

  get imageNumber(): number {
    return this.image;
  }

  /** By cable, as whoever stands beside it. */
  async claimFor(owner: string, name: string, mqtt: PlainObject): Promise<void> {
    const { nodeId } = this.program as Program;
    const client = await ownerOf(this.board, nodeId, newOwner());
    const gateway = new Uint8Array(Buffer.from(owner, "hex"));
    await client.claim(claimRequest({ name, gateway, owner: gateway, mqtt }));
    client.close();
  }

  async switchOn(resetReason: ResetReason = "power"): Promise<void> {
    const board = new LabBoard({ chips: this.chips, update: this.slots, resetReason });
    const bornMs = performance.now();
    const pace = this.slots.confirmed ? 1 : TRIAL_PACE;
    const nowMs = () => Math.floor((performance.now() - bornMs) * pace) + board.aheadMs;
    const restart = () => void this.restart();
    Object.assign(board, {
      links: { ...board.links, mqtt: mqttDriver() },
      clock: { ...board.clock, nowMs },
      system: { ...board.system, restart },
    });
    this.board = board;
    const image: Image = {
      version: `0.${this.image}.0`,
      number: this.image,
      network: "regtest",
      releaseKey: release.nodeId,
    };
    this.started.push(this.image);
    this.program = await startProgram(board, image);
  }

  switchOff(): void {
    this.program?.stop();
    this.board.stopTimers();
  }

  /** On its console, since it was switched on. */
  said(words: RegExp): boolean {
    return this.board.printed.some((line) => words.test(line));
  }

  /** It has run for so much longer, as its image's proof takes. */
  age(ms: number): void {
    this.board.aheadMs += ms;
  }

  private async restart(): Promise<void> {
    this.switchOff();
    const written = this.slots.takeImage();
    if (!written) return this.switchOn("restart");
    const [kind, number] = Buffer.from(written.subarray(0, 16)).toString().trim().split(" ");
    if (kind === "bad") {
      // Its watchdog bit, and the boot loader went back.
      this.started.push(Number(number));
      return this.switchOn("watchdog");
    }
    this.image = Number(number);
    this.slots.confirmed = false;
    return this.switchOn("restart");
  }
}

class Slots implements UpdateSlots {
  confirmed = true;
  private written: Uint8Array = new Uint8Array(0);
  private isComplete = false;

  takeImage(): Uint8Array | undefined {
    const written = this.isComplete ? this.written : undefined;
    this.isComplete = false;
    return written;
  }

  begin(): void {
    this.written = new Uint8Array(0);
    this.isComplete = false;
  }
  write(bytes: Uint8Array): void {
    this.written = concat(this.written, bytes);
  }
  complete(): void {
    this.isComplete = true;
  }
  abort(): void {
    this.begin();
  }
  confirm(): void {
    this.confirmed = true;
  }
  rollBack(): void {}
}
