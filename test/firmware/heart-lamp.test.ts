/** What a user sees of a device from outside: how its lamp blinks, that its watchdog ends a program that hangs, and why it failed, afterwards. */
import { afterEach, describe, expect, it } from "vitest";
import { makeUpdate, parseUpdate } from "../../core/messages/update-image.ts";
import type { Image, ResetReason, UpdateSlots } from "../../firmware/board.ts";
import { BEAT_MS, WATCHDOG_MS } from "../../firmware/boot/heart.ts";
import { type Program, startProgram } from "../../firmware/program.ts";
import type { AdminClient } from "../../gateway/admin/client.ts";
import { BenchClock, BenchPins } from "../support/bench-board.ts";
import {
  type Chips,
  claimRequest,
  entropy,
  LabBoard,
  type LabOptions,
  newChips,
  newOwner,
  noble,
  ownerOf,
  testImage,
} from "../support/program-lab.ts";

const release = newOwner();
const owner = newOwner();
const image: Image = { ...testImage, releaseKey: release.nodeId };

/** A board whose time passes when the test says so, with a watchdog that bites. */
class Bench {
  readonly clock = new BenchClock();
  readonly pins = new BenchPins(["led", "button"]);
  readonly board: LabBoard;
  readonly alarms: string[] = [];
  isBitten = false;
  program!: Program;
  client: AdminClient | undefined;
  private fedMs = Number.POSITIVE_INFINITY;

  constructor(
    readonly chips: Chips,
    options: Partial<LabOptions> & { readonly update?: UpdateSlots } = {},
  ) {
    const plain = new LabBoard({ ...options, chips });
    const watchdog = {
      start: (timeoutMs: number) => {
        expect(timeoutMs).toBe(WATCHDOG_MS);
        this.feed();
      },
      feed: () => this.feed(),
    };
    const system = { ...plain.system, watchdog };
    this.board = Object.assign(plain, { clock: this.clock, pins: this.pins, system });
  }

  async start(): Promise<this> {
    const onAlarm = (text: string) => void this.alarms.push(text);
    this.program = await startProgram(this.board, image, { onAlarm });
    return this;
  }

  /** The lamp at each beat: "1" is lit. */
  async watch(ms: number): Promise<string> {
    let seen = "";
    for (let at = 0; at < ms; at += BEAT_MS) {
      await this.clock.pass(BEAT_MS);
      seen += this.pins.read("led") ? "1" : "0";
      if (this.clock.nowMs() - this.fedMs > WATCHDOG_MS) this.isBitten = true;
    }
    return seen;
  }

  async during<T>(work: Promise<T>): Promise<T> {
    let isOver = false;
    const end = work.finally(() => {
      isOver = true;
    });
    end.catch(() => {});
    for (let i = 0; i < 2_000 && !isOver; i++) {
      await this.clock.pass(BEAT_MS);
      await new Promise((wake) => setTimeout(wake, 1));
    }
    return end;
  }

  async claim(): Promise<AdminClient> {
    const client = await this.during(ownerOf(this.board, this.program.nodeId, owner));
    this.client = client;
    await this.during(client.claim(claimRequest()));
    await this.watch(1_000);
    return client;
  }

  stop(): void {
    this.client?.close();
    this.program.stop();
  }

  private feed(): void {
    this.fedMs = this.clock.nowMs();
  }
}

let bench: Bench;
afterEach(() => bench.stop());

async function start(options: Partial<LabOptions> = {}, chips = newChips()): Promise<void> {
  bench = await new Bench(chips, options).start();
}

describe("the lamp", () => {
  it("of a new device blinks evenly, once a second", async () => {
    await start();
    expect(await bench.watch(3_000)).toMatch(/^[01]+?(1{10}0{10}){2}/);
  });

  it("of a device that holds no keys: three short, a long pause", async () => {
    const crypto = { ...noble, sha256: (data: Uint8Array) => noble.sha256(data).fill(0, 31) };
    await start({ crypto });
    expect(await bench.watch(3_000)).toMatch(/0{14}1{2}0{2}1{2}0{2}1{2}0{14}/);
  });

  it("of a claimed one without its gateway flashes every two seconds, and flickers for whoever looks for it", async () => {
    await start();
    const client = await bench.claim();
    expect(await bench.watch(6_000)).toMatch(/0{38}1{2}0{38}1{2}0/);
    await bench.during(client.call("identify", { seconds: 2 }));
    expect(await bench.watch(1_500)).toMatch(/(01){10}/);
    await bench.watch(2_000);
    expect(await bench.watch(4_500)).toMatch(/0{38}/);
  });

  it("of one that takes an update blinks twice a second", async () => {
    const nothing = () => {};
    const slots = { begin: nothing, write: nothing, complete: nothing, abort: nothing };
    const update = { ...slots, confirmed: true, confirm: nothing, rollBack: nothing };
    await start({ update });
    const client = await bench.claim();
    const sign = (hash: Uint8Array) => noble.sign(hash, release.secret);
    const of = { model: "lab", version: "0.3.0", number: 6 };
    const { manifest, signature } = parseUpdate(makeUpdate(noble, entropy.random(5_000), of, sign));
    await bench.during(client.call("update.begin", { manifest, signature }));
    expect(await bench.watch(2_500)).toMatch(/0(1{5}0{5}){3}/);
  });
});

describe("the watchdog", () => {
  it("is fed while the program is healthy, for ten minutes", async () => {
    await start();
    await bench.watch(3_600_000 / 6);
    expect(bench.isBitten).toBe(false);
    expect(bench.alarms).toEqual([]);
  });

  it("forgives what fails for a moment", async () => {
    await start();
    const { read } = bench.pins;
    bench.pins.read = fails;
    await bench.clock.pass(500);
    bench.pins.read = read.bind(bench.pins);
    await bench.watch(30_000);
    expect(bench.isBitten).toBe(false);
    expect(bench.alarms).toEqual(["the loop failed: the pins are gone"]);
  });

  it("ends a program whose loop fails for good, and the next one knows why, once", async () => {
    await start();
    const { read } = bench.pins;
    bench.pins.read = (name) => (name === "button" ? fails() : read.call(bench.pins, name));
    await bench.watch(12_000);
    expect(bench.isBitten).toBe(true);
    // The chip is reset: nothing is said or written any more.
    const { chips, board, clock } = bench;
    clock.forget();
    const retained = board.system.retained?.read()?.slice();
    bench.stop();
    chips.retained = retained;
    expect(await nextLife(chips, "watchdog")).toMatchObject({
      resetReason: "watchdog",
      crashReason: "the loop failed: the pins are gone",
    });
    const client = bench.client as AdminClient;
    await bench.during(client.claim(claimRequest()));
    const log = (await bench.during(client.logs())).join("\n");
    expect(log).toMatch(/crash: the loop failed[\s\S]*started after: watchdog/);
    bench.stop();
    expect(await nextLife(chips, "restart")).not.toHaveProperty("crashReason");
  });

  it("of a chip that lost power as well has nothing to tell, and makes nothing up of noise", async () => {
    await start();
    const { chips } = bench;
    bench.stop();
    chips.retained = entropy.random(2_048);
    expect(await nextLife(chips, "power")).not.toHaveProperty("crashReason");
  });
});

/** `info` of the same chips after a reset. */
async function nextLife(chips: Chips, resetReason: ResetReason): Promise<object> {
  await start({ resetReason }, chips);
  const client = await bench.during(ownerOf(bench.board, bench.program.nodeId, owner));
  bench.client = client;
  return bench.during(client.info());
}

function fails(): never {
  throw new Error("the pins are gone");
}
