/** `npm run demo`: a payment lives and settles, on a real Bitcoin node or on a simulated chain. */
import { parseArgs } from "node:util";
import { BitcoindUnavailable, findBitcoind } from "../../gateway/chain/bitcoind/provision.ts";
import { hasSocat } from "../links/cable.ts";
import { whyNoSerialLinks } from "../links/open-link.ts";
import { tellStory } from "./story.ts";
import { Timeline } from "./timeline.ts";
import { World } from "./world.ts";

const HELP = `npm run demo -- [options]

  A gateway and two virtual devices, joined by serial cables, open channels, pay,
  lose a cable and a device, settle, and punish a cheater.

  --chain bitcoind|sim   a real Bitcoin node in regtest (default), or a chain inside
                         the gateway that needs nothing but Node
  --json                 the timeline as JSON lines
  --help

  BITCOIND names a bitcoind to use; else PATH is searched, and on Debian and Ubuntu
  one is unpacked privately. socat makes the serial ports; there it is installed where
  it is missing, as root or by sudo. \`npm run --silent demo -- --json\` prints JSON alone.
`;

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      chain: { type: "string", default: "bitcoind" },
      json: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    process.stdout.write(HELP);
    return 0;
  }
  if (values.chain !== "sim" && values.chain !== "bitcoind") {
    throw new Error(`--chain is bitcoind or sim, not ${values.chain}`);
  }
  const { chain } = values;
  const timeline = new Timeline(values.json);
  let world: World | undefined;
  const stop = (signal: NodeJS.Signals) => {
    timeline.say("note", `${signal}: everything is stopped and removed`);
    process.exitCode = INTERRUPTED;
    if (world) void world.close();
    else process.exit();
  };
  process.on("SIGINT", stop);
  process.on("SIGTERM", stop);
  const noPorts = hasSocat()
    ? await whyNoSerialLinks()
    : "socat is missing, which makes them (Debian: apt install socat)";
  if (noPorts && chain === "bitcoind") throw new Error(`no serial ports: ${noPorts}`);
  if (chain === "bitcoind") findBitcoind();
  timeline.heading("A gateway, a buyer and a vending machine");
  if (noPorts) timeline.say("note", `sockets stand in for serial ports: ${noPorts}`);
  world = new World({
    chain,
    cables: noPorts ? "socket" : "pty",
    onProgress: (line) => timeline.say("chain", line),
    onEvent: ({ from, event, fields }) => {
      if (process.env.DEBUG) process.stderr.write(`${from} ${event} ${JSON.stringify(fields)}\n`);
      if (event === "alarm") timeline.say(from, `! ${fields.text}`);
      if (event === "published" && fields.type === "refused") {
        timeline.say("chain", `refused: ${fields.reason ?? ""}`);
      }
    },
  });
  try {
    await world.start();
    const name = await world.chain<string>("chainName");
    for (const role of ["gateway", "vending", "buyer"] as const) {
      const { nodeId, crypto, store } = world.started[role] ?? {};
      timeline.say(role, `node ${String(nodeId).slice(0, 12)}…, ${crypto}, ${store}`);
    }
    timeline.say("chain", name);
    const result = await tellStory(world, timeline);
    const ok = result.unaccounted === 0 && result.penalties === 1;
    const { seconds } = timeline;
    timeline.heading(ok ? `All of it held, in ${seconds} s.` : "Something is missing.");
    timeline.result({
      result: ok ? "ok" : "failed",
      unaccounted_sat: result.unaccounted,
      pushes: result.pushes,
      htlcs: result.htlcs,
      penalties: result.penalties,
      chain: name,
      seconds,
    });
    return ok ? 0 : 1;
  } finally {
    await world.close();
    process.off("SIGINT", stop);
    process.off("SIGTERM", stop);
  }
}

const INTERRUPTED = 130;

main().then(
  (code) => {
    process.exitCode = code;
  },
  (cause: unknown) => {
    const isStopped = process.exitCode === INTERRUPTED;
    const text = cause instanceof Error ? cause.message : String(cause);
    if (!isStopped) process.stderr.write(`demo: ${text}\n`);
    if (!(cause instanceof BitcoindUnavailable) && process.env.DEBUG && cause instanceof Error) {
      process.stderr.write(`${cause.stack}\n`);
    }
    if (process.argv.includes("--json")) {
      process.stdout.write(
        `${JSON.stringify({ result: "failed", reason: isStopped ? "stopped" : text })}\n`,
      );
    }
    if (!isStopped) process.exitCode = 1;
  },
);
