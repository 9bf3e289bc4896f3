/** The Store that DATABASE_URL names: a file of SQLite, or PostgreSQL (issue 4 "Store"). */
import { fileURLToPath } from "node:url";
import { StoreError } from "../../core/node/store-error.ts";
import type { Store } from "../../core/ports/store.ts";
import { type LeaseTable, SoleLeases } from "./lease.ts";
import { openPostgresStore, type PostgresStoreOptions } from "./postgres/postgres-store.ts";
import { openSqliteStore } from "./sqlite-store.ts";

export type OpenedStore = Store & { readonly leases?: LeaseTable };

export type DatabaseUrl =
  | { readonly kind: "sqlite"; readonly path: string }
  | { readonly kind: "postgres"; readonly url: string };

/**
 * `file:…` and a path are SQLite's, `postgres://…` and `postgresql://…` PostgreSQL's. Throws a StoreError for anything
 * else, which never shows more of the text than its scheme: it may hold a password.
 */
export function parseDatabaseUrl(text: string): DatabaseUrl {
  if (text.trim() === "") throw notUnderstood("it is empty");
  const scheme = /^([a-z][a-z0-9+.-]+):/i.exec(text)?.[1]?.toLowerCase();
  if (scheme === undefined) return { kind: "sqlite", path: text };
  if (scheme === "file") return { kind: "sqlite", path: filePath(text) };
  if (scheme === "postgres" || scheme === "postgresql") return { kind: "postgres", url: text };
  throw notUnderstood(`there is no store for "${scheme}:"`);
}

export async function openStore(
  text: string,
  options: PostgresStoreOptions = {},
): Promise<{ readonly store: OpenedStore; readonly leases: LeaseTable }> {
  const url = parseDatabaseUrl(text);
  if (url.kind === "postgres") {
    const store = await openPostgresStore(url.url, options);
    return { store, leases: store.leases };
  }
  if (options.worker !== undefined) {
    const advice = "several gateways can share PostgreSQL alone (DATABASE_URL=postgres://…)";
    throw new StoreError("locked", `${url.path} is a file for one process: ${advice}.`);
  }
  return { store: openSqliteStore(url.path), leases: new SoleLeases() };
}

/** `file:name.db` and `file:./name.db` are relative, as SQLite's own URIs; `file:///…` is a URL. */
function filePath(text: string): string {
  const rest = text.slice("file:".length);
  if (rest === "") throw notUnderstood("it names no file");
  if (rest.includes("?")) throw notUnderstood("a file takes no options");
  if (!rest.startsWith("//")) return decodeURIComponent(rest);
  try {
    return fileURLToPath(text);
  } catch {
    throw notUnderstood("file://… must name a file of this machine, as file:///folder/name.db");
  }
}

function notUnderstood(why: string): StoreError {
  const message =
    `The database's URL is not understood (${why}): give a path, file:name.db or ` +
    "postgres://user:password@host:port/database.";
  return new StoreError("foreign", message);
}
