/** The peers that are called whenever they are away: those of the configuration, and those that the API was told, which are kept. */
import type { Link } from "../../core/ports/link.ts";
import type { Store } from "../../core/ports/store.ts";
import { TcpDialer } from "../links/tcp.ts";
import { readList } from "../store/stored-list.ts";

export interface DialledPeer {
  /** Hexadecimal. */
  readonly nodeId: string;
  readonly host: string;
  readonly port: number;
}

export interface PeerDialersOptions {
  readonly store: Store;
  attach(link: Link, nodeId: string): void;
  isConnected(nodeId: string): boolean;
  onProblem(text: string): void;
}

const KEY = "dialled-peers";
export const MAX_DIALLED = 1_000;

export class PeerDialers {
  private readonly dialers = new Map<string, { peer: DialledPeer; dialer: TcpDialer }>();
  private readonly kept = new Map<string, DialledPeer>();

  constructor(private readonly options: PeerDialersOptions) {}

  /** What was kept at the last run. */
  async resume(): Promise<void> {
    const { store, onProblem } = this.options;
    const { items } = await readList(store, onProblem, {
      key: KEY,
      what: "the list of peers that are called",
      advice:
        "Whoever of it cannot be read is not called: connect to it again (picobolt peer connect).",
      items: (bytes) => JSON.parse(Buffer.from(bytes).toString()) as unknown[],
      read: (peer) => dialledPeer(peer as unknown as Partial<DialledPeer> | null),
    });
    for (const peer of items) {
      this.kept.set(peer.nodeId, peer);
      this.dial(peer);
    }
  }

  get(nodeId: string): DialledPeer | undefined {
    return this.dialers.get(nodeId)?.peer;
  }

  get all(): readonly DialledPeer[] {
    return [...this.dialers.values()].map(({ peer }) => peer);
  }

  /** Now and whenever it is away; `onFailure` hears why the first attempts come to nothing. */
  dial(peer: DialledPeer, onFailure?: (text: string) => void): void {
    const { nodeId } = peer;
    this.dialers.get(nodeId)?.dialer.close();
    const { attach, isConnected, onProblem } = this.options;
    const dialer = new TcpDialer({
      host: peer.host,
      port: peer.port,
      attach: (link) => attach(link, nodeId),
      isConnected: () => isConnected(nodeId),
      onProblem: (text) => (onFailure ?? onProblem)(`peer ${nodeId.slice(0, 16)} at ${text}`),
    });
    this.dialers.set(nodeId, { peer, dialer });
  }

  /** Durable when it returns: called after the next start too. False: there are too many. */
  async keep(peer: DialledPeer): Promise<boolean> {
    if (!this.kept.has(peer.nodeId) && this.kept.size >= MAX_DIALLED) return false;
    this.kept.set(peer.nodeId, peer);
    await this.write();
    return true;
  }

  /** For now: what is kept stays. Ends the connection where this dialer made it. */
  hangUp(nodeId: string): void {
    this.dialers.get(nodeId)?.dialer.close();
    this.dialers.delete(nodeId);
  }

  async forget(nodeId: string): Promise<void> {
    this.hangUp(nodeId);
    if (this.kept.delete(nodeId)) await this.write();
  }

  close(): void {
    for (const { dialer } of this.dialers.values()) dialer.close();
    this.dialers.clear();
  }

  private async write(): Promise<void> {
    const bytes = Buffer.from(JSON.stringify([...this.kept.values()]));
    await this.options.store.setValue(KEY, new Uint8Array(bytes));
  }
}

function dialledPeer(stored: Partial<DialledPeer> | null): DialledPeer {
  const { nodeId, host, port } = stored ?? {};
  if (!nodeId || !host || !port) throw new TypeError("a peer without node id or address");
  return { nodeId, host, port };
}
