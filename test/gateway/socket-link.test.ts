/** What waits at a socket whose reader stands still: all that a channel may have under way, and not without end (rule `bounded`). */
import type { Socket } from "node:net";
import { Duplex } from "node:stream";
import { expect, test } from "vitest";
import { pushRoom } from "../../core/channel/limits.ts";
import { unconnected } from "../../core/node/greeting.ts";
import { MAX_WAITING_BYTES, SocketLink } from "../../gateway/links/socket-link.ts";

const HOST = 65_535;
const HOSTS = { ...unconnected(HOST), remoteMaxMessageBytes: HOST };
const FRAME = new Uint8Array(1_000).fill(7);
const frames = (bytes: number) => Math.ceil(bytes / FRAME.length);

test("all that may be under way waits until it is read, with an eighth for heads and tags", async () => {
  const socket = new StuckSocket();
  const link = new SocketLink("tcp:stuck", socket as unknown as Socket);
  const count = frames(pushRoom(HOSTS) * 1.125);
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
