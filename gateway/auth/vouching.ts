/**
 * What one process says of a call that it passes on to another of the same node: whose macaroon it is, and from where it
 * came. Macaroons are signed under the node's seed, so that every process can check one; only the list of root keys is
 * each process's own, and for that the first one vouches.
 */
import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import { AuthError } from "./auth-error.ts";

export interface Voucher {
  /** Of the macaroon, as the first process lists it. */
  readonly rootKeyName: string;
  /** Of the caller; undefined on a local socket. */
  readonly address?: string;
}

export interface VouchedCall {
  readonly macaroon: string;
  /** As it is sent. */
  readonly body: string;
}

export const VOUCHER_HEADER = "picobolt-voucher";
/** Clocks of two machines may be so far apart, and a call so long on its way. */
const MAX_AGE_MS = 60_000;

export class Vouching {
  readonly #secret: Uint8Array;

  /** `secret`: NodeSecret.derive("calls between processes"). */
  constructor(
    secret: Uint8Array,
    private readonly nowMs: () => number,
  ) {
    this.#secret = secret;
  }

  /** For the header. */
  vouch(voucher: Voucher, call: VouchedCall): string {
    const said = Buffer.from(JSON.stringify({ ...voucher, atMs: this.nowMs() })).toString(
      "base64url",
    );
    return `${said}.${this.mac(said, call).toString("base64url")}`;
  }

  /** @throws AuthError */
  check(header: string, call: VouchedCall): Voucher {
    const [said = "", mac = ""] = header.split(".");
    const given = Buffer.from(mac, "base64url");
    const right = this.mac(said, call);
    if (given.length === right.length && timingSafeEqual(given, right)) {
      const words = Buffer.from(said, "base64url").toString();
      const { atMs, ...voucher } = JSON.parse(words) as Voucher & { readonly atMs: number };
      if (Math.abs(this.nowMs() - atMs) <= MAX_AGE_MS) return voucher;
    }
    throw new AuthError(
      "bad-macaroon",
      "a call that another process passed on is stale or altered: have all processes the same seed, and their machines the same time?",
    );
  }

  private mac(said: string, { macaroon, body }: VouchedCall): Buffer {
    const content = createHash("sha256").update(macaroon).update("\n").update(body).digest();
    return createHmac("sha256", this.#secret).update(said).update("\n").update(content).digest();
  }
}
