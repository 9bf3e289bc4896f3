/** The links that are up, whatever node runs behind them: a change of settings replaces the node, and the cable stays plugged in. */
import type { Link } from "../../core/ports/link.ts";
import type { PublicKey } from "../../core/primitives/brands.ts";

/** Where links are used: a node, or whoever answers in its place. */
export interface LinkUser {
  attach(link: Link, remoteNodeId?: PublicKey): void;
}

interface Attached {
  readonly link: Link;
  readonly remoteNodeId: PublicKey | undefined;
}

/** A device has memory for so many sessions. */
export const MAX_HUB_LINKS = 4;

export class LinkHub implements LinkUser {
  private readonly all: Attached[] = [];
  private user: LinkUser | undefined;

  get names(): readonly string[] {
    return this.all.map(({ link }) => link.name);
  }

  /** Closes the link where there are too many. */
  attach(link: Link, remoteNodeId?: PublicKey): void {
    if (this.all.length >= MAX_HUB_LINKS) {
      link.close();
      return;
    }
    const shared = sharedLink(link, () => this.forget(shared));
    const attached = { link: shared, remoteNodeId };
    this.all.push(attached);
    if (this.user) attachTo(this.user, attached);
  }

  /** Everything that is up goes to this one from now on. */
  handTo(user: LinkUser): void {
    this.user = user;
    for (const attached of this.all) attachTo(user, attached);
  }

  close(): void {
    this.user = undefined;
    for (const { link } of this.all.splice(0)) link.close();
  }

  private forget(link: Link): void {
    const at = this.all.findIndex((one) => one.link === link);
    if (at >= 0) this.all.splice(at, 1);
  }
}

function attachTo(user: LinkUser, { link, remoteNodeId }: Attached): void {
  // The user before is deaf from now on.
  link.onBytes = () => {};
  link.onClosed = () => {};
  user.attach(link, remoteNodeId);
}

/** The link again, whose listeners may be replaced while its end is still noticed. */
function sharedLink(link: Link, onGone: () => void): Link {
  const shared: Link = {
    name: link.name,
    kind: link.kind,
    send: (bytes) => link.send(bytes),
    close: () => link.close(),
    onBytes: () => {},
    onClosed: () => {},
  };
  link.onBytes = (bytes) => shared.onBytes(bytes);
  link.onClosed = (reason) => {
    onGone();
    shared.onClosed(reason);
  };
  return shared;
}
