/** Rows of an answer as columns for people: numbers to the right, ids shortened to what a command takes. */

export interface Column<Row> {
  readonly head: string;
  /** An amount as text; numbers stand to the right by themselves. */
  readonly isRight?: boolean;
  readonly of: (row: Row) => string | number | null | undefined;
}

const GAP = "  ";
const ID_LENGTH = 12;

export function textTable<Row>(columns: readonly Column<Row>[], rows: readonly Row[]): string {
  const cells = rows.map((row) => columns.map(({ of }) => of(row)));
  const isRight = columns.map(
    (column, at) => column.isRight || cells.every((one) => typeof one[at] === "number"),
  );
  const lines = [
    columns.map(({ head }) => head.toUpperCase()),
    ...cells.map((row) => row.map(shown)),
  ];
  const widths = columns.map((_, at) => Math.max(...lines.map((line) => line[at]?.length ?? 0)));
  return lines
    .map((line) =>
      line
        .map((cell, at) => {
          const width = widths[at] ?? 0;
          return isRight[at] ? cell.padStart(width) : cell.padEnd(width);
        })
        .join(GAP)
        .trimEnd(),
    )
    .join("\n");
}

/** The beginning of a channel's, payment's or node's id: commands take it in place of the whole. */
export function shortId(id: string | null): string {
  return id === null ? "-" : id.slice(0, ID_LENGTH);
}

/** Satoshi with what is left of a millisatoshi, and no more places than it has. */
export function satText(msat: number): string {
  const rest = msat % 1000;
  const sat = String((msat - rest) / 1000);
  return rest === 0 ? sat : `${sat}.${String(rest).padStart(3, "0")}`;
}

/** A moment of the API, as short as it can be read. */
export function timeText(moment: string): string {
  return moment.replace("T", " ").replace(/(:\d\d)(\.\d+)?Z$/, "$1");
}

function shown(cell: string | number | null | undefined): string {
  return cell === null || cell === undefined || cell === "" ? "-" : String(cell);
}
