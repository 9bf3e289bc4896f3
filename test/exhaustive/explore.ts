/** Every order in which two nodes may get their messages, lose their link and lose their power: depth first, each state once. */
import { complain, ending } from "./ending.ts";
import { SeenFault } from "./observer.ts";
import type { SideName } from "./plan.ts";
import type { Stage, Step } from "./stage.ts";

/** How often each may happen on one way from the beginning to an end. */
export interface Faults {
  readonly cuts: number;
  readonly crashes: number;
}

export interface Explored {
  readonly states: number;
  readonly transitions: number;
  /** States in which nothing is left to do. */
  readonly ends: number;
  /** What it came to, each once: which updates were paid. */
  readonly endings: readonly string[];
  /** States of one node alone, and the steps of production that led to them. */
  readonly sideStates: number;
  readonly worked: number;
  /** The longest way. */
  readonly depth: number;
}

/** "init" in a queue: the first message of a link, by which the other side knows that it is there. */
const INIT = -1;

interface Whole {
  readonly a: number;
  readonly b: number;
  readonly toA: readonly number[];
  readonly toB: readonly number[];
  /** Bytes pass. A lost link may still bring what was on its way. */
  readonly up: boolean;
  /** Who has not noticed yet that the link is lost. */
  readonly openA: boolean;
  readonly openB: boolean;
  readonly cuts: number;
  readonly crashes: number;
}

interface Way {
  readonly what: string;
  readonly to: Whole;
}

interface Frame {
  readonly key: string;
  readonly what: string;
  readonly ways: readonly Way[];
  next: number;
}

/** Throws with the way that leads there where two honest nodes come to anything but an agreement. */
export function explore(stage: Stage, faults: Faults): Explored {
  const done = new Map<string, boolean>();
  const endings = new Set<string>();
  const stack: Frame[] = [];
  let transitions = 0;
  let ends = 0;
  let depth = 0;
  const visit = (what: string, whole: Whole) => {
    const key = keyOf(whole);
    const before = done.get(key);
    if (before === false) throw new SeenFault("it goes round in a circle");
    if (before) return;
    done.set(key, false);
    const ways = peaceful(stage, whole);
    if (ways.length === 0) {
      ends++;
      endings.add(checkEnd(stage, whole));
    }
    stack.push({ key, what, ways: [...ways, ...faulty(whole)], next: 0 });
    depth = Math.max(depth, stack.length);
  };
  try {
    visit("the beginning", begin(stage, faults));
    for (let frame = stack.at(-1); frame; frame = stack.at(-1)) {
      const way = frame.ways[frame.next++];
      if (way) {
        transitions++;
        visit(way.what, way.to);
      } else {
        done.set(frame.key, true);
        stack.pop();
      }
    }
  } catch (cause) {
    if (!(cause instanceof SeenFault)) throw cause;
    const way = stack.map(({ what }) => `  ${what}`).join("\n");
    throw new Error(`${cause.message}\nafter\n${way}`, { cause });
  }
  return {
    states: done.size,
    transitions,
    ends,
    endings: [...endings].sort(),
    sideStates: stage.states.length,
    worked: stage.worked,
    depth,
  };
}

function begin({ start }: Stage, { cuts, crashes }: Faults): Whole {
  const open = { up: true, openA: true, openB: true };
  return { ...start, toA: [], toB: [], ...open, cuts, crashes };
}

function keyOf({ a, b, toA, toB, up, openA, openB, cuts, crashes }: Whole): string {
  const flags = (up ? 4 : 0) + (openA ? 2 : 0) + (openB ? 1 : 0);
  return `${a} ${b} ${toA.join(",")} ${toB.join(",")} ${flags}${cuts}${crashes}`;
}

/** What honest nodes, their applications and a link that works may do next. */
function peaceful(stage: Stage, whole: Whole): Way[] {
  const ways: Way[] = [];
  for (const side of ["a", "b"] as const) {
    const { state, inbox, open } = of(whole, side);
    const { todo } = stage.state(state);
    const all = [...arrangements(todo.length), ...repetitions(stage, todo)];
    for (const places of all) {
      const what = `${side} says ${places.map((place) => todo[place]).join(" and ")}`;
      take(ways, whole, side, what, () => stage.say(side, state, places));
    }
    const [first, ...rest] = inbox;
    if (first === INIT && open) {
      const step = () => stage.connect(side, state);
      take(ways, inboxOf(whole, side, rest), side, `${side} gets init`, step);
    } else if (first !== undefined && open) {
      for (const places of [[], ...all]) {
        const said = places.map((place) => `, says ${todo[place]}`).join("");
        const what = `${side} gets ${stage.message(first).type}${said}`;
        const step = () => stage.deliver(side, state, first, places);
        take(ways, inboxOf(whole, side, rest), side, what, step);
      }
    }
    if (open && !whole.up) {
      const lost = inboxOf(whole, side, []);
      const closed = side === "a" ? { ...lost, openA: false } : { ...lost, openB: false };
      const what = `${side} sees that the link is lost`;
      take(ways, closed, side, what, () => stage.disconnect(side, state));
    }
  }
  if (!whole.up && !whole.openA && !whole.openB) {
    const link = { up: true, openA: true, openB: true, toA: [INIT], toB: [INIT] };
    ways.push({ what: "a new link", to: { ...whole, ...link } });
  }
  return ways;
}

/** One or two of so many, in every order: commands that wait in a queue together share a signature. */
function arrangements(count: number): readonly (readonly number[])[] {
  const places = Array.from({ length: count }, (_, place) => place);
  const pairs = places.flatMap((one) =>
    places.filter((other) => other !== one).map((other) => [one, other]),
  );
  return [...places.map((place) => [place]), ...pairs];
}

/** A push that is said twice in one breath: it is paid once. */
function repetitions({ plan }: Stage, todo: readonly string[]): readonly (readonly number[])[] {
  return todo.flatMap((one, place) =>
    !one.includes("/") && plan[Number(one)]?.kind === "push" ? [[place, place]] : [],
  );
}

/** The link is lost; what is on it may still arrive, or be lost with it. */
function faulty(whole: Whole): Way[] {
  if (whole.cuts === 0 || !whole.up) return [];
  return [{ what: "the link breaks", to: { ...whole, up: false, cuts: whole.cuts - 1 } }];
}

/** Adds where a step leads; with power to lose, also where it leads when the power goes on the way. */
function take(
  ways: Way[],
  whole: Whole,
  side: SideName,
  what: string,
  work: () => readonly Step[],
): void {
  let steps: readonly Step[];
  try {
    steps = work();
  } catch (cause) {
    if (cause instanceof SeenFault) cause.message = `${cause.message}\n  when ${what}`;
    throw cause;
  }
  for (const step of steps) {
    if (!step.crashed) ways.push({ what, to: after(whole, side, step) });
    else if (whole.crashes > 0) {
      ways.push({ what: `${what}, power fails`, to: crashed(after(whole, side, step), side) });
    }
  }
}

function after(whole: Whole, side: SideName, { state, sent }: Step): Whole {
  const open = side === "a" ? whole.openA : whole.openB;
  const leaving = whole.up && open ? sent : [];
  return side === "a"
    ? { ...whole, a: state, toB: [...whole.toB, ...leaving] }
    : { ...whole, b: state, toA: [...whole.toA, ...leaving] };
}

function crashed(whole: Whole, side: SideName): Whole {
  const lost = { ...whole, up: false, crashes: whole.crashes - 1 };
  return side === "a" ? { ...lost, openA: false, toA: [] } : { ...lost, openB: false, toB: [] };
}

function inboxOf(whole: Whole, side: SideName, inbox: readonly number[]): Whole {
  return side === "a" ? { ...whole, toA: inbox } : { ...whole, toB: inbox };
}

function of({ a, b, toA, toB, openA, openB }: Whole, side: SideName) {
  return side === "a"
    ? { state: a, inbox: toA, open: openA }
    : { state: b, inbox: toB, open: openB };
}

function checkEnd(stage: Stage, { a, b }: Whole): string {
  const sides = { a: stage.state(a), b: stage.state(b) };
  const complaint = complain(stage.plan, sides);
  if (complaint !== undefined) throw new SeenFault(complaint);
  return ending(stage.plan, sides);
}
