/** The gateway's table of devices behind a broker that invents them, floods, and keeps garbage. */
import { beforeEach, describe, expect, it } from "vitest";
import type { Link } from "../../core/ports/link.ts";
import { ascii } from "../../core/primitives/bytes.ts";
import {
  DeviceLinks,
  MAX_BURST,
  type Presence,
  SILENT_MS,
} from "../../gateway/links/device-links.ts";

const FRAME = Uint8Array.of(0x80, 0, 1);
const topic = (device: string, leaf = "up") => `picobolt/v1/gate/${device}/${leaf}`;

let nowMs: number;
let attached: Link[];
let heard: string[];
let closed: string[];
let sent: string[];
let presences: [string, Presence][];
let problems: string[];
let known: Set<string>;
let isOurs: boolean;
let attach: () => void;
let links: DeviceLinks;

beforeEach(() => {
  nowMs = 0;
  attached = [];
  heard = [];
  closed = [];
  sent = [];
  presences = [];
  problems = [];
  known = new Set();
  isOurs = true;
  attach = () => {};
  links = new DeviceLinks({
    name: "mqtt:broker",
    gateway: "gate",
    nowMs: () => nowMs,
    publish: (to) => sent.push(to),
    attach: (link) => {
      attach();
      attached.push(link);
      link.onBytes = () => heard.push(link.name);
      link.onClosed = (reason) => closed.push(`${link.name}: ${reason}`);
    },
    onPresence: (device, presence) => presences.push([device, presence]),
    onProblem: (text) => problems.push(text),
    isKnown: (device) => known.has(device),
    isOurs: () => isOurs,
    maxDevices: 3,
  });
});

const frame = (device: string) => links.receive(topic(device), FRAME, false);
const state = (device: string, text: string, isRetained = false) =>
  links.receive(topic(device, "state"), ascii(text), isRetained);

describe("devices", () => {
  it("have a link each from their first frame, which they get; answers go to their own topic", () => {
    frame("a");
    frame("b");
    frame("a");
    expect(heard).toEqual(["mqtt:broker/a", "mqtt:broker/b", "mqtt:broker/a"]);
    attached[1]?.send(FRAME);
    expect(sent).toEqual([topic("b", "down")]);
  });

  it("are online and offline as their state says; a device that went has no link, and gets another one", () => {
    state("a", "online", true);
    frame("a");
    state("a", "offline");
    expect(closed).toEqual(["mqtt:broker/a: the broker says that it went away"]);
    state("a", "offline");
    expect(presences).toEqual([
      ["a", "online"],
      ["a", "offline"],
    ]);
    frame("a");
    expect(attached).toHaveLength(2);
    attached[0]?.send(FRAME);
    expect(sent).toEqual([]);
  });

  it("that were there before the gateway are called, some at a time, unless they were heard", async () => {
    for (const device of ["a", "b", "c", "d"]) state(device, "online", true);
    state("e", "online");
    state("c", "offline");
    frame("b");
    expect(await links.callEarly(1)).toBe(true);
    expect(sent).toEqual([topic("a", "down")]);
    expect(await links.callEarly(9)).toBe(false);
    expect(sent).toEqual([topic("a", "down"), topic("d", "down")]);
  });

  it("are told when they are ours, by a link of long ago too", () => {
    frame("a");
    isOurs = false;
    frame("a");
    links.announce("a");
    expect(sent).toEqual([topic("a", "down")]);
  });

  it("lose their links with the broker", () => {
    frame("a");
    frame("b");
    links.closeAll("lost");
    expect(closed).toHaveLength(2);
    expect(links.devices).toEqual([]);
  });
});

describe("garbage", () => {
  it.each([
    "picobolt/v1/gate/a/down",
    "picobolt/v1/gate/a/up/more",
    "picobolt/v1/gate//up",
    "picobolt/v1/gate/a b/up",
    "picobolt/v1/gate/+/up",
    `picobolt/v1/gate/${"x".repeat(65)}/up`,
    "picobolt/v1/other/a/up",
    "picobolt/v2/gate/a/up",
    "",
  ])("makes no link: topic %j", (name) => {
    links.receive(name, FRAME, false);
    expect(attached).toEqual([]);
  });

  it("that was kept is neither a frame nor a state", () => {
    links.receive(topic("a"), FRAME, true);
    state("a", "0nline", true);
    links.receive(topic("a", "state"), new Uint8Array(100_000), true);
    expect([attached, presences]).toEqual([[], []]);
  });
});

describe("where all places are taken", () => {
  beforeEach(() => {
    for (const device of ["a", "b", "c"]) frame(device);
  });

  it("a stranger is not let in, and one line says so", () => {
    for (let i = 0; i < 10_000; i++) frame(`x${i}`);
    expect(links.devices).toEqual(["a", "b", "c"]);
    expect(problems).toEqual([expect.stringContaining("3 devices are here")]);
  });

  it("whoever was silent for long goes first", () => {
    nowMs = SILENT_MS + 1;
    frame("a");
    frame("d");
    expect(links.devices).toEqual(["c", "a", "d"]);
    expect(closed).toEqual(["mqtt:broker/b: its place is needed"]);
  });

  it("a device with a channel takes a stranger's place, never that of another one with a channel", () => {
    known = new Set(["a", "b", "d", "e"]);
    frame("d");
    expect(links.devices).toEqual(["a", "b", "d"]);
    frame("e");
    expect(links.devices).toEqual(["a", "b", "d"]);
  });
});

it("a device that floods is heard in part, and the others as before", () => {
  for (let i = 0; i < 10_000; i++) frame("a");
  expect(heard).toHaveLength(MAX_BURST);
  frame("b");
  expect(heard.at(-1)).toBe("mqtt:broker/b");
  nowMs += 1_000;
  frame("a");
  expect(heard.at(-1)).toBe("mqtt:broker/a");
});

it("a node that takes no more links is no reason to fall over", () => {
  attach = () => {
    throw new Error("more than 4096 links");
  };
  frame("a");
  frame("a");
  expect(links.devices).toEqual([]);
  expect(problems).toEqual([expect.stringContaining("more than 4096 links")]);
});
