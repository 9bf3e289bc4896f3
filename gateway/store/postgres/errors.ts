/** PostgreSQL's conditions as StoreErrors that say what to do (SQLSTATE, PostgreSQL manual appendix A). */
import { StoreError } from "../../../core/node/store-error.ts";

/** The StoreError for whatever went wrong with the database of that name, which tells no password. */
export function storeErrorOf(error: unknown, name: string): StoreError {
  if (error instanceof StoreError) return error;
  const code = String((error as { code?: unknown } | undefined)?.code ?? "");
  const text = error instanceof Error ? error.message : String(error);
  const told = (kind: StoreError["code"], message: string) =>
    new StoreError(kind, message, { cause: error });
  if (code === "53100") {
    return told("full", `No space left on the server of ${name}: free some, the channels go on.`);
  }
  if (code === "25006" || code === "42501") {
    const message =
      `${name} cannot be written (${text}): is this a standby, and does this role own the ` +
      "database?";
    return told("read-only", message);
  }
  if (code === "28P01" || code === "28000" || code === "3D000") {
    const message = `${name} refuses us (${text}): check the user, password and database.`;
    return told("io", message);
  }
  if (code === "XX001" || code === "XX002") {
    const message = `${name} is damaged (${text}): restore the newest backup of the server.`;
    return told("corrupt", message);
  }
  if (code === "54000") return told("too-large", `A value is too large for ${name}.`);
  if (isLost(error)) {
    const message =
      `The connection to ${name} was lost (${text || code}). Whether what was being written is ` +
      "stored is not known: the channels read it again when the server answers.";
    return told("io", message);
  }
  return told("io", `Work on ${name} failed (${code || text}: ${text}).`);
}

/** The session is gone, or nothing can be said of it: class 08, a stopping server, or an error of the socket. */
export function isLost(error: unknown): boolean {
  const code = String((error as { code?: unknown } | undefined)?.code ?? "");
  if (/^(08|57P0)/.test(code) || code === "25P03") return true;
  return !/^[0-9A-Z]{5}$/.test(code) || code === "EPIPE";
}

/** The transaction was undone because of another one: it may be tried again. */
export function isTransient(error: unknown): boolean {
  const code = (error as { code?: unknown } | undefined)?.code;
  return code === "40001" || code === "40P01";
}
