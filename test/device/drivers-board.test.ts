/** UART, flash partitions, update slots, pins, clock and system of a board, against classes that behave as the SDK's sources say. */
import { describe, expect, it, vi } from "vitest";
import { moddableClock } from "../../firmware/drivers/clock.ts";
import { esp32System } from "../../firmware/drivers/esp32-system.ts";
import { openPartition } from "../../firmware/drivers/flash.ts";
import { openPins } from "../../firmware/drivers/pins.ts";
import { MAX_WAITING_BYTES, openUart } from "../../firmware/drivers/serial.ts";
import { updateSlots } from "../../firmware/drivers/update.ts";

interface SerialOptions {
  onReadable(this: unknown, count: number): void;
  onWritable(this: unknown, count: number): void;
}

interface PinOptions {
  readonly pin: number;
  readonly mode: string;
  readonly initialValue?: number;
  onReadable?(this: unknown): void;
}

const made = vi.hoisted(() => ({
  serial: undefined as unknown as {
    options: SerialOptions;
    sent: number[];
    room: number;
    incoming: number[];
  },
  pins: new Map<number, { options: PinOptions; level: number }>(),
  log: [] as unknown[],
  ticks: 0,
  timers: [] as (() => void)[],
  retained: undefined as ArrayBuffer | undefined,
}));

vi.mock("embedded:io/serial", () => ({
  default: class {
    sent: number[] = [];
    incoming: number[] = [];
    room = 0;
    constructor(readonly options: SerialOptions) {
      made.serial = this;
    }
    read() {
      return new Uint8Array(this.incoming.splice(0)).buffer;
    }
    write(buffer: ArrayBuffer) {
      if (!(buffer instanceof ArrayBuffer)) throw new TypeError("a view");
      if (buffer.byteLength > this.room) throw new Error("output full");
      this.room -= buffer.byteLength;
      this.sent.push(...new Uint8Array(buffer));
    }
  },
}));
vi.mock("embedded:io/digital", () => ({
  default: class {
    static Input = "input";
    static InputPullUp = "pull-up";
    static InputPullDown = "pull-down";
    static Output = "output";
    static Rising = 1;
    static Falling = 2;
    level: number;
    constructor(readonly options: PinOptions) {
      this.level = options.initialValue ?? 1;
      made.pins.set(options.pin, this);
    }
    read() {
      return this.level;
    }
    write(level: number) {
      this.level = level;
    }
  },
}));
vi.mock("embedded:storage/flash", () => ({
  default: {
    open: ({ path }: { path: string }) => {
      made.log.push(`open ${path}`);
      return {
        status: () => ({ size: 65_536, blockLength: 4096 }),
        read: (out: Uint8Array, offset: number) => out.fill(offset),
        write: (bytes: Uint8Array, offset: number) => made.log.push(["write", [...bytes], offset]),
        eraseBlock: (sector: number) => made.log.push(["erase", sector]),
        close: () => made.log.push(`close ${path}`),
      };
    },
  },
}));
vi.mock("embedded:update", () => ({
  default: {
    open: ({ mode }: { mode: string }) => ({
      write: (bytes: Uint8Array) => made.log.push(`${mode} ${bytes.length}`),
      complete: () => made.log.push("complete"),
      close: () => made.log.push("close update"),
    }),
  },
}));
vi.mock("time", () => ({
  default: {
    get ticks() {
      return made.ticks | 0;
    },
    delta: (from: number, to: number) => (to - from) | 0,
    set: (seconds: number) => made.log.push(`time ${seconds}`),
  },
}));
vi.mock("timer", () => ({
  default: {
    set: (work: () => void) => made.timers.push(work),
    clear: (timer: number) => made.log.push(`clear ${timer}`),
  },
}));
vi.mock("picobolt/esp32", () => ({
  esp32: {
    resetReason: () => "watchdog",
    retainedSize: () => 2048,
    retainedRead: () => made.retained,
    retainedWrite: (bytes: Uint8Array) => {
      made.retained = bytes.slice().buffer as ArrayBuffer;
    },
    freeBytes: () => 100,
    totalBytes: () => 320,
  },
}));

const logged = () => made.log.splice(0);

describe("a UART", () => {
  const uart = () => openUart("uart", { port: 1, receive: 1, transmit: 2, baud: 115_200 });
  const writable = (count: number) => {
    made.serial.room = count;
    made.serial.options.onWritable.call(made.serial, count);
  };

  it("keeps bytes until there is room, and sends them in order, never more than fit", () => {
    const driver = uart();
    const bytes = Uint8Array.from({ length: 300 }, (_, i) => i % 251);
    driver.write(bytes.subarray(0, 200));
    driver.write(bytes.subarray(200));
    for (let i = 0; i < 10; i++) writable(128);
    expect(made.serial.sent).toEqual([...bytes]);
  });

  it("drops whole what nobody takes, and goes on with what comes later", () => {
    const driver = uart();
    driver.write(new Uint8Array(MAX_WAITING_BYTES - 1));
    driver.write(Uint8Array.of(1, 2));
    driver.write(Uint8Array.of(3));
    writable(MAX_WAITING_BYTES);
    writable(10);
    expect(made.serial.sent.length).toBe(MAX_WAITING_BYTES);
    expect(made.serial.sent.at(-1)).toBe(3);
  });

  it("passes on what arrived", () => {
    const driver = uart();
    const seen: number[] = [];
    driver.onBytes = (bytes) => seen.push(...bytes);
    made.serial.incoming = [1, 2, 3];
    made.serial.options.onReadable.call(made.serial, 3);
    expect(seen).toEqual([1, 2, 3]);
  });
});

describe("a flash partition", () => {
  it("is opened by its name, and read, programmed and erased where it is told", () => {
    const flash = openPartition("records");
    expect([flash.size, flash.sectorSize]).toEqual([65_536, 4096]);
    expect([...flash.read(7, 2)]).toEqual([7, 7]);
    flash.program(4100, Uint8Array.of(1, 2));
    flash.erase(3);
    expect(logged()).toEqual(["open records", ["write", [1, 2], 4100], ["erase", 3]]);
  });
});

describe("the update slots", () => {
  const said: string[] = [];
  const slots = updateSlots({
    isOnTrial: () => true,
    confirm: () => said.push("confirm"),
    rollBack: () => said.push("roll back"),
  });

  it("write the other slot in order, and end with everything closed", () => {
    slots.begin(9000);
    slots.write(new Uint8Array(4096));
    slots.complete();
    const end = ["complete", "close update", "close nextota"];
    expect(logged()).toEqual(["open nextota", "a 4096", ...end]);
  });

  it("close an update that is broken off, and refuse one that is too large or was not begun", () => {
    slots.begin(9000);
    slots.abort();
    expect(logged()).toEqual(["open nextota", "close update", "close nextota"]);
    expect(() => slots.write(new Uint8Array(1))).toThrow("no update has begun");
    expect(() => slots.begin(70_000)).toThrow("the image has 70000 bytes, the slot 65536");
    expect(logged()).toEqual(["open nextota", "close nextota"]);
  });

  it("ask the boot loader about the trial", () => {
    expect(slots.confirmed).toBe(false);
    slots.confirm();
    slots.rollBack();
    expect(said).toEqual(["confirm", "roll back"]);
  });
});

describe("pins", () => {
  const open = () =>
    openPins({
      motor1: { pin: 32, mode: "output" },
      relay: { pin: 25, mode: "output", inverted: true },
      button: { pin: 0, mode: "pull-up", inverted: true },
    });
  const level = (pin: number) => made.pins.get(pin)?.level;

  it("are off from the first moment, and turn on as their wiring says", () => {
    const pins = open();
    expect([level(32), level(25)]).toEqual([0, 1]);
    pins.write("motor1", true);
    pins.write("relay", true);
    expect([level(32), level(25)]).toEqual([1, 0]);
  });

  it("tell edges of an inverted input as on and off", () => {
    const pins = open();
    const seen: boolean[] = [];
    pins.watch("button", (on) => seen.push(on));
    const button = made.pins.get(0) as { options: PinOptions; level: number };
    for (const at of [0, 1]) {
      button.level = at;
      button.options.onReadable?.call(button);
    }
    expect(seen).toEqual([true, false]);
    expect([button.options.mode, pins.read("button")]).toEqual(["pull-up", false]);
  });

  it("are named in errors: one that is not there, an input that is written", () => {
    const pins = open();
    expect(() => pins.write("lamp", true)).toThrow('names no pin "lamp"');
    expect(() => pins.write("button", true)).toThrow('the pin "button" is an input');
  });
});

describe("the clock", () => {
  it("goes on where the chip's counter wraps, and never goes back", () => {
    made.ticks = 2 ** 31 - 10;
    const clock = moddableClock();
    made.ticks += 30;
    expect(clock.nowMs()).toBe(30);
    made.ticks -= 5;
    expect(clock.nowMs()).toBe(30);
  });

  it("forgets a timer that is cancelled, and cancels none that has run", () => {
    const clock = moddableClock();
    const seen: string[] = [];
    const cancel = clock.after(10, () => seen.push("rang"));
    made.timers.at(-1)?.();
    cancel();
    expect([seen, logged()]).toEqual([["rang"], []]);
    const first = made.timers.length;
    clock.after(10, () => {})();
    clock.setSeconds?.(1_800_000_000);
    expect(logged()).toEqual([`clear ${first + 1}`, "time 1800000000"]);
  });
});

describe("the system", () => {
  it("says why it started, keeps bytes over a reset, and counts what memory is used", () => {
    const system = esp32System();
    expect(system.resetReason).toBe("watchdog");
    expect(system.retained?.read()).toBeUndefined();
    system.retained?.write(Uint8Array.of(1, 2));
    expect([...(system.retained?.read() ?? [])]).toEqual([1, 2]);
    expect(system.memory?.()).toEqual({ usedBytes: 220, freeBytes: 100 });
  });
});
