/** What the gateway's and the device's process do alike when they start: their seed, their links. */
import { randomBytes } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Link } from "../../core/ports/link.ts";
import { type PublicKey, publicKey } from "../../core/primitives/brands.ts";
import { fromHex, toHex } from "../../core/primitives/bytes.ts";
import type { SessionTiming } from "../../core/transport/timing.ts";
import { openLink } from "../links/open-link.ts";

/** 32 bytes, kept apart from the channel records; made at the first start, from `given` (hexadecimal) where that is there. */
export function seedIn(folder: string, given: string | undefined): Uint8Array {
  const file = join(folder, "seed");
  if (!existsSync(file)) {
    const seed = given ? fromHex(given) : randomBytes(32);
    writeFileSync(file, toHex(seed), { mode: 0o600 });
  }
  return fromHex(readFileSync(file, "utf8").trim());
}

/** How soon a silent peer is asked, and taken for gone: words of both processes. */
export const SILENCE_OPTIONS = {
  "ping-ms": { type: "string", default: "5000" },
  "dead-ms": { type: "string", default: "15000" },
} as const;

export function timingOf(
  words: Readonly<Record<keyof typeof SILENCE_OPTIONS, string>>,
): SessionTiming {
  return {
    pingAfterMs: Number(words["ping-ms"]),
    deadAfterMs: Number(words["dead-ms"]),
    handshakeTimeoutMs: 3000,
    minBackoffMs: 100,
    maxBackoffMs: 1000,
  };
}

/** `serial:/path` to be called on, or `serial:/path=<node id>` to call that node. */
export async function attachLink(
  node: { attach(link: Link, remoteNodeId?: PublicKey): void },
  words: string,
): Promise<void> {
  const [name, peer] = words.split("=") as [string, string | undefined];
  node.attach(await openLink(name), peer ? publicKey(fromHex(peer)) : undefined);
}
