/** One machine of a virtual fleet: its process, which is started again where it wants to be, and what its mechanics have dropped in all. */
import type { JsonObject } from "../../gateway/api/event-json.ts";
import { ControlledProcess } from "../processes/control.ts";
import { RESTART_CODE } from "./virtual-board.ts";

export interface VirtualMachineOptions {
  readonly name: string;
  /** Program and words of its process (host-sim/virtual/device-process.ts). */
  readonly command: readonly string[];
  /** What it says is wrong. */
  onAlarm(text: string): void;
  /** It ended, and nobody wanted that. */
  onDied(reason: string): void;
}

const START_MS = 60_000;

export class VirtualMachine {
  /** Products that came out and that got stuck, over all restarts. */
  fallen = 0;
  stuck = 0;
  restarts = 0;
  nodeId = "";
  /** Printed on the device. */
  claimCode = "";
  /** Rejects when the machine has died for good. */
  readonly death: Promise<never>;
  private die!: (cause: Error) => void;
  private process: ControlledProcess | undefined;
  private onStarted = () => {};
  private isEnding = false;
  private lastExit: number | string = 0;

  constructor(private readonly options: VirtualMachineOptions) {
    this.death = new Promise((_, reject) => {
      this.die = reject;
    });
    // Whoever deals with it is told; nobody need listen.
    this.death.catch(() => {});
  }

  get name(): string {
    return this.options.name;
  }

  /** Until its program runs; throws where it does not. */
  async start(): Promise<void> {
    if (this.isEnding) throw new Error(`${this.name} is ending`);
    const { name, command } = this.options;
    const process = new ControlledProcess(name, command, (event, fields) =>
      this.heard(event, fields),
    );
    this.process = process;
    const started = new Promise<void>((resolve) => {
      this.onStarted = resolve;
    });
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<never>((_, reject) => {
      const text = `${name} did not start within ${START_MS / 1000} s`;
      timer = setTimeout(() => reject(new Error(text)), START_MS);
    });
    const ended = process.exited.then((how) => this.ended(process, how));
    try {
      await Promise.race([started, late, ended.then((why) => Promise.reject(new Error(why)))]);
    } finally {
      clearTimeout(timer);
    }
    void ended.then((why) => (this.isEnding ? undefined : this.afterEnd(why)));
  }

  /** Moves its world: press, set, jam (host-sim/virtual/device-process.ts). */
  async call(method: string, params: JsonObject = {}): Promise<unknown> {
    return this.process?.call(method, params);
  }

  async stop(): Promise<void> {
    this.isEnding = true;
    await this.process?.stop();
  }

  private async ended(process: ControlledProcess, how: number | string): Promise<string> {
    this.lastExit = how;
    // It knows what the process wrote to standard error.
    return process.call("info").then(
      () => "",
      (cause: Error) => cause.message,
    );
  }

  private async afterEnd(why: string): Promise<void> {
    if (this.lastExit !== RESTART_CODE) {
      this.died(why);
      return;
    }
    this.restarts++;
    await this.start().catch((cause: Error) => {
      if (!this.isEnding) this.died(cause.message);
    });
  }

  private died(why: string): void {
    this.options.onDied(why);
    this.die(new Error(`${this.name} has died`));
  }

  private heard(event: string, fields: JsonObject): void {
    switch (event) {
      case "started":
        this.nodeId = fields.nodeId as string;
        this.onStarted();
        return;
      case "product":
        if (fields.fell) this.fallen++;
        else this.stuck++;
        return;
      case "line":
        this.claimCode = /^claim code: (\S+)/.exec(fields.line as string)?.[1] ?? this.claimCode;
        return;
      case "alarm":
        this.options.onAlarm(fields.text as string);
        return;
      default:
        return;
    }
  }
}
