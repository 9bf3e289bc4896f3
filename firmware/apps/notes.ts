/** Sentences for people inside messages that have a limit in bytes. */
import { utf8Length } from "../../core/messages/utf8.ts";

/** Cut at a character so that it has at most `maxBytes` bytes of UTF-8. */
export function shortened(text: string, maxBytes: number): string {
  if (utf8Length(text) <= maxBytes) return text;
  const characters = [...text].slice(0, maxBytes);
  while (utf8Length(characters.join("")) > maxBytes) characters.pop();
  return characters.join("");
}

export function textOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
