/** The driver of the XS worker: replies, meters, errors and deaths. */
import { afterEach, describe, expect, test } from "vitest";
import { encodeNetstring, NetstringReader } from "../../host-sim/xs/netstring.ts";
import { XsScriptError, XsWorker, XsWorkerDeath } from "../../host-sim/xs/worker.ts";

const bytes = (text: string) => Buffer.from(text, "latin1");
const text = (data: Uint8Array) => Buffer.from(data).toString("latin1");

describe("netstrings", () => {
  test("survive any cutting of the stream", () => {
    const bodies = ["", "a", "x".repeat(300), "1:,"];
    const stream = Buffer.concat(bodies.map((body) => encodeNetstring(bytes(body))));
    for (const size of [1, 2, 3, 7, stream.length]) {
      const reader = new NetstringReader();
      const seen: string[] = [];
      for (let at = 0; at < stream.length; at += size) {
        seen.push(...reader.push(stream.subarray(at, at + size)).map(text));
      }
      expect(seen).toEqual(bodies);
    }
  });

  test.each(["x", "01:a,", "1:ab", ":,", "9999999999", "999999999:"])("refuse %j", (stream) => {
    expect(() => new NetstringReader().push(bytes(`${stream}      `))).toThrow();
  });
});

describe("a worker", () => {
  const workers: XsWorker[] = [];
  async function start(...options: Parameters<typeof XsWorker.start>): Promise<XsWorker> {
    const worker = await XsWorker.start(...options);
    workers.push(worker);
    return worker;
  }
  afterEach(async () => {
    await Promise.all(workers.splice(0).map((worker) => worker.close()));
  });

  test("evaluates scripts, serves commands in their order and meters them exactly", async () => {
    const worker = await start();
    await worker.evaluate("let calls = 0; function handleCommand(b) { calls++; return b; }");
    const replies = await Promise.all(["one", "two", "three"].map((w) => worker.command(bytes(w))));
    expect(replies.map((reply) => text(reply.bytes))).toEqual(["one", "two", "three"]);
    expect(replies[0]?.meter.compute).toBeGreaterThan(0);
    expect(replies[2]?.meter.compute).toBe(replies[1]?.meter.compute);
  });

  test("returns what a promise came to", async () => {
    const worker = await start();
    await worker.evaluate(
      "handleCommand = (b) => { const box = {}; Promise.resolve(b).then((v) => { box.result = v; }); return box; }",
    );
    expect(text((await worker.command(bytes("later"))).bytes)).toBe("later");
  });

  test("asks its host and waits for the answer", async () => {
    const onIssue = async (question: Uint8Array) => bytes(text(question).toUpperCase());
    const worker = await start({ onIssue });
    await worker.evaluate("handleCommand = (b) => issueCommand(b)");
    expect(text((await worker.command(bytes("hello"))).bytes)).toBe("HELLO");
  });

  test("reports a script's error and lives on", async () => {
    const worker = await start();
    const failing = worker.evaluate("throw new RangeError('too far')");
    await expect(failing).rejects.toThrow(new XsScriptError("RangeError: too far"));
    await expect(worker.evaluate("1 + 1")).resolves.toBeDefined();
  });

  test("that is killed fails the delivery under way and all later ones", async () => {
    const worker = await start();
    const running = worker.evaluate("for (;;);");
    process.kill(worker.processId as number, "SIGKILL");
    await expect(running).rejects.toThrow(/SIGKILL/);
    await expect(worker.evaluate("1")).rejects.toThrow(XsWorkerDeath);
  });

  test("that hangs is ended", async () => {
    const worker = await start({ timeoutMs: 200 });
    await expect(worker.evaluate("for (;;);")).rejects.toThrow(/no answer within 200 ms/);
  });

  test("that computes beyond its limit says so", async () => {
    const worker = await start({ computeLimit: 100_000 });
    await expect(worker.evaluate("for (;;);")).rejects.toThrow(/compute limit exceeded/);
  });

  test("that does not exist is an error with its cause", async () => {
    const worker = await start({ executable: "/nonexistent/xsnap-worker" });
    await expect(worker.evaluate("1")).rejects.toThrow(/could not be started/);
  });
});
