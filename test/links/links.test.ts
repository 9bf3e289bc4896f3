/** Links as boards have them: real ptys opened as serial ports, and sockets; cut, restored, held by a killed process, full of garbage. */
import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Link } from "../../core/ports/link.ts";
import { Cable, type CableKind, hasSocat } from "../../host-sim/links/cable.ts";
import { openLink, whyNoSerialLinks } from "../../host-sim/links/open-link.ts";
import { Pair, TestNode } from "../support/node-pair.ts";

const noPtys = hasSocat() ? await whyNoSerialLinks() : "socat is missing";
let folder: string;
let cable: Cable | undefined;
let ends: Link[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "links-test-"));
  ends = [];
  cable = undefined;
});

afterEach(async () => {
  for (const end of ends) end.close();
  await cable?.close();
  rmSync(folder, { recursive: true, force: true });
  expect(processesNaming(folder)).toEqual([]);
});

async function lay(kind: CableKind): Promise<[Link, Link, Cable]> {
  const laid = await Cable.lay(folder, "cable", kind);
  cable = laid;
  for (const name of laid.ends) ends.push(await openLink(name));
  return [...ends, laid] as unknown as [Link, Link, Cable];
}

/** Bytes that arrive at `end` until there are `count`, or for a moment. */
async function arriving(end: Link, count: number, ms = 50_000): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  const length = () => parts.reduce((sum, part) => sum + part.length, 0);
  end.onBytes = (bytes) => parts.push(bytes.slice());
  for (const until = Date.now() + ms; length() < count && Date.now() < until; ) await pause(5);
  return Buffer.concat(parts);
}

const pause = (ms: number) => new Promise((wake) => setTimeout(wake, ms));
const ALL_BYTES = Uint8Array.from({ length: 4096 }, (_, i) => i & 0xff);

function storyOf(kind: CableKind): void {
  it("carries every byte in both directions", async () => {
    const [a, b, cable] = await lay(kind);
    for (const [from, to] of [
      [a, b],
      [b, a],
    ] as const) {
      const got = arriving(to, ALL_BYTES.length);
      from.send(ALL_BYTES);
      expect(Buffer.compare(await got, ALL_BYTES)).toBe(0);
    }
    expect(cable.bytes).toBe(2 * ALL_BYTES.length);
  });

  it("loses what is sent while it is pulled, tells nobody, and carries again", async () => {
    const [a, b, cable] = await lay(kind);
    let closed = 0;
    for (const end of [a, b]) end.onClosed = () => closed++;
    cable.pulled = true;
    a.send(Uint8Array.of(1, 2, 3));
    const arrived = arriving(b, 1, 200);
    for (const end = Date.now() + 50_000; cable.lostBytes < 3 && Date.now() < end; ) await pause(5);
    expect(cable.lostBytes).toBe(3);
    expect(await arrived).toHaveLength(0);
    expect(closed).toBe(0);
    cable.pulled = false;
    const got = arriving(b, 2);
    a.send(Uint8Array.of(4, 5));
    expect([...(await got)]).toEqual([4, 5]);
  });

  it("joins two nodes that find each other through garbage, and again after it was pulled", async () => {
    const [a, b, cable] = await lay(kind);
    const garbage = Uint8Array.from({ length: 700 }, (_, i) => (i * 7919) & 0xff);
    const alice = await new TestNode("alice", 1).start();
    const bob = await new TestNode("bob", 2).start();
    const pair = new Pair(alice, bob);
    bob.node.attach(b);
    a.send(garbage);
    alice.node.attach(a, bob.nodeId);
    b.send(garbage);
    let now = 0;
    const until = async (done: () => boolean) => {
      for (const end = Date.now() + 50_000; !done() && Date.now() < end; ) {
        now += 100;
        alice.node.tick(now);
        bob.node.tick(now);
        await pause(5);
      }
      expect(done()).toBe(true);
    };
    const both = () => pair.a.node.isConnected(bob.nodeId) && pair.b.node.isConnected(alice.nodeId);
    await until(both);
    cable.pulled = true;
    await until(() => !alice.node.isConnected(bob.nodeId));
    cable.pulled = false;
    await until(both);
    alice.node.close();
    bob.node.close();
  });
}

describe("a cable of sockets", () => {
  storyOf("socket");

  it("tells when the other process is gone, and survives writing into nothing", async () => {
    const [a, b, cable] = await lay("socket");
    const closed = new Promise<string>((tell) => {
      a.onClosed = tell;
    });
    await cable.close();
    b.send(ALL_BYTES);
    expect(await closed).toContain("closed");
    a.send(ALL_BYTES);
  });
});

describe.skipIf(noPtys !== undefined)("a cable of ptys, opened as serial ports", () => {
  storyOf("pty");

  it("outlives a process that held it and was killed", async () => {
    cable = await Cable.lay(folder, "cable", "pty");
    const [first, second] = cable.ends as [string, string];
    const script = `
      const { openLink } = await import(${JSON.stringify(join(import.meta.dirname, "../../host-sim/links/open-link.ts"))});
      const link = await openLink(process.argv[1]);
      link.send(Uint8Array.of(42));
      setInterval(() => {}, 1000);`;
    const other = await openLink(second);
    ends.push(other);
    const got = arriving(other, 1);
    const holder = spawn(
      process.execPath,
      ["--import", "tsx", "--input-type=module", "-e", script, first],
      { stdio: "ignore" },
    );
    const gone = new Promise((resolve) => holder.once("exit", resolve));
    expect([...(await got)]).toEqual([42]);
    holder.kill("SIGKILL");
    await gone;
    const again = await openLink(first);
    ends.push(again);
    const more = arriving(other, 1);
    again.send(Uint8Array.of(43));
    expect([...(await more)]).toEqual([43]);
  });
});

describe("a link that cannot be opened", () => {
  it.each([
    ["serial:/dev/nonexistent", noPtys === undefined ? /nonexistent/ : /./],
    ["socket:/nonexistent.sock", /nonexistent/],
    ["pigeon:home", /no such link: pigeon:home; use/],
  ])("says so: %s", async (name, words) => {
    await expect(openLink(name)).rejects.toThrow(words);
  });
});

function processesNaming(text: string): readonly string[] {
  return readdirSync("/proc").filter((id) => {
    try {
      return /^\d+$/.test(id) && readFileSync(`/proc/${id}/cmdline`, "utf8").includes(text);
    } catch {
      return false;
    }
  });
}
