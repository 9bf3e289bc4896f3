/** Words of a command line about money and ids, checked before anybody is asked. */
import { type Options, text } from "../command.ts";
import { EXIT, Failure } from "../failure.ts";

/** `--key`, as the client takes it. */
export function keyOf(options: Options): { readonly idempotencyKey?: string } {
  const key = text(options, "key");
  return key === undefined ? {} : { idempotencyKey: key };
}

/** Of a word that must be a whole number of satoshi. */
export function satOf(word: string | undefined, what: string): number {
  const sat = Number(word);
  if (Number.isSafeInteger(sat) && sat > 0) return sat;
  throw new Failure(
    `${what} is a whole number of satoshi, and "${word ?? ""}" is none`,
    EXIT.usage,
  );
}

export function wordOf(words: readonly string[], index: number, what: string): string {
  const word = words[index];
  if (word !== undefined) return word;
  throw new Failure(`${what} is missing`, EXIT.usage);
}

/** `--limit` and its like; undefined where it was not given. */
export function countOf(options: Options, name: string): number | undefined {
  const word = text(options, name);
  if (word === undefined) return undefined;
  const count = Number(word);
  if (Number.isSafeInteger(count) && count > 0) return count;
  throw new Failure(`--${name} is a whole number of 1 or more, and "${word}" is none`, EXIT.usage);
}

/** The one whose id begins so. @throws Failure where there is none, or where there are several. */
export function startingWith<One>(
  all: readonly One[],
  start: string,
  { what, id }: { readonly what: string; readonly id: (one: One) => string },
): One {
  const found = all.filter((one) => id(one).startsWith(start));
  const [one] = found;
  if (one !== undefined && found.length === 1) return one;
  if (one !== undefined) {
    throw new Failure(`${found.length} ${what}s begin with ${start}: give more of it`, EXIT.usage);
  }
  const known = all.slice(0, 8).map((other) => id(other).slice(0, 12));
  const others = known.length > 0 ? `there are ${known.join(", ")}` : "there are none";
  throw new Failure(`there is no ${what} ${start}; ${others}`, EXIT.refused);
}
