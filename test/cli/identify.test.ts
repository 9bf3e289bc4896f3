/** A program that was held is late itself: a card that came in time is read, whatever the clock says afterwards. */
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { closeLink, openNamed } from "../../cli/links/endpoint.ts";
import { identify } from "../../cli/links/identify.ts";
import { publicKey } from "../../core/primitives/brands.ts";
import { concatAll } from "../../core/primitives/bytes.ts";
import { encodeFrame } from "../../core/transport/framing.ts";
import { encodeCard } from "../../core/transport/identity.ts";
import { Kind } from "../../core/transport/packets.ts";
import { PATIENT } from "../support/patience.ts";

const TIMEOUT_MS = 5_000;
const HELD_MS = 6_000;

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "picobolt-identify-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

test("held until long after its time, it reads the card that is there before it gives up", async () => {
  const port = join(folder, "tty");
  const card = {
    protocolVersion: 2,
    nodeId: publicKey(Uint8Array.of(2, ...new Uint8Array(32).fill(7))),
    ...{ name: "coffee", model: "virtual", firmwareVersion: "1", claimed: true },
  };
  const frame = encodeFrame([Uint8Array.of(Kind.card), encodeCard(card)]);
  writeFileSync(join(folder, "card"), concatAll([frame]));
  const answer = `head -c 1 > ${folder}/asked && sleep 0.3 && cat ${folder}/card && sleep 60`;
  const board = spawn("socat", [`pty,raw,echo=0,link=${port}`, `system:"${answer}"`]);
  await expect.poll(() => existsSync(port), PATIENT).toBe(true);
  const link = await openNamed(`serial:${port}`);
  const asked = identify(link, TIMEOUT_MS);
  const asks = () => existsSync(join(folder, "asked")) && statSync(join(folder, "asked")).size;
  await expect.poll(asks, PATIENT).toBe(1);
  // Where the event loop looks at its timers next, and at what has come after them.
  setImmediate(() => hold(HELD_MS));
  expect(await asked).toMatchObject({ name: "coffee", claimed: true });
  await closeLink(link);
  board.kill();
});

/** As a busy computer does to a process. */
function hold(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}
