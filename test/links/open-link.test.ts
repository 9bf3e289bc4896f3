/** Links of hosts by name: a serial port that vanishes and comes again, a device's place on a broker. */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Link } from "../../core/ports/link.ts";
import { GatewayMqtt } from "../../gateway/links/mqtt.ts";
import { openLink } from "../../host-sim/links/open-link.ts";
import { type AedesBroker, startAedes } from "../../host-sim/mqtt/aedes.ts";

const GATEWAY_ID = `02${"ab".repeat(32)}`;
const GATEWAY = "ab".repeat(8);
const ends: (() => unknown)[] = [];

afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

async function until(what: string, isSo: () => boolean, ms = 30_000): Promise<void> {
  for (const end = Date.now() + ms; !isSo(); ) {
    if (Date.now() > end) throw new Error(`not within ${ms} ms: ${what}`);
    await new Promise((wake) => setTimeout(wake, 10));
  }
}

describe("a serial port that vanishes", () => {
  it("is opened again when it is back, and was never closed to whoever uses it", async () => {
    const folder = mkdtempSync(join(tmpdir(), "open-link-test-"));
    ends.push(() => rmSync(folder, { recursive: true, force: true }));
    const path = join(folder, "tty");
    let board = await plug(path);
    const link = await openLink(`serial:${path}`);
    ends.push(() => link.close());
    const closed: string[] = [];
    const heard: number[] = [];
    link.onClosed = (reason) => closed.push(reason);
    link.onBytes = (bytes) => heard.push(...bytes);
    await echo(link, heard, 1);
    await unplug(board);
    link.send(Uint8Array.of(2));
    board = await plug(path);
    await echo(link, heard, 3);
    expect(heard).not.toContain(2);
    expect(closed).toEqual([]);
    link.close();
    await until("closed", () => closed.length === 1);
  });
});

/** A board that answers with what it gets. */
async function plug(path: string): Promise<ChildProcess> {
  const board = spawn("socat", [`pty,raw,echo=0,link=${path}`, "exec:cat"], { stdio: "ignore" });
  ends.push(() => unplug(board));
  await until("the port is there", () => existsSync(path));
  return board;
}

async function unplug(board: ChildProcess): Promise<void> {
  if (board.exitCode !== null || board.signalCode !== null) return;
  const gone = new Promise((resolve) => board.once("exit", resolve));
  board.kill();
  await gone;
}

async function echo(link: Link, heard: number[], byte: number): Promise<void> {
  await until(`${byte} comes back`, () => {
    link.send(Uint8Array.of(byte));
    return heard.includes(byte);
  });
}

describe("a device's place on a broker", () => {
  let broker: AedesBroker;
  let gateway: GatewayMqtt;
  let devices: Link[];
  let heard: number[];

  beforeEach(async () => {
    broker = await startAedes();
    ends.push(() => broker.close());
    devices = [];
    heard = [];
    gateway = new GatewayMqtt({
      url: broker.url,
      gateway: GATEWAY,
      reconnectMs: 50,
      attach: (link) => {
        devices.push(link);
        link.onBytes = (bytes) => heard.push(...bytes);
      },
    });
    ends.push(() => gateway.close());
    await until("the gateway is there", () => gateway.isConnected);
  });

  it("is taken by URL with whole node ids or names, and kept while the broker goes and comes", async () => {
    const link = await openLink(`${broker.url}/${GATEWAY_ID}/phone-1`);
    ends.push(() => link.close());
    const answers: number[] = [];
    link.onBytes = (bytes) => answers.push(...bytes);
    await until("heard", () => says(link, 1));
    await until("online", () => gateway.presence("phone-1") === "online");
    devices.at(-1)?.send(Uint8Array.of(2));
    await until("answered", () => answers.includes(2));
    await broker.kill();
    await broker.restart();
    await until("heard again", () => says(link, 3));
    link.close();
    await until("offline", () => gateway.presence("phone-1") === "offline");
  });

  const says = (link: Link, byte: number) => {
    link.send(Uint8Array.of(byte));
    return heard.includes(byte);
  };

  it("oversized and kept messages of a hostile broker do no harm", async () => {
    await broker.inject(`picobolt/v1/${GATEWAY}/a/up`, new Uint8Array(1024 * 1024), true);
    await broker.inject(`picobolt/v1/${GATEWAY}/a/state`, new Uint8Array(1024 * 1024), true);
    // Again and again: the gateway may be on its way back to the broker.
    const again = setInterval(
      () => void broker.inject(`picobolt/v1/${GATEWAY}/b/up`, Uint8Array.of(9)),
      50,
    );
    await until("the gateway goes on", () => heard.includes(9)).finally(() => clearInterval(again));
    expect(gateway.devices).toEqual(["b"]);
    expect(gateway.presence("a")).toBeUndefined();
  });
});

describe("what cannot be", () => {
  it.each([
    ["mqtt://127.0.0.1:1/gate/dev", /cannot reach the MQTT broker 127\.0\.0\.1:1: .*ECONNREFUSED/],
    ["mqtt://user:hidden@127.0.0.1:1/gate/dev", /^(?!.*hidden).*cannot reach/],
    ["mqtt://127.0.0.1:1/gate", /mqtt:\/\/host:port\/<gateway id>\/<device id>/],
    ["mqtt://127.0.0.1:1/gate/+", /cannot be a device's name/],
  ])("is said: %s", async (name, words) => {
    await expect(openLink(name)).rejects.toThrow(words);
  });
});
