/** QR codes of invoices and addresses, as SVG and for a terminal (BOLT 11: in upper case; ISO/IEC 18004 alphanumeric mode). */
import { create, toString as render } from "qrcode";

/** What a QR code of the largest size holds in alphanumeric mode. */
export const MAX_QR_CHARACTERS = 4296;
/** Screens are clean: 7 % of the code may be lost, and it stays small. */
const LEVEL = { errorCorrectionLevel: "L" } as const;
/** What readers need around it. */
const QUIET_MODULES = 4;
/** Nothing, upper, lower, both. */
const HALF_BLOCKS = [" ", "▀", "▄", "█"] as const;
const BLACK_ON_WHITE = "\x1b[30;107m";
const AS_BEFORE = "\x1b[0m";

export class QrError extends Error {
  override readonly name = "QrError";
  readonly code = "qr-too-long";
}

/** A drawing without a size of its own, with its quiet zone. */
export function qrSvg(text: string): Promise<string> {
  return render(inCapitals(text), { ...LEVEL, type: "svg" });
}

/** Half blocks, black on white whatever the terminal's colours are; a line for two rows of the code. */
export function qrTerminal(text: string): string {
  const modules = qrModules(text);
  const side = modules.length + 2 * QUIET_MODULES;
  const isDark = (row: number, column: number) =>
    modules[row - QUIET_MODULES]?.[column - QUIET_MODULES] === true;
  const lines: string[] = [];
  for (let row = 0; row < side; row += 2) {
    let line = "";
    for (let column = 0; column < side; column++) {
      line += HALF_BLOCKS[(isDark(row, column) ? 1 : 0) + (isDark(row + 1, column) ? 2 : 0)];
    }
    lines.push(`${BLACK_ON_WHITE}${line}${AS_BEFORE}`);
  }
  return lines.join("\n");
}

/** The code itself: rows of dark and light. */
export function qrModules(text: string): boolean[][] {
  const { size, data } = create(inCapitals(text), LEVEL).modules;
  return Array.from({ length: size }, (_, row) =>
    Array.from(data.subarray(row * size, (row + 1) * size), (module) => module !== 0),
  );
}

/** Capitals take 5.5 bits each, small letters 8. */
function inCapitals(text: string): string {
  if (text.length > MAX_QR_CHARACTERS) {
    throw new QrError(
      `${text.length} characters do not fit into a QR code, which holds ${MAX_QR_CHARACTERS}`,
    );
  }
  return text.toUpperCase();
}
