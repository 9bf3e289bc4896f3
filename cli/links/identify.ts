/** Asks whoever is at the other end of a link who it is (docs/PROTOCOL.md "Identity"). */
import type { Link } from "../../core/ports/link.ts";
import { type IdentityCard, IdentityQuestion } from "../../core/transport/identity.ts";
import { deadline } from "./deadline.ts";

export type Identity = IdentityCard;

const TICK_MS = 50;

/** Undefined where nobody answers in time; the link is free for a session afterwards. */
export function identify(link: Link, timeoutMs: number): Promise<Identity | undefined> {
  return new Promise((resolve) => {
    const end = (card: Identity | undefined) => {
      clearInterval(ticker);
      cancel();
      link.onBytes = () => {};
      link.onClosed = () => {};
      resolve(card);
    };
    const question = new IdentityQuestion(link, end);
    link.onClosed = () => end(undefined);
    const ticker = setInterval(() => question.tick(Date.now()), TICK_MS);
    const cancel = deadline(timeoutMs, () => end(undefined));
    question.tick(Date.now());
  });
}

export function describeIdentity(card: Identity): string {
  const { name, model, firmwareVersion, claimed, nodeId } = card;
  const who = name ? `"${name}"` : claimed ? "a device" : "an unclaimed device";
  const owner = claimed ? "claimed" : "unclaimed: picobolt claim makes it yours";
  return `${who}, ${model} ${firmwareVersion}, ${owner}\n  node ${Buffer.from(nodeId).toString("hex")}`;
}
