/** Inside XS: the device's whole program, as a board runs it, on ports that are calls to Node (xs-engine.ts). */
import type { Board, Image, ResetReason } from "../../firmware/board.ts";
import type { NativeFunctions } from "../../firmware/crypto/native.ts";
import type { Program, ProgramEvents } from "../../firmware/program.ts";
import type { Flash } from "../../firmware/store/flash.ts";
import { characters, listen, serve } from "../xs/agent-calls.ts";
import { freezeModuleState, writableState } from "../xs/freeze.ts";
import { decodeValue, encodeValue } from "../xs/values.ts";
import { ask, askBytes, askWith, onTold, told } from "./xs-ask.ts";
import { firmware } from "./xs-firmware.ts";
import { type BoardLinks, hostLinks } from "./xs-links.ts";

/** What `start` brings along; all else is asked for. */
export interface XsSetup {
  readonly image: Image;
  readonly pins: readonly string[];
  readonly resetReason: ResetReason;
  readonly retainedBytes: number;
  readonly flash: { readonly records: FlashSize; readonly settings: FlashSize };
  readonly links: BoardLinks;
}

export interface FlashSize {
  readonly size: number;
  readonly sectorSize: number;
}

/** Compiled into the worker: xs-crypto.c. */
declare const picoboltNative: NativeFunctions;

const running: { board?: Board; program?: Program } = {};

/** From here on the firmware's modules and the built-ins are as in a board's flash: whoever writes to them throws. */
serve("freeze", () => freezeModuleState().map(characters));
serve("writable-state", () => writableState().map(characters));
serve("start", (bytes) => {
  const setup = decodeValue(bytes as Uint8Array) as XsSetup;
  const board = boardOf(setup);
  running.board = board;
  firmware.startProgram(board, setup.image, events()).then(
    (program) => {
      running.program = program;
      ask("started", program.nodeId, program.isClaimed);
    },
    (cause) => void ask("failed", String(cause)),
  );
  return undefined;
});
serve("isClaimed", () => encodeValue(running.program?.isClaimed ?? false));
serve("stop", () => {
  running.program?.stop();
  return undefined;
});
/** Something has happened outside: its name and words, its bytes. */
serve("tell", (words, bytes) => {
  try {
    told(words as Uint8Array, bytes);
    return undefined;
  } catch (cause) {
    if (running.board) firmware.recordCrash(running.board, cause);
    throw cause;
  }
});
listen();

function boardOf(setup: XsSetup): Board {
  const { flash } = setup;
  return {
    model: "virtual",
    crypto: firmware.nativeCrypto(picoboltNative),
    entropy: firmware.nativeEntropy(picoboltNative),
    clock: hostClock(),
    flash: {
      records: hostFlash("records", flash.records),
      settings: hostFlash("settings", flash.settings),
    },
    pins: hostPins(setup.pins),
    links: hostLinks(setup.links),
    system: hostSystem(setup),
    update: hostSlots(),
  };
}

function hostClock(): Board["clock"] {
  const waiting = new Map<number, () => void>();
  let last = 0;
  onTold("timer", ([id]) => {
    const work = waiting.get(id as number);
    waiting.delete(id as number);
    work?.();
  });
  return {
    nowMs: () => ask("clock.nowMs") as number,
    nowSeconds: () => (ask("clock.nowSeconds") as number | null) ?? undefined,
    setSeconds: (seconds) => void ask("clock.setSeconds", seconds),
    after(delayMs, work) {
      const id = ++last;
      waiting.set(id, work);
      ask("clock.after", id, delayMs);
      return () => {
        if (waiting.delete(id)) ask("clock.cancel", id);
      };
    },
  };
}

/** Each step is in the file before the program goes on. */
function hostFlash(name: string, { size, sectorSize }: FlashSize): Flash {
  return {
    size,
    sectorSize,
    read: (offset, length) => askBytes("flash.read", [name, offset, length]),
    program: (offset, bytes) => void askWith(bytes, "flash.program", name, offset),
    erase: (sector) => void ask("flash.erase", name, sector),
    isErased: (offset, length) => ask("flash.isErased", name, offset, length) as boolean,
  };
}

function hostPins(names: readonly string[]): Board["pins"] {
  const listeners = new Map<string, (on: boolean, atMs: number) => void>();
  onTold("edge", ([name, on, atMs]) =>
    listeners.get(name as string)?.(on as boolean, atMs as number),
  );
  return {
    names,
    write: (name, on) => void ask("pins.write", name, on),
    read: (name) => ask("pins.read", name) as boolean,
    watch: (name, onEdge) => {
      ask("pins.watch", name);
      listeners.set(name, onEdge);
    },
  };
}

function hostSystem({ resetReason, retainedBytes }: XsSetup): Board["system"] {
  return {
    resetReason,
    restart: () => void ask("system.restart"),
    watchdog: {
      start: (timeoutMs) => void ask("watchdog.start", timeoutMs),
      feed: () => void ask("watchdog.feed"),
    },
    retained: {
      size: retainedBytes,
      read: () => {
        const bytes = askBytes("retained.read", []);
        return bytes.length > 0 ? bytes : undefined;
      },
      write: (bytes) => void askWith(bytes, "retained.write"),
    },
    print: (line) => void ask("system.print", line),
  };
}

function hostSlots(): NonNullable<Board["update"]> {
  return {
    get confirmed() {
      return ask("update.confirmed") as boolean;
    },
    begin: (byteLength) => void ask("update.begin", byteLength),
    write: (bytes) => void askWith(bytes, "update.write"),
    complete: () => void ask("update.complete"),
    abort: () => void ask("update.abort"),
    confirm: () => void ask("update.confirm"),
    rollBack: () => void ask("update.rollBack"),
  };
}

function events(): ProgramEvents {
  return {
    onChannelEvent: (id, event) => void ask("event.channel", id, event),
    onApp: (event) => void ask("event.app", event),
    onPeer: (peer, state, reason) => void ask("event.peer", peer, state, reason),
    onTip: (height, isSynced) => void ask("event.tip", height, isSynced),
    onAlarm: (text) => void ask("event.alarm", text),
  };
}
