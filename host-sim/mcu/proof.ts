/** What the emulated microcontroller has to show: a channel's life with a gateway, power cuts, a full heap; with the figures of all of it. */
import { randomInt } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { McuImage } from "./build.ts";
import { type ClaimCuts, cutClaims } from "./claims.ts";
import type { McuFigures } from "./figures.ts";
import { PRODUCT } from "./owner.ts";
import { McuWorld, NO_PRODUCT } from "./world.ts";

const FUNDING_SAT = 500_000;
/** The device's from the start, so that it can give back and pay the reserve. */
const GIVEN_MSAT = 100_000_000;
const MEASURED_PUSHES = 5;
const QUIET_MS = 1_500;
/** More than a payment takes, in words and erased words. */
const FLASH_STEPS = 2_500;
/** An allocation that a life never came to proves nothing: another one is tried. */
const HEAP_ATTEMPTS = 4;

type Faults = Parameters<McuWorld["powerOn"]>[0];

export interface ProofOptions {
  readonly powerCuts: number;
  /** New machines whose power fails while they are claimed. */
  readonly claimCuts: number;
  /** How often an allocation fails. */
  readonly heapFailures: number;
  readonly onProgress?: (line: string) => void;
}

/** Where the memory that was ever in use is read. */
export type Stage = "claimed" | "opened" | "openedTwo" | "paid";

export interface Proof {
  /** The device's work for a push, from receipt to delivery. */
  readonly pushInstructions: number;
  /** What it does for the next one meanwhile and afterwards, when nothing else is to be done. */
  readonly pushIdleInstructions: number;
  readonly openInstructions: number;
  /** Static data, heap and C stack at their highest, two channels open, payments under way. */
  readonly ramBytes: number;
  readonly jsHeapBytes: number;
  readonly cStackBytes: number;
  readonly engineStackSlots: number;
  readonly imageBytes: number;
  /** `ramBytes` as it was when each of these had happened. */
  readonly ramAfter: Readonly<Record<Stage, number>>;
  readonly powerCuts: number;
  readonly claimCuts: number;
  /** Lives of the device, but for the first. */
  readonly restarts: number;
  readonly lostSat: number;
}

/** The whole story on a flash of its own, which is gone afterwards. Throws where something does not hold. */
export async function prove(image: McuImage, options: ProofOptions): Promise<Proof> {
  const folder = mkdtempSync(join(tmpdir(), "picobolt-mcu-"));
  const forget = () => rmSync(folder, { recursive: true, force: true });
  process.once("exit", forget);
  const world = await McuWorld.start(image, folder);
  try {
    return await new Story(world, { image, folder }, options).tell();
  } finally {
    await world.stop();
    process.off("exit", forget);
    forget();
  }
}

class Story {
  /** What the device must have in the end, in millisatoshi. */
  private expectedMsat = 0;
  private sold = 0;
  private restarts = 0;

  constructor(
    private readonly world: McuWorld,
    private readonly machine: { readonly image: McuImage; readonly folder: string },
    private readonly options: ProofOptions,
  ) {}

  async tell(): Promise<Proof> {
    const { world } = this;
    const flashSteps = await world.claim();
    this.say("booted from flash, its crypto tested, and claimed by its owner over its UART");
    const claimed = await world.mcu.figures();
    await world.connected();
    this.say("talks to the gateway");
    const before = await world.mcu.figures();
    await world.open(FUNDING_SAT, GIVEN_MSAT);
    this.expectedMsat += GIVEN_MSAT;
    const opened = await world.mcu.figures();
    this.say("a channel is open: the device has checked its funding by headers and branch");
    await world.open(FUNDING_SAT, GIVEN_MSAT);
    this.expectedMsat += GIVEN_MSAT;
    const openedTwo = await world.mcu.figures();
    this.say("a second one");
    await this.buy();
    const push = await this.measurePush();
    await this.refund();
    await world.buyByHtlc(PRODUCT.id);
    this.expectedMsat += PRODUCT.priceMsat;
    this.sold++;
    this.say(`${this.sold} sold by push and HTLC, one refused and given back`);
    const figures = await world.mcu.figures();
    await this.cutClaims(flashSteps);
    await this.cutPower();
    await this.fillHeap();
    await this.check();
    await world.close();
    this.say("closed by both sides");
    return {
      pushInstructions: push.instructions,
      pushIdleInstructions: push.idleInstructions,
      openInstructions: opened.busyInstructions - before.busyInstructions,
      ...ramOf(figures),
      ramAfter: ramAfter({ claimed, opened, openedTwo, paid: figures }),
      imageBytes: this.machine.image.imageBytes,
      powerCuts: this.options.powerCuts,
      claimCuts: this.options.claimCuts,
      restarts: this.restarts,
      lostSat: 0,
    };
  }

  private say(line: string): void {
    this.options.onProgress?.(line);
  }

  /** One sale from payment to the word that it was delivered. */
  private async buy(): Promise<void> {
    const reference = this.world.push(PRODUCT.id, PRODUCT.priceMsat);
    this.expectedMsat += PRODUCT.priceMsat;
    this.sold++;
    const { delivered, note } = await this.world.outcome(reference);
    if (!delivered) throw new Error(`a payment was not served: ${note}`);
  }

  /** The device's work for a push, its delivery included; what it does in the same time without one is taken off. */
  private async measurePush() {
    const { mcu } = this.world;
    const rest = async () => new Promise((wake) => setTimeout(wake, QUIET_MS));
    await rest();
    const quietFrom = await work(mcu);
    await rest();
    const from = await work(mcu);
    const quiet = from.instructions - quietFrom.instructions;
    for (let i = 0; i < MEASURED_PUSHES; i++) await this.buy();
    await rest();
    const to = await work(mcu);
    const anyway = (quiet * (to.atMs - from.atMs)) / (from.atMs - quietFrom.atMs);
    const each = (sum: number) => Math.round(sum / MEASURED_PUSHES);
    return {
      instructions: each(to.instructions - from.instructions - anyway),
      idleInstructions: each(to.idleInstructions - from.idleInstructions),
    };
  }

  private async refund(): Promise<void> {
    const reference = this.world.push(NO_PRODUCT, PRODUCT.priceMsat);
    const { delivered, note } = await this.world.outcome(reference);
    if (delivered) throw new Error(`what nobody sells was delivered: ${note}`);
    await this.world.until("the money to come back", () => this.deviceMsat() === this.expectedMsat);
  }

  private async cutClaims(flashSteps: ClaimCuts["flashSteps"]): Promise<void> {
    const { claimCuts: count } = this.options;
    await cutClaims({
      ...this.machine,
      gateway: this.world.gatewayId,
      count,
      flashSteps,
      onCut: (cut, became) => this.say(`power cut ${cut} of ${count} during a claim${became}`),
    });
  }

  /** Power fails at a step of the flash, or at any moment, in the middle of a payment. */
  private async cutPower(): Promise<void> {
    const { powerCuts } = this.options;
    for (let cut = 1; cut <= powerCuts; cut++) {
      const isInFlash = cut % 2 === 1;
      const faults = isInFlash ? { failingFlashStep: randomInt(1, FLASH_STEPS) } : {};
      const became = await this.disturb(faults, true);
      const where = isInFlash ? " at a step of the flash" : "";
      this.say(`power cut ${cut} of ${powerCuts}${where}: ${became}`);
    }
  }

  /** Memory is full at some allocation: the device starts again by itself. */
  private async fillHeap(): Promise<void> {
    const { heapFailures } = this.options;
    // From a start to some payments later, as this life had them.
    let { allocations } = await this.world.mcu.figures();
    for (let failure = 1; failure <= heapFailures; failure++) {
      let restarts = 0;
      for (let attempt = 1; restarts === 0; attempt++) {
        if (attempt > HEAP_ATTEMPTS) throw new Error("no allocation failed: the strap is not read");
        const failingAllocation = randomInt(1, allocations);
        const became = await this.disturb({ failingAllocation }, false);
        const figures = await this.world.mcu.figures();
        restarts = figures.restarts;
        if (restarts === 0) allocations = Math.min(allocations, figures.allocations);
        this.say(`full heap ${failure} of ${heapFailures}: ${restarts} restarts, ${became}`);
      }
      this.restarts += restarts;
    }
  }

  /** A payment in a life that something is wrong with; afterwards nothing may be lost. */
  private async disturb(faults: Faults, cutsPower: boolean): Promise<string> {
    const { world } = this;
    await world.powerOff();
    const since = world.events.length;
    await world.powerOn(faults);
    const isThere = await world.resumed(since);
    const reference = isThere ? world.push(PRODUCT.id, PRODUCT.priceMsat) : undefined;
    if (cutsPower) {
      await new Promise((wake) => setTimeout(wake, randomInt(20, 1200)));
      await world.powerOff();
      await world.powerOn();
      this.restarts += 2;
    }
    const became = reference ? await this.became(reference) : "before the payment";
    await world.until("the sums to agree", () => this.deviceMsat() === this.expectedMsat);
    return became;
  }

  private async became(reference: Uint8Array): Promise<string> {
    if (!(await this.world.isPaid(reference))) return "nothing was paid";
    const { delivered } = await this.world.outcome(reference);
    // A motor that power stopped may have been what brought it down: then the money comes back.
    if (!delivered) return "given back";
    this.expectedMsat += PRODUCT.priceMsat;
    this.sold++;
    return "delivered";
  }

  private deviceMsat(): number {
    return this.world.records().reduce((sum, { base }) => sum + base.toRemoteMsat, 0);
  }

  private async check(): Promise<void> {
    await this.world.until("the last update to end", () => this.world.isQuiet);
    const msat = this.deviceMsat();
    if (msat === this.expectedMsat) return;
    throw new Error(`the device has ${msat} msat, ${this.expectedMsat} were expected`);
  }
}

async function work(mcu: McuWorld["mcu"]) {
  const { busyInstructions, idleInstructions } = await mcu.figures();
  return { instructions: busyInstructions, idleInstructions, atMs: Date.now() };
}

function ramAfter(figures: Readonly<Record<Stage, McuFigures>>): Record<Stage, number> {
  const { claimed, opened, openedTwo, paid } = figures;
  return {
    claimed: ramBytes(claimed),
    opened: ramBytes(opened),
    openedTwo: ramBytes(openedTwo),
    paid: ramBytes(paid),
  };
}

function ramBytes({ staticBytes, heapPeak, cStackPeak }: McuFigures): number {
  return staticBytes + heapPeak + cStackPeak;
}

function ramOf(figures: McuFigures) {
  const { cStackPeak, chunkPeak, slotPeak, engineStackPeak } = figures;
  return {
    ramBytes: ramBytes(figures),
    jsHeapBytes: chunkPeak + slotPeak,
    cStackBytes: cStackPeak,
    engineStackSlots: engineStackPeak,
  };
}
