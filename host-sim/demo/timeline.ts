/** The demo's timeline: lines that a person enjoys reading, or the same as JSON lines. */
import type { JsonObject } from "../../gateway/api/event-json.ts";

const COLOURS = { gateway: 36, buyer: 32, vending: 33, chain: 35, cheat: 31, note: 90 } as const;
export type Actor = keyof typeof COLOURS;
const NAME_WIDTH = 8;

export class Timeline {
  private readonly startedMs = Date.now();
  private readonly colour: boolean;

  constructor(private readonly json: boolean) {
    this.colour = !json && process.stdout.isTTY === true && !process.env.NO_COLOR;
  }

  get seconds(): number {
    return Math.round((Date.now() - this.startedMs) / 100) / 10;
  }

  /** One thing that happened; `fields` are for programs. */
  say(actor: Actor, text: string, fields: JsonObject = {}): void {
    const ms = Date.now() - this.startedMs;
    if (this.json) {
      this.print(JSON.stringify({ ms, actor, text, ...fields }));
      return;
    }
    const time = `${(ms / 1000).toFixed(3).padStart(7)}s`;
    this.print(
      `${this.paint(90, time)}  ${this.paint(COLOURS[actor], actor.padEnd(NAME_WIDTH))} ${text}`,
    );
  }

  heading(text: string): void {
    if (this.json) this.say("note", text);
    else this.print(`\n${this.paint(1, text)}`);
  }

  /** Lines below the timeline: a table at the end. */
  table(lines: readonly string[]): void {
    if (!this.json) for (const line of lines) this.print(line);
  }

  /** The last line of `--json`. */
  result(fields: JsonObject): void {
    if (this.json) this.print(JSON.stringify(fields));
  }

  private paint(code: number, text: string): string {
    return this.colour ? `\u001b[${code}m${text}\u001b[0m` : text;
  }

  private print(line: string): void {
    process.stdout.write(`${line}\n`);
  }
}

/** Whole satoshis with thin separators: 1 234 567. */
export function sat(amount: number): string {
  return `${Math.floor(amount)
    .toString()
    .replace(/\B(?=(\d{3})+$)/g, " ")} sat`;
}

export function shortId(id: string): string {
  return `${id.slice(0, 8)}…${id.slice(-4)}`;
}
