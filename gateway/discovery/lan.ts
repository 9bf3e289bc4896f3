/** Gateways, towers and nodes of the same network of machines, by mDNS and DNS-SD (RFC 6762, RFC 6763): `_picobolt._tcp`. */
import { Bonjour, type Browser, type Service, type ServiceReferer } from "bonjour-service";

export const ROLES = ["gateway", "tower", "node"] as const;
export type Role = (typeof ROLES)[number];

export interface LanNode {
  /** 33 bytes, hexadecimal. What is said here is nobody's proof: the handshake is (BOLT 8). */
  readonly nodeId: string;
  readonly name: string;
  readonly network: string;
  readonly roles: readonly Role[];
  readonly host: string;
  readonly port: number;
}

export interface LanOptions {
  /** An address of this machine, whose network is spoken to; without it the system's usual one. */
  readonly interface?: string;
  onProblem(text: string): void;
}

const TYPE = "picobolt";
const NODE_ID = /^0[23][0-9a-f]{64}$/;
/** A label of DNS, in bytes. */
const MAX_NAME_BYTES = 63;
const MAX_TEXT = 64;
/** Nodes that are remembered: anybody on the network may invent some. */
const MAX_FOUND = 256;

export class LanDiscovery {
  private readonly mdns: Bonjour;
  private readonly found = new Map<string, LanNode>();
  private browser: Browser | undefined;

  constructor(options: LanOptions) {
    const { onProblem } = options;
    const place = options.interface;
    // Bound to the group's own port on every address, as others on this machine are.
    const mdnsOptions = place === undefined ? {} : { interface: place, bind: "0.0.0.0" };
    this.mdns = new Bonjour(mdnsOptions as never, (error: Error) =>
      onProblem(`discovery on this network: ${error.message}`),
    );
  }

  /** Until `close`; answers whoever asks. */
  announce(node: Omit<LanNode, "host">): void {
    const { nodeId, name, network, roles, port } = node;
    this.mdns.publish({
      // A name of its own, or a second gateway of the same name would be refused.
      name: instanceName(name, nodeId),
      type: TYPE,
      port,
      txt: { v: "1", id: nodeId, net: network, role: roles.join(",") },
      probe: false,
      disableIPv6: true,
    });
  }

  /** Tells each node once, and again where its address changed. */
  look(onFound: (node: LanNode) => void): void {
    this.browser = this.mdns.find({ type: TYPE }, (service) => {
      const node = nodeOf(service);
      if (!node) return;
      const known = this.found.get(node.nodeId);
      if (known?.host === node.host && known.port === node.port) return;
      if (!known && this.found.size >= MAX_FOUND) return;
      this.found.set(node.nodeId, node);
      onFound(node);
    });
  }

  /** Asks again: packets of multicast get lost. */
  askAgain(): void {
    this.browser?.update();
  }

  get nodes(): readonly LanNode[] {
    return [...this.found.values()];
  }

  /** Says goodbye, so that others do not wait for it. */
  async close(): Promise<void> {
    this.browser?.stop();
    await new Promise<void>((done) => this.mdns.unpublishAll(() => done()));
    await new Promise<void>((done) => this.mdns.destroy(() => done()));
  }
}

function instanceName(name: string, nodeId: string): string {
  const suffix = ` ${nodeId.slice(2, 10)}`;
  let cut = name;
  while (Buffer.byteLength(cut) + suffix.length > MAX_NAME_BYTES) cut = cut.slice(0, -1);
  return `${cut}${suffix}`;
}

/** Undefined where it is not what we would write: it comes from anybody. */
function nodeOf(service: Service): LanNode | undefined {
  const txt = (service.txt ?? {}) as Record<string, unknown>;
  const { id, net, role } = txt;
  const { address: host } = (service.referer ?? {}) as Partial<ServiceReferer>;
  const { port } = service;
  if (typeof id !== "string" || !NODE_ID.test(id) || typeof net !== "string" || !host) {
    return undefined;
  }
  if (!Number.isInteger(port) || port < 1 || port > 65_535) return undefined;
  const said = typeof role === "string" ? role.split(",") : [];
  const name = String(service.name ?? "")
    .replace(/ [0-9a-f]{8}$/, "")
    .replace(/\p{Cc}/gu, "");
  return {
    nodeId: id,
    name: name.slice(0, MAX_TEXT),
    network: net.replace(/\p{Cc}/gu, "").slice(0, MAX_TEXT),
    roles: ROLES.filter((one) => said.includes(one)),
    host,
    port,
  };
}
