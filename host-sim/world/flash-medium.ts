/** A node's store on a simulated NOR flash: the device's production log, mounted anew at every start; power may fail in the middle of any step. */
import type { CommitOutcome, StoreCommit, StoredChannel } from "../../core/ports/store.ts";
import type { ChannelId } from "../../core/primitives/brands.ts";
import { FlashLogStore } from "../../firmware/store/flash-log.ts";
import { NorFlash } from "../flash/nor-flash.ts";
import type { Medium } from "./medium.ts";

/** As many as a world may pay: what a world checks of a payment it asks of the store. */
const REFERENCE_WINDOW = 1_024;

export class FlashMedium implements Medium {
  readonly name = "flash";
  private nor: NorFlash;
  private log: FlashLogStore;
  private readonly former: FlashLogStore[] = [];

  constructor(readonly bytes: number) {
    this.nor = new NorFlash({ size: bytes });
    this.log = mounted(this.nor);
  }

  /** The chip as the last run left it; throws a PowerCut where power fails meanwhile. */
  powerOn(failIn?: number, seed = 0): void {
    this.nor = new NorFlash({ size: this.bytes, image: this.nor.image() });
    if (failIn !== undefined) this.nor.failAt(failIn, seed);
    this.log = mounted(this.nor);
  }

  cutIn(steps: number, seed: number): boolean {
    this.nor.failAt(this.nor.steps + steps, seed);
    return true;
  }

  image(): Uint8Array {
    return this.nor.image();
  }

  restore(image: unknown): void {
    this.former.push(this.log);
    this.nor = new NorFlash({ size: this.bytes, image: image as Uint8Array });
  }

  get suspects(): readonly ChannelId[] {
    return this.log.suspects;
  }

  load(): readonly StoredChannel[] {
    return this.log.load();
  }

  commit(change: StoreCommit): CommitOutcome {
    return this.log.commit(change);
  }

  isDebited(reference: Uint8Array): boolean {
    return this.log.isDebited(reference);
  }

  isCredited(reference: Uint8Array): boolean {
    return this.log.isCredited(reference);
  }

  wasDebited(reference: Uint8Array): boolean {
    return [this.log, ...this.former].some((one) => one.isDebited(reference));
  }

  wasCredited(reference: Uint8Array): boolean {
    return [this.log, ...this.former].some((one) => one.isCredited(reference));
  }

  getValue(key: string): Uint8Array | undefined {
    return this.log.getValue(key);
  }

  setValue(key: string, value: Uint8Array): void {
    this.log.setValue(key, value);
  }

  close(): void {}
}

function mounted(nor: NorFlash): FlashLogStore {
  return new FlashLogStore(nor, { label: "world", referenceWindow: REFERENCE_WINDOW });
}
