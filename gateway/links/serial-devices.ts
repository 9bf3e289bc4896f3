/** Devices on cables of the gateway: each port is opened when it is there, asked who is at its other end, and that node is called. */
import type { Link } from "../../core/ports/link.ts";
import type { PublicKey } from "../../core/primitives/brands.ts";
import { IdentityQuestion } from "../../core/transport/identity.ts";

export interface SerialDevicesOptions {
  readonly paths: readonly string[];
  /** Rejects in words where there is no such port, or another program has it. */
  open(path: string): Promise<Link>;
  /** Who answered is called on this link, now and after each loss. */
  attach(link: Link, nodeId: PublicKey): void;
  /** Once for each port, until it opens. */
  onProblem(text: string): void;
}

const ASK_MS = 250;
const OPEN_AGAIN_MS = 2_000;

export class SerialDevices {
  private readonly timers = new Map<string, NodeJS.Timeout>();
  private readonly links = new Set<Link>();
  private isEnding = false;

  constructor(private readonly options: SerialDevicesOptions) {
    for (const path of options.paths) void this.open(path, true);
  }

  close(): void {
    this.isEnding = true;
    for (const timer of this.timers.values()) clearTimeout(timer);
    for (const link of this.links) link.close();
  }

  /** A device may be plugged in after the gateway has started. */
  private async open(path: string, isFirst: boolean): Promise<void> {
    try {
      const link = await this.options.open(path);
      if (this.isEnding) return link.close();
      this.links.add(link);
      this.ask(path, link);
    } catch (cause) {
      const text = cause instanceof Error ? cause.message : String(cause);
      if (isFirst) this.options.onProblem(`${text}; it is tried again`);
      this.later(path, OPEN_AGAIN_MS, () => void this.open(path, false));
    }
  }

  /** A device waits to be called on its cable: its node id is what a call needs. */
  private ask(path: string, link: Link): void {
    const question = new IdentityQuestion(link, ({ nodeId }) => {
      this.timers.delete(path);
      this.options.attach(link, nodeId);
    });
    const again = () => {
      if (question.isAnswered) return;
      question.tick(performance.now());
      this.later(path, ASK_MS, again);
    };
    again();
  }

  private later(path: string, ms: number, work: () => void): void {
    if (!this.isEnding) this.timers.set(path, setTimeout(work, ms));
  }
}
