/**
 * The list of root keys that macaroons stand on: names and ids, added and revoked by lines that are only ever
 * appended. The keys themselves are not in it: each is derived from the node's secret and its id. An id that is
 * not listed is void, so a lost list voids every macaroon and revives none.
 */
import { createHmac, randomBytes } from "node:crypto";
import {
  closeSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readFileSync,
  statSync,
  writeSync,
} from "node:fs";
import { basename, dirname } from "node:path";
import { fromHex, toHex } from "../../core/primitives/bytes.ts";
import { assert } from "../../core/primitives/errors.ts";
import { syncFolder } from "../secrets/private-file.ts";
import { AuthError } from "./auth-error.ts";

export interface RootKey {
  /** 16 hexadecimal digits. */
  readonly id: string;
  readonly name: string;
  /** RFC 3339. */
  readonly createdAt: string;
  readonly revokedAt: string | undefined;
}

export interface RootKeysOptions {
  readonly path: string;
  /** 32 bytes: NodeSecret.derive("macaroon root keys"); whoever only lists and revokes needs none. */
  readonly secret?: Uint8Array;
  readonly nowMs: () => number;
}

export const ROOT_KEY_ID_BYTES = 8;
export const MAX_ROOT_KEYS = 10_000;
const MAX_NAME = 64;

type Line =
  | { readonly type: "add"; readonly id: string; readonly name: string; readonly at: string }
  | { readonly type: "revoke"; readonly id: string; readonly at: string };

export class RootKeys {
  readonly #secret: Uint8Array | undefined;
  private keys = new Map<string, RootKey>();
  private readFrom = "";

  constructor(private readonly options: RootKeysOptions) {
    this.#secret = options.secret;
    this.refresh();
  }

  /** Revoked ones too, the oldest first. */
  list(): readonly RootKey[] {
    this.refresh();
    return [...this.keys.values()];
  }

  /** The one of that name that is not revoked. */
  named(name: string): RootKey | undefined {
    return this.list().find((key) => key.name === name && key.revokedAt === undefined);
  }

  byId(id: Uint8Array): RootKey | undefined {
    this.refresh();
    return this.keys.get(toHex(id));
  }

  /** An id for `add`: what is baked with it works from then on. */
  newId(): Uint8Array {
    return new Uint8Array(randomBytes(ROOT_KEY_ID_BYTES));
  }

  /** Durable when it returns. */
  add(id: Uint8Array, name: string): RootKey {
    checkName(name);
    if (this.named(name)) throw new Error(`there is a root key "${name}" already: revoke it first`);
    if (this.keys.size >= MAX_ROOT_KEYS) {
      throw new Error(`there are ${MAX_ROOT_KEYS} root keys: use one of them, by its name`);
    }
    this.append({ type: "add", id: toHex(id), name, at: this.now() });
    return this.byId(id)!;
  }

  /** All macaroons of that key are void when it returns; throws where no key has that name or id. */
  revoke(nameOrId: string): RootKey {
    const key = this.named(nameOrId) ?? this.keys.get(nameOrId);
    if (!key)
      throw new Error(`there is no root key "${nameOrId}": picobolt macaroon list shows them`);
    if (key.revokedAt === undefined) this.append({ type: "revoke", id: key.id, at: this.now() });
    return this.byId(fromHex(key.id))!;
  }

  /** The key that signs; 32 bytes. */
  secretOf(id: Uint8Array): Uint8Array {
    assert(this.#secret, "the root keys' secret was not given");
    const mac = createHmac("sha256", this.#secret).update("root key").update(id);
    return new Uint8Array(mac.digest());
  }

  private now(): string {
    return new Date(this.options.nowMs()).toISOString();
  }

  /** Another process may have added or revoked: it is read again when the file is another one. */
  private refresh(): void {
    const { path } = this.options;
    const state = stateOf(path);
    if (state === this.readFrom) return;
    this.keys = state === "" ? new Map() : keysIn(readFileSync(path, "utf8"), path);
    this.readFrom = state;
  }

  private append(line: Line): void {
    const { path } = this.options;
    const isNew = stateOf(path) === "";
    const file = openSync(path, "a+", 0o600);
    try {
      cutTorn(file, readFileSync(path));
      writeSync(file, `${JSON.stringify(line)}\n`);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    if (isNew) syncFolder(dirname(path));
    this.refresh();
  }
}

function checkName(name: string): void {
  if (new RegExp(`^[a-zA-Z0-9][a-zA-Z0-9._-]{0,${MAX_NAME - 1}}$`).test(name)) return;
  throw new Error(
    `"${name}" is no name of a root key: letters, digits, dots and dashes, at most ${MAX_NAME}`,
  );
}

function stateOf(path: string): string {
  const stat = statSync(path, { bigint: true, throwIfNoEntry: false });
  return stat ? `${stat.ino} ${stat.size} ${stat.mtimeNs}` : "";
}

/** What a power cut left of a last line was never acted on. */
function cutTorn(file: number, content: Uint8Array): void {
  const whole = content.lastIndexOf(10) + 1;
  if (whole !== content.length) ftruncateSync(file, whole);
}

function keysIn(text: string, path: string): Map<string, RootKey> {
  const keys = new Map<string, RootKey>();
  const lines = text.split("\n").slice(0, -1);
  for (const [index, words] of lines.entries()) {
    const line = lineOf(words);
    const known = line && keys.get(line.id);
    if (line?.type === "add" && !known) {
      keys.set(line.id, { id: line.id, name: line.name, createdAt: line.at, revokedAt: undefined });
    } else if (line?.type === "revoke" && known) {
      keys.set(line.id, { ...known, revokedAt: known.revokedAt ?? line.at });
    } else {
      throw new AuthError(
        "revoked",
        `${basename(path)} is damaged in line ${index + 1}: every macaroon is refused. Restore it from a copy, or delete it and bake new ones.`,
      );
    }
  }
  return keys;
}

function lineOf(words: string): Line | undefined {
  try {
    const { type, id, name, at } = JSON.parse(words) as Record<string, unknown>;
    if (typeof id !== "string" || !/^[0-9a-f]{16}$/.test(id) || typeof at !== "string")
      return undefined;
    if (type === "revoke") return { type, id, at };
    return type === "add" && typeof name === "string" ? { type, id, name, at } : undefined;
  } catch {
    return undefined;
  }
}
