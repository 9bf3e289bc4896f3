/** Asks whoever is at the other end of a link who it is (docs/PROTOCOL.md "Identity"). */
import type { Link } from "../../core/ports/link.ts";
import type { PublicKey } from "../../core/primitives/brands.ts";

export interface Identity {
  readonly nodeId: PublicKey;
}

export async function identify(_link: Link, _timeoutMs: number): Promise<Identity | undefined> {
  return undefined;
}

export function describeIdentity({ nodeId }: Identity): string {
  return Buffer.from(nodeId).toString("hex");
}
