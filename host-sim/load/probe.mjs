/** Loaded before the gateway's program, which knows nothing of it: tells its parent what it takes, and makes profiles when asked. */
import { writeFileSync } from "node:fs";
import { Session } from "node:inspector/promises";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { writeHeapSnapshot } from "node:v8";

const profiler = new Session();
const delay = monitorEventLoopDelay({ resolution: 5 });

const answers = {
  memory: () => {
    for (let i = 0; i < 3; i++) globalThis.gc?.();
    return { ...process.memoryUsage(), cpu: process.cpuUsage() };
  },
  usage: () => ({ ...process.memoryUsage(), cpu: process.cpuUsage(), delayMs: delay.mean / 1e6 }),
  snapshot: (path) => writeHeapSnapshot(path),
  profile: async () => {
    profiler.connect();
    await profiler.post("Profiler.enable");
    await profiler.post("Profiler.start");
  },
  profiled: async (path) => {
    const { profile } = await profiler.post("Profiler.stop");
    profiler.disconnect();
    writeFileSync(path, JSON.stringify(profile));
    return path;
  },
};

process.on("message", async ({ id, ask, word }) => {
  try {
    process.send({ id, answer: await answers[ask](word) });
  } catch (cause) {
    process.send({ id, failure: String(cause) });
  }
});
delay.enable();
process.channel?.unref();
