/** A device's uplink on its bad days: a broker that is away, floods, repeats, invents, and a socket that is full. */
import { beforeEach, describe, expect, it } from "vitest";
import type { Link } from "../../../core/ports/link.ts";
import { ascii } from "../../../core/primitives/bytes.ts";
import { MAX_DATAGRAM_BYTES, topicName } from "../../../core/transport/mqtt-topics.ts";
import type { MqttDriver, MqttEvents, MqttOptions } from "../../../firmware/links/drivers.ts";
import { MAX_BURST, MAX_WAITING_FRAMES, MqttUplink } from "../../../firmware/links/mqtt-link.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { hex, Pair, payment } from "../../support/node-pair.ts";

const DAY_MS = 24 * 3_600_000;
const GATEWAY = "gate";
const DEVICE = "dev";
const DOWN = "picobolt/v1/gate/dev/down";
const UP = "picobolt/v1/gate/dev/up";
const STATE = "picobolt/v1/gate/dev/state";

interface Published {
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly retain: boolean;
}

class FakeBroker implements MqttDriver {
  readonly attempts: MqttOptions[] = [];
  readonly published: Published[] = [];
  readonly subscribed: string[] = [];
  readonly events: MqttEvents[] = [];
  accepts = true;
  isFull = false;
  onPublish: (one: Published) => void = () => {};

  connect(options: MqttOptions, events: MqttEvents) {
    this.attempts.push(options);
    this.events.push(events);
    if (this.accepts) events.onConnected();
    return {
      subscribe: (topic: string) => void this.subscribed.push(topic),
      publish: (topic: string, payload: Uint8Array, retain: boolean) => {
        if (this.isFull) return false;
        const one = { topic, payload: payload.slice(), retain };
        this.published.push(one);
        this.onPublish(one);
        return true;
      },
      close: () => {},
    };
  }

  get last(): MqttEvents {
    return this.events.at(-1) as MqttEvents;
  }
}

let clock: FakeClock;
let broker: FakeBroker;
let links: Link[];
let closed: string[];
let arrived: Uint8Array[];
let notes: string[];
let uplink: MqttUplink;

beforeEach(() => {
  clock = new FakeClock();
  broker = new FakeBroker();
  links = [];
  closed = [];
  arrived = [];
  notes = [];
  uplink = uplinkTo((link) => {
    links.push(link);
    link.onBytes = (bytes) => arrived.push(bytes);
    link.onClosed = (reason) => closed.push(reason);
  });
});

function uplinkTo(attach: (link: Link) => void): MqttUplink {
  return new MqttUplink({
    driver: broker,
    clock,
    entropy: { random: (length) => new Uint8Array(length) },
    broker: { host: "broker", port: 8883, user: "dev", password: "secret" },
    gateway: GATEWAY,
    device: DEVICE,
    attach,
    note: (text) => notes.push(text),
  });
}

describe("a broker that works", () => {
  it("hears that the device is online, will tell that it went, and carries frames", () => {
    uplink.start();
    expect(broker.attempts[0]?.will).toEqual({
      topic: STATE,
      payload: ascii("offline"),
      retain: true,
    });
    expect(broker.subscribed).toEqual([DOWN]);
    expect(broker.published).toEqual([{ topic: STATE, payload: ascii("online"), retain: true }]);
    links[0]?.send(Uint8Array.of(1, 2));
    expect(broker.published.at(-1)).toEqual({
      topic: UP,
      payload: Uint8Array.of(1, 2),
      retain: false,
    });
    broker.last.onMessage(DOWN, Uint8Array.of(3));
    expect(arrived).toEqual([Uint8Array.of(3)]);
    expect(uplink.linkName).toBe("mqtt:broker:8883");
  });

  it("is told when the device stops, and is not asked again", () => {
    uplink.start();
    uplink.stop();
    expect(broker.published.at(-1)).toEqual({
      topic: STATE,
      payload: ascii("offline"),
      retain: true,
    });
    expect(closed).toEqual(["the device is stopping"]);
    clock.advance(DAY_MS);
    expect(broker.attempts).toHaveLength(1);
    expect(clock.waiting).toBe(0);
  });

  it.each(["", "a/b", "+", "#", "x".repeat(65)])(
    "names that reach beyond their level are refused: %j",
    (gateway) => {
      const make = () => new MqttUplink({ ...optionsOf(), gateway });
      expect(make).toThrow(/cannot be a gateway's name in MQTT topics/);
    },
  );
});

function optionsOf() {
  const entropy = { random: (length: number) => new Uint8Array(length) };
  return {
    driver: broker,
    clock,
    entropy,
    broker: { host: "broker", port: 1883 },
    device: DEVICE,
    attach: () => {},
  };
}

describe("a broker that is away", () => {
  it("for a day: asked at most every two minutes, one attempt at a time, and there at once when it is back", () => {
    broker.accepts = false;
    uplink.start();
    for (const untilMs = clock.nowMs() + DAY_MS; clock.nowMs() < untilMs; clock.advance(1_000)) {
      if (broker.attempts.length === broker.events.length) broker.last.onClosed("refused");
    }
    expect(broker.attempts.length).toBeLessThan(DAY_MS / 120_000 + 10);
    expect(broker.attempts.length).toBeGreaterThan(DAY_MS / 150_000 - 10);
    expect(clock.waiting).toBe(1);
    broker.accepts = true;
    clock.advance(160_000);
    expect(links).toHaveLength(1);
    expect(notes[0]).toMatch(/^mqtt: refused; again in \d+ s$/);
    expect(notes.join()).not.toContain("secret");
  });

  it("accepts the socket and says nothing: given up after 20 seconds", () => {
    broker.accepts = false;
    uplink.start();
    clock.advance(19_999);
    expect(broker.attempts).toHaveLength(1);
    clock.advance(3_000);
    expect(broker.attempts).toHaveLength(2);
    expect(notes[0]).toContain("did not answer");
  });

  it("throws in the driver: the same as a refusal", () => {
    const { connect } = broker;
    broker.connect = () => {
      throw new Error("no network");
    };
    uplink.start();
    broker.connect = connect;
    clock.advance(2_000);
    expect(links).toHaveLength(1);
    expect(notes[0]).toContain("no network");
  });

  it("drops us each time at once: the pauses grow; after a good connection they are short again", () => {
    uplink.start();
    const pauses = Array.from({ length: 5 }, () => dropAndCount());
    expect(pauses).toEqual([1, 2, 4, 8, 16]);
    clock.advance(31_000);
    expect(dropAndCount()).toBe(1);
  });

  function dropAndCount(): number {
    const before = broker.attempts.length;
    broker.last.onClosed("dropped");
    let seconds = 0;
    for (; broker.attempts.length === before; seconds++) clock.advance(1_000);
    return seconds;
  }

  it("ends the link, and what an old connection still says is nobody's", () => {
    uplink.start();
    const old = broker.last;
    old.onClosed("gone");
    expect(closed).toEqual(["gone"]);
    clock.advance(2_000);
    old.onMessage(DOWN, Uint8Array.of(1));
    old.onConnected();
    old.onClosed("gone again");
    expect(arrived).toEqual([]);
    expect(links).toHaveLength(2);
    expect(closed).toHaveLength(1);
  });
});

describe("a broker that is hostile", () => {
  it("10,000 frames at once: a few are looked at, and honest ones soon again", () => {
    uplink.start();
    for (let i = 0; i < 10_000; i++) broker.last.onMessage(DOWN, Uint8Array.of(0x80, i & 0xff));
    expect(arrived).toHaveLength(MAX_BURST);
    clock.advance(1_000);
    broker.last.onMessage(DOWN, Uint8Array.of(7));
    expect(arrived.at(-1)).toEqual(Uint8Array.of(7));
  });

  it("oversized payloads and other topics are dropped", () => {
    uplink.start();
    broker.last.onMessage(DOWN, new Uint8Array(MAX_DATAGRAM_BYTES + 1));
    broker.last.onMessage(UP, Uint8Array.of(1));
    broker.last.onMessage("picobolt/v1/gate/other/down", Uint8Array.of(1));
    expect(arrived).toEqual([]);
  });

  it("says twice that we are connected: one link", () => {
    uplink.start();
    broker.last.onConnected();
    expect(links).toHaveLength(1);
  });

  it("a full socket: few frames wait, in order; more are lost", () => {
    uplink.start();
    broker.isFull = true;
    for (let i = 0; i < 100; i++) links[0]?.send(Uint8Array.of(i));
    broker.isFull = false;
    clock.advance(1_000);
    const sent = broker.published
      .filter(({ topic }) => topic === UP)
      .map(({ payload }) => payload[0]);
    expect(sent).toEqual(Array.from({ length: MAX_WAITING_FRAMES }, (_, i) => i));
  });
});

describe("a channel through a hostile broker", () => {
  const seeds = [1, 2, 3, 4, 5, 6];
  it.each(seeds)(
    "drops, repeats, reorders, replays and invents (seed %i): every payment settles when it stops",
    async (seed) => {
      const pair = await Pair.make();
      const id = await pair.open({ pushMsat: 100_000_000 });
      pair.disconnect();
      const random = mulberry(seed);
      const lab = await joined(pair, random);
      let before = pair.balances(id)[3] as number;
      for (let round = 0; round < 6; round++) {
        lab.isHostile = true;
        pair.a.node.command(id, { type: "push", payments: payment(1_000) });
        await lab.pass(20_000);
        lab.isHostile = false;
        await lab.pass(150_000);
        const after = pair.balances(id);
        expect(after[1]).toBe(after[3]);
        expect([before, before + 1_000]).toContain(after[3]);
        before = after[3] as number;
      }
      pair.a.node.command(id, { type: "push", payments: payment(1_000) });
      await lab.pass(2_000);
      expect(pair.balances(id)[3]).toBe(before + 1_000);
      expect(lab.mischief).toBeGreaterThan(20);
      pair.expectPeace();
    },
  );
});

interface Carried {
  readonly toDevice: boolean;
  readonly frame: Uint8Array;
}

/** Both nodes on one fake broker that plays with what it carries while it is hostile. */
async function joined(pair: Pair, random: () => number) {
  const history: Carried[] = [];
  const queue: Carried[] = [];
  const gatewayEnd: Link = {
    name: "broker",
    kind: "datagram",
    send: (frame) => carry(true, frame.slice()),
    close: () => {},
    onBytes: () => {},
    onClosed: () => {},
  };
  const lab = { isHostile: false, mischief: 0, pass };
  function carry(toDevice: boolean, frame: Uint8Array): void {
    const one = { toDevice, frame };
    history.push(one);
    if (!lab.isHostile || random() < 0.7) {
      queue.push(one);
      return;
    }
    lab.mischief++;
    const old = history[Math.floor(random() * history.length)] ?? one;
    const noise = Uint8Array.from(frame, (byte) => (random() < 0.1 ? byte ^ 0x55 : byte));
    const choice = Math.floor(random() * 5);
    if (choice === 1) queue.push(one, one);
    if (choice === 2) queue.unshift(one);
    if (choice === 3) queue.push(one, old, { ...old, toDevice: !old.toDevice });
    if (choice === 4) queue.push({ toDevice, frame: noise }, one);
  }
  async function pass(ms: number): Promise<void> {
    for (const untilMs = clock.nowMs() + ms; clock.nowMs() < untilMs; ) {
      clock.advance(100);
      pair.a.node.tick(clock.nowMs());
      pair.b.node.tick(clock.nowMs());
      for (let i = 0; i < 50 && queue.length > 0; i++) {
        const next = queue.shift() as Carried;
        if (next.toDevice) broker.last.onMessage(DOWN, next.frame);
        else gatewayEnd.onBytes(next.frame);
        if (!pair.a.node.isIdle || !pair.b.node.isIdle) await Promise.resolve();
      }
      await Promise.resolve();
    }
  }
  broker.onPublish = ({ topic, payload }) => {
    if (topic === UP) carry(false, payload);
  };
  pair.a.node.attach(gatewayEnd);
  uplink = uplinkTo((link) => pair.b.node.attach(link, pair.a.nodeId));
  uplink.start();
  await pass(2_000);
  return lab;
}

function mulberry(seed: number): () => number {
  let state = seed * 0x9e3779b9;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

it("names in topics are 16 digits of the node id: whoever has it finds them", async () => {
  const { a } = await Pair.make();
  expect(topicName(hex(a.nodeId))).toBe(hex(a.nodeId).slice(2, 18));
});
