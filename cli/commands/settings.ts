/** `picobolt settings get|set`: what an owner may change on a device. */
import { readFileSync } from "node:fs";
import type { PlainObject, PlainValue } from "../../core/messages/admin-values.ts";
import { argumentOneOf } from "../command.ts";
import { EXIT, Failure, messageOf } from "../failure.ts";
import { fieldsOf } from "../owner/fields.ts";
import { ownerCommand } from "../owner/owner-command.ts";

export const settings = ownerCommand({
  configure(parser) {
    parser
      .addArgument(argumentOneOf("<action>", "what is done", ["get", "set"]))
      .argument(
        "[values...]",
        "names to show, or name=value to set; a value may be JSON or @file of JSON",
      );
  },
  examples: [
    "picobolt settings get",
    "picobolt settings set name=coffee",
    "picobolt settings set app=@vending.json",
  ],
  prepare: ([action, ...values]) => {
    if (action !== "get" && action !== "set") {
      throw new Failure(`settings are get or set, not "${action}"`, EXIT.usage);
    }
    if (action === "set") changesOf(values);
  },
  async run(device, { out }, [action, ...values]) {
    if (action === "set") await device.setSettings(changesOf(values));
    const all = await device.settings();
    const isWanted = (name: string) =>
      action === "set" || values.length === 0 || values.includes(name);
    const shown = Object.fromEntries(Object.entries(all).filter(([name]) => isWanted(name)));
    for (const line of fieldsOf(shown)) out.text(line);
    out.result(shown);
  },
});

/** `name=value` words as settings. */
export function changesOf(values: readonly string[]): PlainObject {
  const changes = values.map((words) => {
    const at = words.indexOf("=");
    if (at <= 0) throw new Failure(`"${words}" must be name=value`, EXIT.usage);
    return [words.slice(0, at), settingOf(words.slice(at + 1))] as const;
  });
  if (changes.length === 0) throw new Failure("nothing to set: name=value is missing", EXIT.usage);
  return Object.fromEntries(changes);
}

function settingOf(words: string): PlainValue {
  try {
    if (words.startsWith("@")) return withFiles(readFileSync(words.slice(1), "utf8"));
  } catch (cause) {
    throw new Failure(`${words.slice(1)} cannot be read (${messageOf(cause)})`, EXIT.usage);
  }
  try {
    return JSON.parse(words) as PlainValue;
  } catch {
    return words;
  }
}

/** JSON in which `{"$file": "/path"}` stands for the bytes of that file, such as a certificate. */
function withFiles(json: string): PlainValue {
  return JSON.parse(json, (_, value: unknown) => {
    const path = (value as { readonly $file?: unknown } | null)?.$file;
    return typeof path === "string" ? new Uint8Array(readFileSync(path)) : value;
  }) as PlainValue;
}
