/** Settings without their passwords: to be shown, and to be kept once they are on the device. */
import type { Json, JsonObject } from "./fleet-types.ts";

const SECRETS: readonly string[] = ["password"];
const HIDDEN = "(hidden)";

export function redacted(object: JsonObject): JsonObject {
  const entries = Object.entries(object).map(([name, value]): [string, Json] => {
    if (SECRETS.includes(name)) return [name, HIDDEN];
    const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
    return [name, isObject ? redacted(value as JsonObject) : value];
  });
  return Object.fromEntries(entries);
}
