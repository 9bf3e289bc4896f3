/** Whole commits of the flash log, put together from its frames. */
import { concat } from "../../core/primitives/bytes.ts";
import type { Frame } from "./log-format.ts";

/** One whole commit as the log found it. `address` is where its first frame stands. */
export interface LoggedCommit {
  readonly number: number;
  readonly address: number;
  readonly payload: Uint8Array;
}

/** Takes the frames in the order of the log. */
export class CommitChain {
  /** Sectors that hold frames of the newest commit. */
  sectors: number[] = [];
  private parts: Uint8Array[] = [];
  private commit = -1;
  private address = 0;

  add(frame: Frame, address: number, sector: number): LoggedCommit | undefined {
    if (frame.index === 0) {
      this.parts = [];
      this.sectors = [];
      this.commit = frame.commit;
      this.address = address;
    } else if (frame.commit !== this.commit || frame.index !== this.parts.length) {
      this.break();
      return undefined;
    }
    this.parts.push(frame.payload);
    this.sectors.push(sector);
    if (!frame.last) return undefined;
    const payload = concat(...this.parts);
    this.commit = -1;
    return { number: frame.commit, address: this.address, payload };
  }

  break(): void {
    this.parts = [];
    this.commit = -1;
  }
}
