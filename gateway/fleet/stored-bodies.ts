/** Rows of the fleet as JSON: one that is damaged is passed over and told, and keeps neither the others nor the gateway. */
import { toHex } from "../../core/primitives/bytes.ts";

export interface BodyRow {
  readonly id: Uint8Array;
  readonly body: unknown;
}

/** What a person has to do where one of them is damaged. */
const ADVICE = {
  device:
    "it is not administered, and has no account in the broker's files: register it again (picobolt device claim)",
  request: "it is not carried out: ask for it again, and look whether it was done",
  "roll-out": "it does not go on: begin it again",
};
/** Of alarms. */
const MAX_TOLD = 100;

export class StoredBodies {
  private readonly told = new Map<string, string>();

  /** Whose rows were damaged, and what to do; the rows themselves stay as they are. */
  get damaged(): readonly string[] {
    return [...this.told.values()];
  }

  read<T>(what: keyof typeof ADVICE, rows: readonly BodyRow[]): readonly T[] {
    return rows.flatMap(({ id, body }) => {
      const value = parsed(String(body));
      if (value !== undefined) return [value as T];
      const name = `${what} ${toHex(new Uint8Array(id))}`;
      if (this.told.size < MAX_TOLD) {
        this.told.set(name, `the row of ${name} is damaged in the store: ${ADVICE[what]}`);
      }
      return [];
    });
  }
}

function parsed(text: string): object | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}
