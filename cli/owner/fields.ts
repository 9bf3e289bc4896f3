/** What a device answers, as lines for people: `name  value`, parts indented. */

export function fieldsOf(value: unknown, indent = ""): readonly string[] {
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) {
    return [`${indent}${plainText(value)}`];
  }
  return Object.entries(value).flatMap(([name, item]) => {
    const isPart = typeof item === "object" && item !== null && !(item instanceof Uint8Array);
    if (!isPart) return [`${indent}${name.padEnd(22)} ${plainText(item)}`];
    return [`${indent}${name}`, ...fieldsOf(item, `${indent}  `)];
  });
}

function plainText(value: unknown): string {
  if (value instanceof Uint8Array) return Buffer.from(value).toString("hex");
  return value === undefined || value === null ? "-" : String(value);
}
