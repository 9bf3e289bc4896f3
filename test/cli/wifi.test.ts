/** A device gets its network on a pty: from anybody by Improv while nobody owns it, from its owner afterwards. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { type Program, startProgram } from "../../firmware/program.ts";
import { chooseCrypto } from "../../gateway/crypto/choose.ts";
import { Cable } from "../../host-sim/links/cable.ts";
import { openLink } from "../../host-sim/links/open-link.ts";
import { serialDriverOf } from "../../host-sim/links/serial-driver.ts";
import { VirtualWifi } from "../../host-sim/links/virtual-wifi.ts";
import { Mechanics } from "../../host-sim/virtual/mechanics.ts";
import { createVirtualBoard } from "../../host-sim/virtual/virtual-board.ts";
import { PATIENT } from "../support/patience.ts";
import { claimRequest } from "../support/program-lab.ts";
import { picobolt } from "./run-picobolt.ts";

const folder = mkdtempSync(join(tmpdir(), "picobolt-wifi-"));
const home = join(folder, "home");
const radio = new VirtualWifi([
  { ssid: "guests", password: "", rssi: -71 },
  { ssid: "workshop ☕", password: "correct horse", rssi: -48 },
]);
let cable: Cable;
let port: string;
let device: Device | undefined;

interface Device {
  stop(): void;
}

beforeAll(async () => {
  cable = await Cable.lay(folder, "uart", "pty");
  port = cable.ends[1];
  device = await plugIn(radio);
});
afterEach(() => {
  expect(radio.joined).toBe(expected);
});
afterAll(async () => {
  device?.stop();
  await cable?.close();
  rmSync(folder, { recursive: true });
});

/** Where the device is after each test. */
let expected: string | undefined;

async function plugIn(wifi: VirtualWifi | undefined): Promise<Device> {
  const link = await openLink(cable.ends[0]);
  const mechanics = new Mechanics({ motors: 1 });
  const board = createVirtualBoard({
    folder: join(folder, wifi ? "device" : "other"),
    crypto: chooseCrypto(),
    mechanics,
    links: { serial: [serialDriverOf(link)], ...(wifi && { wifi }) },
    restart: () => {},
    print: () => {},
  });
  const program: Program = await startProgram(board, {
    version: "0.2.0",
    number: 1,
    network: "regtest",
  });
  return {
    stop: () => {
      program.stop();
      mechanics.stop();
      link.close();
    },
  };
}

function wifi(words: readonly string[], input = "") {
  return picobolt(["wifi", ...words, "--link", port, "--json"], { home, input: `${input}\n` });
}

test("a new device shows the networks that it sees, strongest first", async () => {
  const { json, code } = await wifi(["--scan"]);
  expect(json).toEqual([
    { ssid: "workshop ☕", rssi: -48, open: false },
    { ssid: "guests", rssi: -71, open: true },
    { networks: 2 },
  ]);
  expect(code).toBe(0);
});

test("a wrong password is told, and nothing has changed", async () => {
  const { stderr, code } = await wifi(["--ssid", "workshop ☕"], "wrong");
  expect(stderr).toContain("tries to join workshop ☕");
  expect(stderr).toContain("is the password right");
  expect(code).toBe(4);
});

test("with the right one it joins, and a session may follow on the same line", async () => {
  const { last, code, stdout, stderr } = await wifi(["--ssid", "workshop ☕"], "correct horse");
  expect(last).toEqual({ ok: true, ssid: "workshop ☕", by: "improv" });
  expect(code).toBe(0);
  expect(stdout + stderr).not.toContain("correct horse");
  expected = "workshop ☕";
  const { json } = await picobolt(["devices", "--port", port, "--timeout", "60000", "--json"]);
  expect(json[0]).toMatchObject({ answers: true, claimed: false });
});

test("it moves to an open one when it is asked to", async () => {
  const { last, stderr } = await wifi(["--ssid", "guests", "--open"]);
  expect(stderr).toContain("it is on a network already");
  expect(last).toMatchObject({ ok: true, ssid: "guests" });
  expected = "guests";
});

test("what Wi-Fi cannot carry is refused before the device hears of it", async () => {
  const name = await wifi(["--ssid", "☕".repeat(11)]);
  expect(name.stderr).toContain("33 bytes");
  const password = await wifi(["--ssid", "guests"], "x".repeat(65));
  expect(password.stderr).toContain("65 bytes");
  expect([name.code, password.code]).toEqual([2, 2]);
});

test("from its claim on the owner sets it, and strangers do not", async () => {
  const { payout, gateway } = claimRequest();
  const words = ["--payout", payout, "--gateway", Buffer.from(gateway).toString("hex")];
  const claimed = await picobolt(
    ["claim", "--link", port, "--name", "coffee", ...words, "--json"],
    { home },
  );
  expect(claimed.last).toMatchObject({ ok: true });
  const scan = await wifi(["--scan"]);
  expect(scan.stderr).toContain("has an owner");
  const stranger = await picobolt(["wifi", "--link", port, "--ssid", "theirs", "--open"], {
    home: join(folder, "stranger"),
  });
  expect(stranger.code).not.toBe(0);
  expect(radio.joined).toBe("guests");
  const { last } = await wifi(["--ssid", "workshop ☕"], "correct horse");
  expect(last).toEqual({ ok: true, ssid: "workshop ☕", by: "owner" });
  await expect.poll(() => radio.joined, PATIENT).toBe("workshop ☕");
  expected = "workshop ☕";
});

test("a board without Wi-Fi says so", async () => {
  device?.stop();
  device = await plugIn(undefined);
  expected = undefined;
  const { stderr, code } = await wifi(["--ssid", "guests", "--open"]);
  expect(stderr).toContain("has this board Wi-Fi?");
  expect(code).toBe(3);
});
