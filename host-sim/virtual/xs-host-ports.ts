/** In Node: what the program in XS asks of its board, by name. It stands still until the answer is there, so a flash step is in the file when it goes on. */
import type { Board } from "../../firmware/board.ts";
import type { ProgramEvents } from "../../firmware/program.ts";
import { type Flash, isErasedIn } from "../../firmware/store/flash.ts";

/** Its words are what xs-program.ts gives: their types here are that agreement. */
export type Port = (words: never, bytes: Uint8Array) => unknown;
export type Ports = Readonly<Record<string, Port>>;
/** Hands on what has happened: in order, one after the other. */
export type Tell = (words: readonly unknown[], bytes?: Uint8Array) => void;

export function boardPorts(board: Board, tell: Tell): Ports {
  return {
    ...clockPorts(board.clock, tell),
    ...flashPorts(board.flash),
    ...pinPorts(board, tell),
    ...systemPorts(board.system),
    ...updatePorts(board.update as NonNullable<Board["update"]>),
  };
}

/** What the program tells of itself, as on the Node engine. */
export function eventPorts(events: ProgramEvents): Ports {
  const { onChannelEvent, onApp, onPeer, onTip, onAlarm } = events;
  type Of<Name extends keyof ProgramEvents> = Parameters<NonNullable<ProgramEvents[Name]>>;
  return {
    "event.channel": (words: Of<"onChannelEvent">) => onChannelEvent?.(...words),
    "event.app": (words: Of<"onApp">) => onApp?.(...words),
    "event.peer": ([peer, state, reason]: Of<"onPeer">) => onPeer?.(peer, state, reason),
    "event.tip": (words: Of<"onTip">) => onTip?.(...words),
    "event.alarm": (words: Of<"onAlarm">) => onAlarm?.(...words),
  };
}

function clockPorts(clock: Board["clock"], tell: Tell): Ports {
  const waiting = new Map<number, () => void>();
  return {
    "clock.nowMs": () => clock.nowMs(),
    "clock.nowSeconds": () => clock.nowSeconds(),
    "clock.setSeconds": ([seconds]: [number]) => clock.setSeconds?.(seconds),
    "clock.after": ([id, delayMs]: [number, number]) => {
      const ring = () => {
        waiting.delete(id);
        tell(["timer", id]);
      };
      waiting.set(id, clock.after(delayMs, ring));
    },
    "clock.cancel": ([id]: [number]) => {
      waiting.get(id)?.();
      waiting.delete(id);
    },
  };
}

function flashPorts(flash: Board["flash"]): Ports {
  type Name = keyof Board["flash"];
  const on = <T>(name: Name, work: (partition: Flash) => T) => work(flash[name]);
  return {
    "flash.read": ([name, offset, length]: [Name, number, number]) =>
      on(name, (partition) => partition.read(offset, length)),
    "flash.program": ([name, offset]: [Name, number], bytes) =>
      on(name, (partition) => partition.program(offset, bytes)),
    "flash.erase": ([name, sector]: [Name, number]) =>
      on(name, (partition) => partition.erase(sector)),
    "flash.isErased": ([name, offset, length]: [Name, number, number]) =>
      on(name, (partition) => isErasedIn(partition, offset, length)),
  };
}

function pinPorts({ pins, clock }: Board, tell: Tell): Ports {
  return {
    "pins.write": ([name, on]: [string, boolean]) => pins.write(name, on),
    "pins.read": ([name]: [string]) => pins.read(name),
    // When it was, too: whoever is busy hears of several at once.
    "pins.watch": ([name]: [string]) =>
      pins.watch(name, (on) => tell(["edge", name, on, clock.nowMs()])),
  };
}

function systemPorts(system: Board["system"]): Ports {
  const { watchdog, retained } = system;
  return {
    // Ends this process: the program hears no answer.
    "system.restart": () => system.restart(),
    "system.print": ([line]: [string]) => system.print(line),
    // Counted here, so that a program that hangs cannot keep it from barking.
    "watchdog.start": ([timeoutMs]: [number]) => watchdog?.start(timeoutMs),
    "watchdog.feed": () => watchdog?.feed(),
    "retained.read": () => retained?.read() ?? new Uint8Array(),
    "retained.write": (_words, bytes) => retained?.write(bytes),
  };
}

function updatePorts(slots: NonNullable<Board["update"]>): Ports {
  return {
    "update.confirmed": () => slots.confirmed,
    "update.begin": ([byteLength]: [number]) => slots.begin(byteLength),
    "update.write": (_words, bytes) => slots.write(bytes),
    "update.complete": () => slots.complete(),
    "update.abort": () => slots.abort(),
    "update.confirm": () => slots.confirm(),
    "update.rollBack": () => slots.rollBack(),
  };
}
