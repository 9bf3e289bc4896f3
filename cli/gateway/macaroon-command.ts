/** `picobolt macaroon`: bakes, narrows, shows and revokes macaroons of a gateway; it need not run, and may. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { toHex } from "../../core/primitives/bytes.ts";
import { AuthError } from "../../gateway/auth/auth-error.ts";
import {
  attenuated,
  identifierOf,
  MacaroonAuthority,
  ROOT_KEYS_FILE,
} from "../../gateway/auth/authority.ts";
import { parseCaveat } from "../../gateway/auth/caveats.ts";
import { type Macaroon, macaroonFrom, macaroonText } from "../../gateway/auth/macaroon.ts";
import { type RootKey, RootKeys } from "../../gateway/auth/root-keys.ts";
import { chooseCrypto } from "../../gateway/crypto/choose.ts";
import { createPrivate } from "../../gateway/secrets/private-file.ts";
import { type Context, type Options, text } from "../command.ts";
import { EXIT, Failure, messageOf } from "../failure.ts";
import { openSeed, orRefused, seedPlace } from "./seed-access.ts";

const UNITS_MS = { m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const STANDARD_INPUT = 0;

export async function macaroonCommand(
  context: Context,
  [action, name]: readonly string[],
  options: Options,
): Promise<void> {
  switch (action) {
    case "bake":
      return bake(context, name, options);
    case "attenuate":
      return give(context, options, narrowed(given(options), caveatsOf(options)));
    case "inspect":
      return inspect(context, options);
    case "list":
      return list(context, options);
    case "revoke":
      return revoke(context, name, options);
    default: {
      const message = `macaroon takes bake, attenuate, inspect, list or revoke, not "${action}"`;
      throw new Failure(message, EXIT.usage);
    }
  }
}

async function bake(context: Context, name: string | undefined, options: Options): Promise<void> {
  if (name === undefined) {
    throw new Failure("macaroon bake needs a name, by which it is revoked", EXIT.usage);
  }
  const caveats = caveatsOf(options);
  for (const caveat of caveats) orUsage(() => parseCaveat(caveat));
  const place = seedPlace(options);
  const { secret } = await openSeed(context, place);
  const authority = new MacaroonAuthority({
    folder: place.folder,
    secret: secret.derive(chooseCrypto(), "macaroon root keys"),
    nowMs: Date.now,
  });
  return give(
    context,
    options,
    refusable(() => authority.bake(name, caveats)),
  );
}

/** To a file of mode 600, or to standard output. */
async function give({ out }: Context, options: Options, macaroon: Macaroon): Promise<void> {
  const words = macaroonText(macaroon);
  const path = text(options, "out");
  if (path === undefined) {
    out.line(words, { macaroon: words, ...shownOf(macaroon) });
    return;
  }
  await orRefused(Promise.resolve().then(() => createPrivate(path, Buffer.from(`${words}\n`))));
  out.line(`${path}: ${sentence(macaroon)}`, { file: path, ...shownOf(macaroon) });
}

function inspect({ out }: Context, options: Options): void {
  const macaroon = given(options);
  const { rootKeyId, macaroonId } = refusable(() => identifierOf(macaroon));
  const rootKey = rootKeysIn(options).byId(rootKeyId);
  out.text(`macaroon  ${macaroonId}`);
  out.text(`root key  ${toHex(rootKeyId)}, ${rootKey ? stateOf(rootKey) : "not of this gateway"}`);
  for (const caveat of macaroon.caveats) out.text(`caveat    ${caveat}${remark(caveat)}`);
  if (macaroon.caveats.length === 0) out.text("caveat    none: it permits everything");
  out.result({ ...shownOf(macaroon), root_key: rootKey });
}

function list({ out }: Context, options: Options): void {
  for (const rootKey of rootKeysIn(options).list()) {
    out.line(`${rootKey.id}  ${stateOf(rootKey)}`, rootKey);
  }
}

function revoke({ out }: Context, name: string | undefined, options: Options): void {
  if (name === undefined) {
    throw new Failure("macaroon revoke needs a name or id: macaroon list shows them", EXIT.usage);
  }
  const rootKey = refusable(() => rootKeysIn(options).revoke(name));
  out.line(
    `${rootKey.name} is revoked: every macaroon baked by that name is void from now on`,
    rootKey,
  );
}

function caveatsOf(options: Options): readonly string[] {
  const lists = [
    ["permit", "method = "],
    ["device", "device = "],
    ["ip", "ip = "],
  ] as const;
  const caveats = lists.flatMap(([name, start]) => {
    const value = text(options, name);
    return value === undefined ? [] : [start + value.replaceAll(" ", "")];
  });
  const expires = text(options, "expires");
  const amount = text(options, "amountPerDay");
  return [
    ...caveats,
    ...(expires === undefined ? [] : [`time-before ${timeOf(expires)}`]),
    ...(amount === undefined ? [] : [`amount-per-day <= ${amount}`]),
    ...((options.caveat as readonly string[] | undefined) ?? []),
  ];
}

/** "30d", "12h", "45m", or a time as RFC 3339 writes it. */
function timeOf(words: string): string {
  const [, count, unit] = /^([1-9]\d{0,4})([mhd])$/.exec(words) ?? [];
  if (count === undefined) return words;
  const untilMs = Date.now() + Number(count) * UNITS_MS[unit as keyof typeof UNITS_MS];
  return new Date(untilMs).toISOString().replace(/\.\d+Z$/, "Z");
}

function narrowed(macaroon: Macaroon, caveats: readonly string[]): Macaroon {
  if (caveats.length === 0) {
    throw new Failure("macaroon attenuate needs at least one caveat: see --help", EXIT.usage);
  }
  return orUsage(() => attenuated(macaroon, caveats));
}

/** From --in, or standard input. */
function given(options: Options): Macaroon {
  const path = text(options, "in");
  let words: string;
  try {
    words = readFileSync(path ?? STANDARD_INPUT, "utf8");
  } catch (cause) {
    throw new Failure(
      `${path ?? "standard input"} cannot be read (${messageOf(cause)})`,
      EXIT.usage,
    );
  }
  return refusable(() => macaroonFrom(words));
}

function rootKeysIn(options: Options): RootKeys {
  const path = join(seedPlace(options).folder, ROOT_KEYS_FILE);
  return refusable(() => new RootKeys({ path, nowMs: Date.now }));
}

function shownOf(macaroon: Macaroon): object {
  const { rootKeyId, macaroonId } = refusable(() => identifierOf(macaroon));
  return { macaroon_id: macaroonId, root_key_id: rootKeyId, caveats: macaroon.caveats };
}

function sentence({ caveats }: Macaroon): string {
  return caveats.length === 0 ? "permits everything" : caveats.join("; ");
}

function stateOf({ name, createdAt, revokedAt }: RootKey): string {
  return revokedAt ? `${name}, REVOKED ${revokedAt}` : `${name}, since ${createdAt}`;
}

function remark(caveat: string): string {
  try {
    const parsed = parseCaveat(caveat);
    return parsed.type === "time-before" && parsed.timeMs <= Date.now() ? "  EXPIRED" : "";
  } catch {
    return "  UNKNOWN: the gateway refuses it";
  }
}

function orUsage<T>(work: () => T): T {
  try {
    return work();
  } catch (cause) {
    if (cause instanceof AuthError) throw new Failure(cause.message, EXIT.usage);
    throw cause;
  }
}

function refusable<T>(work: () => T): T {
  try {
    return work();
  } catch (cause) {
    throw new Failure(messageOf(cause), EXIT.refused);
  }
}
