/** Who is connected and who was when, as far as the events tell since the gateway's start. */
import type { EventHub } from "./event-hub.ts";

export interface SeenPeer {
  readonly isConnected: boolean;
  /** RFC 3339. */
  readonly lastSeen: string;
  /** The link was not one of TCP: a device's. */
  readonly isDevice: boolean;
}

export interface PeerBookOptions {
  readonly events: EventHub;
  /** Of a connected peer. */
  linkName(nodeId: string): string | undefined;
}

/** The ones that are away are forgotten first. */
const MAX_PEERS = 20_000;

export class PeerBook {
  private readonly peers = new Map<string, SeenPeer>();

  constructor({ events, linkName }: PeerBookOptions) {
    events.follow(({ at, event }) => {
      if (event.type !== "peer") return;
      const nodeId = event.node_id as string;
      const known = this.peers.get(nodeId);
      const isConnected = event.state === "connected";
      const link = isConnected ? linkName(nodeId) : undefined;
      const isDevice = link ? !link.startsWith("tcp:") : (known?.isDevice ?? false);
      this.peers.delete(nodeId);
      this.peers.set(nodeId, { isConnected, lastSeen: at, isDevice });
      if (this.peers.size > MAX_PEERS) this.forgetOne();
    });
  }

  get(nodeId: string): SeenPeer | undefined {
    return this.peers.get(nodeId);
  }

  get nodeIds(): readonly string[] {
    return [...this.peers.keys()];
  }

  get connected(): number {
    return [...this.peers.values()].filter(({ isConnected }) => isConnected).length;
  }

  private forgetOne(): void {
    for (const [nodeId, { isConnected }] of this.peers) {
      if (isConnected) continue;
      this.peers.delete(nodeId);
      return;
    }
  }
}
