/** One process follows another: where the stream broke it goes on, and what a new process told before it was found is told too. */
import { createServer, type Server } from "node:http";
import { afterEach, beforeEach, expect, test } from "vitest";
import { FOLLOWING, ProcessEvents } from "../../../gateway/api/process-events.ts";
import { PROCESS, Streams } from "../../../gateway/api/streams.ts";
import { VOUCHER_HEADER, Vouching } from "../../../gateway/auth/vouching.ts";
import { EventHub } from "../../../gateway/run/event-hub.ts";
import type { ProcessPlace } from "../../../gateway/workers/process-places.ts";
import { until } from "../../support/program-lab.ts";

const vouching = new Vouching(new Uint8Array(32).fill(7), () => Date.now());

/** What another process tells, over HTTP, as gateway/api/stream-routes.ts does. */
class OtherProcess {
  readonly events = new EventHub();
  private readonly streams = new Streams(this.events);
  private server: Server | undefined;

  constructor(readonly name: string) {}

  async listen(): Promise<ProcessPlace> {
    const server = createServer((request, response) => {
      vouching.check(String(request.headers[VOUCHER_HEADER]), FOLLOWING);
      response.writeHead(200);
      response.write("retry: 1000\n\n");
      const send = (told: { id: string }) =>
        response.write(`id: ${told.id}\ndata: ${JSON.stringify(told)}\n\n`);
      const waitingBytes = () => response.writableLength;
      const rest = { beat: () => {}, waitingBytes, end: () => {}, cut: () => {} };
      const lastId = request.headers["last-event-id"];
      const leave = this.streams.follow(PROCESS, { send, ...rest }, lastId as string | undefined);
      response.once("close", leave);
    });
    this.server = server;
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
    const { port } = server.address() as { port: number };
    return { name: this.name, url: `http://127.0.0.1:${port}` };
  }

  cut(): void {
    this.server?.closeAllConnections();
  }

  close(): void {
    this.cut();
    this.server?.close();
    this.streams.close();
  }
}

let own: EventHub;
let places: ProcessPlace[];
let events: ProcessEvents;
let heard: string[];
const others: OtherProcess[] = [];

async function other(name: string): Promise<OtherProcess> {
  const process = new OtherProcess(name);
  others.push(process);
  places.push(await process.listen());
  return process;
}

beforeEach(() => {
  own = new EventHub();
  places = [];
  heard = [];
  events = new ProcessEvents({ own, places: { name: "a", others: async () => places }, vouching });
  events.all.follow(({ event }) =>
    heard.push(`${event.process} ${event.type} ${event.text ?? ""}`),
  );
});
afterEach(() => {
  events.close();
  for (const process of others.splice(0)) process.close();
});

const alarm = (text: string) => ({ type: "alarm", text }) as const;

test("it hears what happens there once it is followed, and what all tell of one thing but once", async () => {
  const b = await other("b");
  b.events.emit(alarm("before"));
  await events.wanted();
  own.emit({ type: "block", height: 1 });
  b.events.emit({ type: "block", height: 1 });
  b.events.emit(alarm("now"));
  await until(() => heard.length > 1);
  expect(heard).toEqual(["a block ", "b alarm now"]);
});

test("a stream that breaks goes on where it broke, also where the process was away from the list", async () => {
  const b = await other("b");
  await events.wanted();
  b.events.emit(alarm("one"));
  await until(() => heard.length === 1);
  const known = places.splice(0);
  b.cut();
  b.events.emit(alarm("two"));
  await new Promise((wake) => setTimeout(wake, 20));
  places.push(...known);
  await until(() => heard.length > 1);
  expect(heard).toEqual(["b alarm one", "b alarm two"]);
});

test("of a process that comes later all is told, and one that cannot be reached holds nobody up", async () => {
  places.push({ name: "silent" }, { name: "gone", url: "http://127.0.0.1:1" });
  await events.wanted();
  const c = new OtherProcess("c");
  others.push(c);
  c.events.emit(alarm("at its start"));
  places.push(await c.listen());
  await until(() => heard.length > 0);
  expect(heard).toEqual(["c alarm at its start"]);
});

test("of one that answers only when others are heard already it is told that something was missed", async () => {
  places.push({ name: "b", url: "http://127.0.0.1:1" });
  await events.wanted();
  const b = new OtherProcess("b");
  others.push(b);
  b.events.emit(alarm("not heard here"));
  places.splice(0, 1, await b.listen());
  await until(() => heard.length > 0);
  b.events.emit(alarm("now"));
  await until(() => heard.length > 1);
  expect(heard).toEqual(["b missed ", "b alarm now"]);
});
