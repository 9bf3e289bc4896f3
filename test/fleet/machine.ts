/** One virtual device of the fleet as a process: the firmware on emulated flash, which survives a loss of power. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { ControlledProcess } from "../../host-sim/processes/control.ts";
import { RUNNER } from "../../host-sim/processes/runner.ts";
import { RESTART_CODE } from "../../host-sim/virtual/virtual-board.ts";
import { TIED_TO_US, until } from "./programs.ts";

const PROGRAM = new URL("../../host-sim/virtual/device-process.ts", import.meta.url).pathname;
const START_MS = 60_000;

export interface MachineOptions {
  readonly name: string;
  readonly folder: string;
  /** Links and mechanics, as words of host-sim/virtual/device-process.ts. */
  readonly words: readonly string[];
  onAlarm(text: string): void;
}

export class Machine {
  nodeId = "";
  claimCode = "";
  /** Products that came out, over all lives. */
  fallen = 0;
  stuck = 0;
  lives = 0;
  private process: ControlledProcess | undefined;
  private isStarted = false;

  constructor(private readonly options: MachineOptions) {
    mkdirSync(options.folder, { recursive: true });
  }

  get name(): string {
    return this.options.name;
  }

  async start(): Promise<void> {
    const { name, folder, words } = this.options;
    this.isStarted = false;
    this.lives++;
    const place = ["--folder", join(folder, "flash")];
    const command = [...TIED_TO_US, process.execPath, RUNNER, PROGRAM, ...place];
    const running = new ControlledProcess(name, [...command, ...words], (event, fields) => {
      if (event === "started") {
        this.nodeId = fields.nodeId as string;
        this.isStarted = true;
      } else if (event === "product") {
        if (fields.fell) this.fallen++;
        else this.stuck++;
      } else if (event === "line") {
        this.claimCode = /^claim code: (\S+)/.exec(fields.line as string)?.[1] ?? this.claimCode;
      } else if (event === "alarm") this.options.onAlarm(fields.text as string);
    });
    this.process = running;
    // It wants to be started again where its settings ask for it.
    void running.exited.then((how) => {
      if (how === RESTART_CODE && this.process === running) void this.start();
    });
    await until(`${name} has started`, () => this.isStarted, { ms: START_MS });
  }

  /** Power fails. */
  async kill(): Promise<void> {
    await this.process?.kill();
  }

  async stop(): Promise<void> {
    await this.process?.stop();
  }

  async jam(motor: string, on: boolean): Promise<void> {
    await this.process?.call("jam", { motor, on });
  }
}
