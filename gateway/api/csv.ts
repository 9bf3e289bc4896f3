/** A list as CSV (RFC 4180), safe to open in a spreadsheet. */
import type { Json, JsonObject } from "./event-json.ts";

export function csvOf(list: readonly JsonObject[], columns: readonly string[]): string {
  const rows = [columns, ...list.map((one) => columns.map((name) => one[name] ?? ""))];
  return rows.map((row) => `${row.map(cellOf).join(",")}\r\n`).join("");
}

function cellOf(value: Json): string {
  const text = typeof value === "string" ? value : JSON.stringify(value);
  // A cell that begins so would be a formula to a spreadsheet.
  const safe = typeof value === "string" && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
