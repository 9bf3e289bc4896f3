/** The gateway's side of datagrams through a broker: a link for each device that is heard, in bounds (docs/LINKS.md "MQTT"). */
import type { Link } from "../../core/ports/link.ts";
import { mqttTopics, OFFLINE, ONLINE, parseDeviceTopic } from "../../core/transport/mqtt-topics.ts";

export type Presence = "online" | "offline";

export interface DeviceLinksOptions {
  /** In every link's name: `mqtt:host:port`. */
  readonly name: string;
  /** The gateway's name in topics (`topicName`). */
  readonly gateway: string;
  readonly nowMs: () => number;
  /** Sends without waiting; what does not fit is lost. */
  publish(topic: string, frame: Uint8Array): void;
  /** A device was heard: it calls on this link. */
  attach(link: Link): void;
  onPresence?(device: string, presence: Presence): void;
  onProblem?(text: string): void;
  /** By its name in topics: a device that has a channel here. It comes in where strangers do not. */
  isKnown?(device: string): boolean;
  readonly maxDevices?: number;
}

/** Links at a time; below what a gateway's node takes, which has other links too. */
export const MAX_DEVICES = 2_048;
/** States that are remembered. */
export const MAX_PRESENCES = 16_384;
/** Of a device that was not heard for so long, the place is another's: sessions speak far more often. */
export const SILENT_MS = 60_000;
/** Datagrams of one device that are looked at: so many at once, and so many each second. */
export const MAX_BURST = 1_000;
const PER_SECOND = 500;
/** No frame to a host is longer: its largest message and the wrapping. */
const MAX_FRAME_BYTES = 65_535 + 64;
const PROBLEM_EVERY_MS = 60_000;

export class DeviceLinks {
  /** Whoever was heard last is last. */
  private readonly links = new Map<string, DeviceLink>();
  private readonly presences = new Map<string, Presence>();
  private complainedMs = Number.NEGATIVE_INFINITY;

  constructor(private readonly options: DeviceLinksOptions) {}

  /** Devices that have a link. */
  get devices(): readonly string[] {
    return [...this.links.keys()];
  }

  presence(device: string): Presence | undefined {
    return this.presences.get(device);
  }

  /** Anything that the broker delivers. */
  receive(topic: string, payload: Uint8Array, isRetained: boolean): void {
    const about = parseDeviceTopic(this.options.gateway, topic);
    if (!about) return;
    if (about.kind === "state") this.state(about.device, payload);
    // A frame is for whoever listens now: a kept one is garbage, or a replay.
    else if (!isRetained && payload.length <= MAX_FRAME_BYTES) this.frame(about.device, payload);
  }

  /** The broker is away. */
  closeAll(reason: string): void {
    for (const link of [...this.links.values()]) link.end(reason);
  }

  private state(device: string, payload: Uint8Array): void {
    const presence = presenceOf(payload);
    if (!presence) return;
    // The next frame of a device that is there after all begins another link.
    if (presence === "offline") this.links.get(device)?.end("the broker says that it went away");
    if (this.presences.get(device) === presence) return;
    if (!this.presences.has(device) && this.presences.size >= MAX_PRESENCES) {
      const oldest = this.presences.keys().next().value;
      if (oldest !== undefined) this.presences.delete(oldest);
    }
    this.presences.set(device, presence);
    this.options.onPresence?.(device, presence);
  }

  private frame(device: string, payload: Uint8Array): void {
    const link = this.links.get(device) ?? this.open(device);
    if (!link) return;
    this.links.delete(device);
    this.links.set(device, link);
    link.receive(payload);
  }

  private open(device: string): DeviceLink | undefined {
    const { name, gateway, publish, nowMs, attach } = this.options;
    if (!this.makeRoom(device)) return undefined;
    const { down } = mqttTopics(gateway, device);
    const link = new DeviceLink(`${name}/${device}`, nowMs, {
      send: (frame) => publish(down, frame),
      ended: () => this.links.delete(device),
    });
    this.links.set(device, link);
    try {
      attach(link);
    } catch (cause) {
      link.end("there is no room for another link");
      this.complain(cause instanceof Error ? cause.message : String(cause));
      return undefined;
    }
    return link;
  }

  /** Where all places are taken, the one that was silent for longest goes; a device with a channel comes before a stranger. */
  private makeRoom(device: string): boolean {
    const { maxDevices = MAX_DEVICES, nowMs } = this.options;
    if (this.links.size < maxDevices) return true;
    const [quietest] = this.links.values();
    const isSilent = quietest !== undefined && nowMs() - quietest.heardMs > SILENT_MS;
    const leaving = isSilent ? quietest : this.isKnown(device) ? this.stranger() : undefined;
    leaving?.end("its place is needed");
    if (!leaving) this.complain(`${maxDevices} devices are here, which is all there is room for`);
    return leaving !== undefined;
  }

  private stranger(): DeviceLink | undefined {
    for (const [device, link] of this.links) if (!this.isKnown(device)) return link;
    return undefined;
  }

  private isKnown(device: string): boolean {
    return this.options.isKnown?.(device) ?? false;
  }

  private complain(text: string): void {
    const nowMs = this.options.nowMs();
    if (nowMs - this.complainedMs < PROBLEM_EVERY_MS) return;
    this.complainedMs = nowMs;
    this.options.onProblem?.(`mqtt: a device was not let in: ${text}`);
  }
}

interface LinkEnds {
  send(frame: Uint8Array): void;
  ended(): void;
}

class DeviceLink implements Link {
  readonly kind = "datagram";
  onBytes: (bytes: Uint8Array) => void = () => {};
  onClosed: (reason: string) => void = () => {};
  heardMs: number;
  private allowance = MAX_BURST;
  private isOpen = true;

  constructor(
    readonly name: string,
    private readonly nowMs: () => number,
    private readonly ends: LinkEnds,
  ) {
    this.heardMs = nowMs();
  }

  send(frame: Uint8Array): void {
    if (this.isOpen) this.ends.send(frame);
  }

  close(): void {
    this.end("closed here");
  }

  end(reason: string): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.ends.ended();
    this.onClosed(reason);
  }

  receive(frame: Uint8Array): void {
    const nowMs = this.nowMs();
    const earned = ((nowMs - this.heardMs) * PER_SECOND) / 1000;
    this.allowance = Math.min(MAX_BURST, this.allowance + earned);
    this.heardMs = nowMs;
    if (this.allowance < 1) return;
    this.allowance--;
    this.onBytes(frame);
  }
}

function presenceOf(payload: Uint8Array): Presence | undefined {
  if (payload.length > OFFLINE.length) return undefined;
  const text = Buffer.from(payload).toString("latin1");
  return text === ONLINE || text === OFFLINE ? text : undefined;
}
