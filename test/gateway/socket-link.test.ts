/** What waits at a socket whose reader stands still: all that a channel may have under way, and not without end (rule `bounded`). */
import type { Socket } from "node:net";
import { Duplex } from "node:stream";
import { expect, test } from "vitest";
import { pushRoom } from "../../core/channel/limits.ts";
import { MAX_WAITING_BYTES, SocketLink } from "../../gateway/links/socket-link.ts";

const HOST = 65_535;
const FRAME = new Uint8Array(1_000).fill(7);
const frames = (bytes: number) => Math.ceil(bytes / FRAME.length);

test("all that may be under way waits until it is read, with an eighth for heads and tags", async () => {
  const socket = new StuckSocket();
  const link = new SocketLink("tcp:stuck", socket as unknown as Socket);
  const count = frames(pushRoom(HOST) * 1.125);
  for (let i = 0; i < count; i++) link.send(FRAME);
  await socket.goOn();
  expect(socket.arrived).toBe(count * FRAME.length);
});

test("what a reader that never reads is sent does not fill the memory", () => {
  const socket = new StuckSocket();
  const link = new SocketLink("tcp:stuck", socket as unknown as Socket);
  for (let i = 0; i < 4 * frames(MAX_WAITING_BYTES); i++) link.send(FRAME);
  expect(socket.writableLength).toBeLessThanOrEqual(MAX_WAITING_BYTES + FRAME.length);
});

test("many readers that never read: together they are kept little, and one that reads is kept all again", async () => {
  const stuck = Array.from({ length: 300 }, () => new StuckSocket());
  const together = { bytes: 0 };
  const linkOf = (socket: StuckSocket) =>
    new SocketLink("tcp:stuck", socket as unknown as Socket, together);
  const links = stuck.map(linkOf);
  for (const link of links) {
    for (let i = 0; i < frames(MAX_WAITING_BYTES); i++) link.send(FRAME);
  }
  const sum = () => stuck.reduce((all, { writableLength }) => all + writableLength, 0);
  expect(sum()).toBeLessThan(90 * 1024 * 1024);
  for (const socket of stuck) await socket.goOn();
  const last = new StuckSocket();
  const link = linkOf(last);
  for (let i = 0; i < frames(MAX_WAITING_BYTES); i++) link.send(FRAME);
  expect(last.writableLength).toBeGreaterThan(MAX_WAITING_BYTES - 2 * FRAME.length);
});

/** Takes the first piece and nothing more, until it goes on. */
class StuckSocket extends Duplex {
  arrived = 0;
  private isStuck = true;
  private release = () => {};

  override _read(): void {}

  override _write(chunk: Uint8Array, _: string, done: () => void): void {
    this.arrived += chunk.length;
    if (this.isStuck) this.release = done;
    else done();
  }

  async goOn(): Promise<void> {
    this.isStuck = false;
    const written = new Promise<void>((done) => this.end(done));
    this.release();
    await written;
  }
}
