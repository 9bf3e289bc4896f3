/** The gateway's side of datagrams through a broker: a link for each device that is heard, in bounds (docs/LINKS.md "MQTT"). */
import type { Link } from "../../core/ports/link.ts";
import { mqttTopics, OFFLINE, ONLINE, parseDeviceTopic } from "../../core/transport/mqtt-topics.ts";
import { Kind } from "../../core/transport/packets.ts";
import { MQTT_QUIET_MS } from "../../core/transport/timing.ts";

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
  /** By its name in topics: whether this process answers it; all do where it is left away. */
  isOurs?(device: string): boolean | Promise<boolean>;
  /** By its name in topics: a device that has a channel here. It comes in where strangers do not. */
  isKnown?(device: string): boolean;
  readonly maxDevices?: number;
}

/** Links at a time; below what a gateway's node takes (gateway/gateway.ts), which has other links too. Some 2 KB each, with their sessions. */
export const MAX_DEVICES = 16_384;
/** States that are remembered. */
export const MAX_PRESENCES = 16_384;
/** Of a device that was not heard for so long, the place is another's: sessions speak far more often. */
export const SILENT_MS = 2 * MQTT_QUIET_MS;
/** Datagrams of one device that are looked at: so many at once, and so many each second. */
export const MAX_BURST = 1_000;
const PER_SECOND = 500;
/** No frame to a host is longer: its largest message and the wrapping. */
const MAX_FRAME_BYTES = 65_535 + 64;
/** docs/PROTOCOL.md "Frames". */
const MAX_CALL_BYTES = 64;
/** So many calls to other processes are kept, each for as long as the device waits for an answer. */
const MAX_CALLS = 20_000;
const CALL_MS = 4_500;
const NO_SESSION = Uint8Array.of(Kind.noSession);
const PROBLEM_EVERY_MS = 60_000;

export class DeviceLinks {
  /** Whoever was heard last is last. */
  private readonly links = new Map<string, DeviceLink>();
  private readonly presences = new Map<string, Presence>();
  private readonly calls = new Map<string, { readonly frame: Uint8Array; readonly atMs: number }>();
  /** Were online before we subscribed, and have not been heard. */
  private readonly early = new Set<string>();
  private complainedMs = Number.NEGATIVE_INFINITY;

  private readonly ends: LinkEnds;

  constructor(private readonly options: DeviceLinksOptions) {
    const { name, gateway, nowMs, publish } = options;
    this.ends = {
      name,
      nowMs,
      send: (device, frame) => publish(mqttTopics(gateway, device).down, frame),
      ended: (device) => this.links.delete(device),
    };
  }

  /** Devices that have a link. */
  get devices(): readonly string[] {
    return [...this.links.keys()];
  }

  presence(device: string): Presence | undefined {
    return this.presences.get(device);
  }

  /** Anything that the broker delivers. */
  receive(topic: string, payload: Uint8Array, isRetained: boolean): void {
    const found = parseDeviceTopic(this.options.gateway, topic);
    if (!found) return;
    // A part of a string keeps the whole of it in memory.
    const about = { ...found, device: Buffer.from(found.device, "latin1").toString("latin1") };
    if (about.kind === "state") this.state(about.device, payload, isRetained);
    // A frame is for whoever listens now: a kept one is garbage, or a replay.
    else if (!isRetained && payload.length <= MAX_FRAME_BYTES) {
      const isOurs = this.options.isOurs?.(about.device) ?? true;
      if (typeof isOurs === "boolean") this.frameOf(about.device, payload, isOurs);
      else void isOurs.then((ours) => this.frameOf(about.device, payload, ours));
    }
  }

  /** The broker is away. */
  closeAll(reason: string): void {
    this.early.clear();
    for (const link of [...this.links.values()]) link.end(reason);
  }

  private state(device: string, payload: Uint8Array, isRetained: boolean): void {
    const presence = presenceOf(payload);
    if (!presence) return;
    // It came before us, and speaks with the process or the connection before, perhaps.
    if (!isRetained || presence === "offline") this.early.delete(device);
    else if (this.early.size < MAX_PRESENCES) this.early.add(device);
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

  /** Some of the devices that were there before us, each once: all at once they would call at once. */
  async callEarly(most: number): Promise<boolean> {
    for (const device of [...this.early].slice(0, most)) {
      this.early.delete(device);
      if (this.links.has(device)) continue;
      if ((await this.options.isOurs?.(device)) ?? true) this.announce(device);
    }
    return this.early.size > 0;
  }

  /** The device has a session with a process that is gone, perhaps: it looks. A link that it has here may be years old. */
  announce(device: string): void {
    const { gateway, publish, nowMs } = this.options;
    const call = this.calls.get(device);
    this.calls.delete(device);
    // It calls, and nobody answered: it would wait some seconds before it calls again.
    if (call && nowMs() < call.atMs + CALL_MS) this.frame(device, call.frame);
    else publish(mqttTopics(gateway, device).down, NO_SESSION);
  }

  /** A call to another process, which may be gone, is kept: this one may have to answer it in a moment. */
  private frameOf(device: string, frame: Uint8Array, isOurs: boolean): void {
    if (isOurs) {
      this.frame(device, frame);
      return;
    }
    if (frame[0] !== Kind.actOne || frame.length > MAX_CALL_BYTES) return;
    if (this.calls.size >= MAX_CALLS) this.calls.clear();
    this.calls.set(device, { frame: frame.slice(), atMs: this.options.nowMs() });
  }

  private frame(device: string, payload: Uint8Array): void {
    const link = this.links.get(device) ?? this.open(device);
    if (!link) return;
    this.links.delete(link.device);
    this.links.set(link.device, link);
    link.receive(payload);
  }

  private open(device: string): DeviceLink | undefined {
    if (!this.makeRoom(device)) return undefined;
    const link = new DeviceLink(device, this.ends);
    this.links.set(device, link);
    try {
      this.options.attach(link);
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

/** What all links have in common: there are thousands. */
interface LinkEnds {
  readonly name: string;
  nowMs(): number;
  send(device: string, frame: Uint8Array): void;
  ended(device: string): void;
}

class DeviceLink implements Link {
  readonly kind = "datagram";
  readonly quietMs = MQTT_QUIET_MS;
  onBytes: (bytes: Uint8Array) => void = () => {};
  onClosed: (reason: string) => void = () => {};
  heardMs: number;
  private allowance = MAX_BURST;
  private isOpen = true;

  constructor(
    readonly device: string,
    private readonly ends: LinkEnds,
  ) {
    this.heardMs = ends.nowMs();
  }

  get name(): string {
    return `${this.ends.name}/${this.device}`;
  }

  send(frame: Uint8Array): void {
    if (this.isOpen) this.ends.send(this.device, frame);
  }

  close(): void {
    this.end("closed here");
  }

  end(reason: string): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.ends.ended(this.device);
    this.onClosed(reason);
  }

  receive(frame: Uint8Array): void {
    const nowMs = this.ends.nowMs();
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
  // Not the text that came: each device's would be kept.
  return text === ONLINE ? ONLINE : text === OFFLINE ? OFFLINE : undefined;
}
