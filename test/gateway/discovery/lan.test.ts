/** Nodes of one network find each other by real multicast on loopback, and believe nothing that makes no sense. */
import { Bonjour } from "bonjour-service";
import { afterEach, describe, expect, it } from "vitest";
import { LanDiscovery, type LanNode } from "../../../gateway/discovery/lan.ts";
import { PATIENCE_MS } from "../../support/patience.ts";

const LOOPBACK = "127.0.0.1";
const ALICE = `02${"a1".repeat(32)}`;
const ends: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

function discovery(): LanDiscovery {
  const one = new LanDiscovery({
    interface: LOOPBACK,
    onProblem: (text) => {
      throw new Error(text);
    },
  });
  ends.push(() => one.close());
  return one;
}

const later = (ms: number) => new Promise((wake) => setTimeout(wake, ms));

async function until(isSo: () => boolean, again: () => void): Promise<void> {
  for (const end = Date.now() + PATIENCE_MS; Date.now() < end && !isSo(); ) {
    again();
    await later(50);
  }
  expect(isSo()).toBe(true);
}

describe("nodes of one network", () => {
  it("find each other, with id, role and address, whoever was there first", async () => {
    const alice = { nodeId: ALICE, name: "Küche", network: "regtest", roles: ["gateway"] as const };
    discovery().announce({ ...alice, port: 9735 });
    const found: LanNode[] = [];
    const bob = discovery();
    bob.look((node) => found.push(node));
    await until(
      () => found.some(({ nodeId }) => nodeId === ALICE),
      () => bob.askAgain(),
    );
    const node = found.find(({ nodeId }) => nodeId === ALICE);
    expect(node).toMatchObject({ ...alice, port: 9735 });
    expect(node?.host).toMatch(/^\d+\.\d+\.\d+\.\d+$/);
    expect(bob.nodes).toContainEqual(node);
  });

  it("do not believe an announcement that makes no sense", async () => {
    const liar = new Bonjour({ interface: LOOPBACK, bind: "0.0.0.0" } as never);
    ends.push(() => new Promise<void>((done) => liar.unpublishAll(() => liar.destroy(done))));
    const lies = [
      { id: "02zz", net: "regtest" },
      { id: ALICE },
      { net: "regtest", id: `05${"a1".repeat(32)}` },
    ];
    lies.forEach((txt, i) => {
      liar.publish({ name: `liar ${i}`, type: "picobolt", port: 1, txt, probe: false });
    });
    const honest = `03${"b0".repeat(32)}`;
    const node = { nodeId: honest, name: "b", network: "sim", roles: ["tower"] as const, port: 2 };
    discovery().announce(node);
    const bob = discovery();
    const found: string[] = [];
    bob.look(({ nodeId }) => found.push(nodeId));
    await until(
      () => found.includes(honest),
      () => bob.askAgain(),
    );
    expect(found).not.toContain("02zz");
    expect(found.filter((id) => id.startsWith("05"))).toEqual([]);
    expect(found).not.toContain(ALICE);
  });
});
