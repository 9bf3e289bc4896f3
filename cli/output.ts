/** What a command writes: answers on standard output, as text or as JSON lines; progress on standard error. */

import { type Column, textTable } from "./text-table.ts";

export interface TableOf<Row> {
  readonly columns: readonly Column<Row>[];
  readonly rows: readonly Row[];
  /** Said in place of an empty table. */
  readonly none: string;
}

const BAR_WIDTH = 28;
/** A terminal is redrawn so often at most; a file gets a line for each tenth. */
const REDRAW_MS = 100;

export class Output {
  private barShown = false;
  private drawnAtMs = 0;
  private drawnTenth = -1;

  constructor(readonly isJson: boolean) {}

  /** A line of the answer, or an object in its place. */
  line(text: string, value: object): void {
    this.endBar();
    process.stdout.write(`${this.isJson ? json(value) : text}\n`);
  }

  /** A list of an answer: a table for people, what it says of nothing where it is empty, one document for scripts. */
  table<Row>({ columns, rows, none }: TableOf<Row>, value: object): void {
    this.text(rows.length > 0 ? textTable(columns, rows) : none);
    this.result(value);
  }

  /** Only where people read. */
  text(text: string): void {
    if (this.isJson) return;
    this.endBar();
    process.stdout.write(`${text}\n`);
  }

  /** Last of all: the object that a script reads. */
  result(value: object): void {
    if (this.isJson) process.stdout.write(`${json(value)}\n`);
  }

  /** What is going on; standard error, also with --json. */
  note(text: string): void {
    this.endBar();
    process.stderr.write(`${text}\n`);
  }

  progress(label: string, done: number, total: number): void {
    const share = total === 0 ? 1 : Math.min(1, done / total);
    const percent = `${Math.floor(share * 100)} %`.padStart(5);
    if (!process.stderr.isTTY) {
      const tenth = Math.floor(share * 10);
      if (tenth !== this.drawnTenth) process.stderr.write(`${label} ${percent}\n`);
      this.drawnTenth = tenth;
      return;
    }
    const now = Date.now();
    if (share < 1 && now - this.drawnAtMs < REDRAW_MS) return;
    this.drawnAtMs = now;
    this.barShown = true;
    const filled = Math.round(share * BAR_WIDTH);
    const bar = "█".repeat(filled) + "░".repeat(BAR_WIDTH - filled);
    process.stderr.write(`\r\x1b[K${label} ${bar} ${percent}`);
  }

  endBar(): void {
    this.drawnTenth = -1;
    if (!this.barShown) return;
    this.barShown = false;
    process.stderr.write("\n");
  }
}

/** Byte strings become hexadecimal. */
function json(value: object): string {
  return JSON.stringify(value, (_, item: unknown) =>
    item instanceof Uint8Array ? Buffer.from(item).toString("hex") : item,
  );
}
