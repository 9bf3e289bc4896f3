/** `picobolt virtual`: machines as processes over each kind of link, sold from, some jammed, one dead, some kept; and whether the books say so. */
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { dirname } from "node:path";
import { afterEach, expect, test } from "vitest";
import { picobolt, Running } from "../cli/run-picobolt.ts";

const running: Running[] = [];
/** Also where a test fails in the middle. */
afterEach(async () => {
  for (const { process: command, done } of running.splice(0)) {
    command.kill("SIGINT");
    await done;
  }
});

function start(...words: readonly string[]): Running {
  const one = new Running(["virtual", ...words]);
  running.push(one);
  return one;
}

type Row = Record<string, unknown> & { readonly name: string };

/** The machines' rows, whose sums the command has compared; here they are added up again. */
function checkedRows(json: readonly Record<string, unknown>[]): readonly Row[] {
  const rows = json.filter((one): one is Row => typeof one.name === "string");
  for (const row of rows) {
    expect(row.purchases).toBe(Number(row.delivered) + Number(row.refunded));
    expect(row.earnedMsat).toBe(Number(row.paidMsat) - Number(row.refundedMsat));
    if (row.fallen !== undefined) expect(row.fallen).toBe(row.delivered);
  }
  const purchases = json.filter(({ machine }) => machine !== undefined);
  const keptMsat = purchases.reduce((sum, { kept_msat }) => sum + Number(kept_msat), 0);
  expect(rows.reduce((sum, { earnedMsat }) => sum + Number(earnedMsat), 0)).toBe(keptMsat);
  expect(rows.reduce((sum, { delivered }) => sum + Number(delivered), 0)).toBe(
    purchases.filter(({ delivered }) => delivered === true).length,
  );
  return rows;
}

test("on serial ports: every second product jams, its money comes back, and the sums agree", async () => {
  const { code, last, json } = await picobolt([
    ...["virtual", "--devices", "2", "--jam-every", "2", "--purchases", "3", "--json"],
  ]);
  expect(last).toMatchObject({ result: "ok", devices: 2, purchases: 6, unaccounted_msat: 0 });
  const jammed = { product: "tea", note: "tea did not come out: your money was given back" };
  expect(json.filter(({ delivered }) => delivered === false)).toMatchObject([jammed, jammed]);
  expect(last).toMatchObject({ delivered: 4, refunded: 2, problems: [] });
  const row = { purchases: 3, paidMsat: 3_000_000, refundedMsat: 900_000, fallen: 2 };
  expect(checkedRows(json)).toMatchObject([
    { name: "vending-1", ...row },
    { name: "vending-2", ...row },
  ]);
  expect(code).toBe(0);
});

test("over BLE: claimed with the printed code; a first purchase that jams is given back too", async () => {
  const { code, last, json } = await picobolt([
    ...["virtual", "--devices", "1", "--link", "ble", "--jam-every", "1", "--purchases", "1"],
    "--json",
  ]);
  expect(last).toMatchObject({ result: "ok", purchases: 1, delivered: 0, refunded: 1 });
  expect(checkedRows(json)).toMatchObject([{ earnedMsat: 0, refundedMsat: 1_500_000, fallen: 0 }]);
  expect(code).toBe(0);
});

test("with a real broker between machines and gateway: the table is for people", async () => {
  const { code, stdout } = await picobolt([
    ...["virtual", "--devices", "2", "--link", "mqtt", "--broker", "mosquitto"],
    ...["--purchases", "1"],
  ]);
  const words = stdout.split("\n").map((line) => line.trim().split(/ {2,}/));
  expect(words.slice(0, 4)).toEqual([
    ["machine", "purchases", "delivered", "refunded", "paid", "back", "earned", "fell"],
    ["vending-1", "1", "1", "0", "1500 sat", "0 sat", "1500 sat", "1"],
    ["vending-2", "1", "1", "0", "1500 sat", "0 sat", "1500 sat", "1"],
    ["all", "2", "2", "0", "3000 sat", "0 sat", "3000 sat", "2"],
  ]);
  expect(stdout).toContain("every purchase was delivered or refunded; the sums agree");
  expect(code).toBe(0);
});

test("meters on the other broker: who leaves early gets the rest back", async () => {
  const { code, last, json } = await picobolt([
    ...["virtual", "--devices", "1", "--app", "meter", "--link", "mqtt", "--broker", "aedes"],
    ...["--purchases", "2", "--jam-every", "2", "--json"],
  ]);
  expect(last).toMatchObject({ result: "ok", purchases: 2, delivered: 1, refunded: 1 });
  const [row] = checkedRows(json);
  expect(row?.paidMsat).toBe(100_000); // 2 s, and 8 s paid ahead at once
  expect(Number(row?.refundedMsat)).toBeGreaterThan(0);
  expect(code).toBe(0);
});

test("a machine dies: the books say what is missing, and the command fails", async () => {
  const fleet = start("--devices", "1", "--purchases", "1000", "--json");
  await fleet.says('"delivered":true', 120_000);
  const words = ["-P", String(fleet.process.pid), "-f", "device-process"];
  process.kill(Number(execFileSync("pgrep", words, { encoding: "utf8" })), "SIGKILL");
  const { code, stderr, json } = await fleet.done;
  expect(stderr).toContain("vending-1 has died");
  expect(stderr).toMatch(/vending-1: \d+ of 1000 purchases made/);
  expect(json.at(-2)).toMatchObject({ result: "failed", devices: 1 });
  expect(json.at(-1)?.error).toContain("the books do not agree");
  expect(code).toBe(1);
});

test("kept machines are there for the other commands; Ctrl-C leaves nothing behind", async () => {
  const fleet = start("--devices", "1", "--purchases", "0", "--keep", "--json");
  await fleet.says('"kept":1', 120_000);
  const [machine = {}, kept = {}] = fleet.stdout.split("\n", 2).map((line) => JSON.parse(line));
  const home = kept.env.PICOBOLT_HOME as string;
  const run = (...words: string[]) =>
    picobolt([...words, "--link", machine.link, "--json"], { home });
  const paid = await run("pay", "--product", "1", "--gateway", kept.gateway);
  expect(paid.last).toMatchObject({ delivered: true, priceMsat: 1_500_000 });
  // It asks to be started again, and is: with its channel.
  expect((await run("reboot")).code).toBe(0);
  const again = await run("channels");
  expect(again.last).toMatchObject({
    channels: [{ state: "normal", local_balance_msat: 1_500_000 }],
  });
  fleet.process.kill("SIGINT");
  expect((await fleet.done).code).toBe(130);
  expect(existsSync(dirname(home))).toBe(false);
});

test("words that make no sense are refused before anything starts", async () => {
  const refused = async (...words: string[]) => {
    const { code, last } = await picobolt(["virtual", ...words, "--json"]);
    expect(code).toBe(2);
    return last.error;
  };
  expect(await refused("--devices", "0")).toBe('--devices must be from 1 to 200, not "0"');
  expect(await refused("--link", "smoke")).toContain("serial or ble or mqtt");
  expect(await refused("--broker", "aedes")).toContain("--link mqtt");
});
