/** What happens to the fleet, as lines that a person reads, or as JSON lines. */
export class Timeline {
  private readonly startedMs = Date.now();
  private readonly isColoured: boolean;

  constructor(private readonly isJson: boolean) {
    this.isColoured = !isJson && process.stdout.isTTY === true && !process.env.NO_COLOR;
  }

  get seconds(): number {
    return Math.round((Date.now() - this.startedMs) / 100) / 10;
  }

  say(who: string, text: string): void {
    const { seconds } = this;
    if (this.isJson) this.print(JSON.stringify({ seconds, who, text }));
    else {
      const time = `${seconds.toFixed(1).padStart(6)} s`;
      this.print(`${this.dim(time)}  ${who.padEnd(11)} ${text}`);
    }
  }

  heading(text: string): void {
    if (this.isJson) this.say("day", text);
    else this.print(`\n${this.isColoured ? `\u001b[1m${text}\u001b[0m` : text}`);
  }

  /** Columns of words; numbers stand right. */
  table(rows: readonly (readonly (string | number)[])[]): void {
    if (this.isJson) return;
    const texts = rows.map((row) => row.map(wordOf));
    const widths = (texts[0] ?? []).map((_, at) => Math.max(...texts.map((row) => width(row[at]))));
    for (const [line, row] of texts.entries()) {
      const cells = row.map((cell, at) => {
        const isNumber = typeof rows[Math.max(line, 1)]?.[at] === "number";
        return isNumber ? cell.padStart(widths[at] ?? 0) : cell.padEnd(widths[at] ?? 0);
      });
      this.print(`  ${cells.join("  ").trimEnd()}`);
    }
  }

  /** The last line of `--json`. */
  result(fields: object): void {
    if (this.isJson) this.print(JSON.stringify(fields));
  }

  private dim(text: string): string {
    return this.isColoured ? `\u001b[90m${text}\u001b[0m` : text;
  }

  private print(line: string): void {
    process.stdout.write(`${line}\n`);
  }
}

function wordOf(cell: string | number): string {
  if (typeof cell === "string") return cell;
  return cell.toString().replace(/\B(?=(\d{3})+(?!\d))/g, " ");
}

function width(cell: string | undefined): number {
  return cell?.length ?? 0;
}
