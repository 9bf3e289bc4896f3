/** `npm run load`: thousands of devices on one gateway, paying; prints what it takes, and that nothing was lost or doubled. */
import { mkdirSync } from "node:fs";
import { parseArgs } from "node:util";
import { Load, type LoadOptions } from "./load.ts";
import { jsonOf, tableOf } from "./report.ts";
import { messageOf, Shown } from "./shown.ts";
import { TwoProcesses } from "./two-processes.ts";

const HELP = `npm run load -- [options]

  The gateway's program with SQLite on a bitcoind in regtest, mosquitto, and devices:
  real nodes with a channel each. They connect, stay idle, are away while the gateway
  restarts, and pay: to the gateway, from it, and through it to each other. At the end
  the records of both sides are compared.

  --devices <n>     10000
  --rate <n>        payments begun each second: 200
  --minutes <n>     of payments: 5
  --part <name>     one: the gateway alone on SQLite; two: a second process on PostgreSQL
                    beside it, and one of them killed in the midst; both: one after the other
  --profile <dir>   writes a heap snapshot and a CPU profile of the gateway there
  --logs <dir>      the gateways write there all that they have to say
  --json            one object
  --help
`;

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      devices: { type: "string", default: "10000" },
      rate: { type: "string", default: "200" },
      minutes: { type: "string", default: "5" },
      part: { type: "string", default: "both" },
      profile: { type: "string" },
      logs: { type: "string" },
      json: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    process.stdout.write(HELP);
    return 0;
  }
  const shown = new Shown();
  const { profile, logs } = values;
  for (const folder of [profile, logs]) if (folder) mkdirSync(folder, { recursive: true });
  const { part } = values;
  if (part !== "one" && part !== "two" && part !== "both") {
    throw new Error(`--part ${part}: say one, two or both`);
  }
  const options: LoadOptions = {
    devices: positive("--devices", values.devices, 2),
    perSecond: positive("--rate", values.rate, 0.1),
    seconds: positive("--minutes", values.minutes, 0.01) * 60,
    ...(profile !== undefined && { profileFolder: profile }),
    ...(logs !== undefined && { logsFolder: logs }),
    step: (name) => shown.step(name),
    note: (text) => shown.note(text),
  };
  const one = part === "two" ? undefined : await finished(new Load(options), shown);
  const two = part === "one" ? undefined : await finished(new TwoProcesses(options), shown);
  const text = values.json ? `${JSON.stringify(jsonOf(one, two))}\n` : tableOf(one, two);
  process.stdout.write(text);
  const audits = [one?.audit, two?.audit];
  const isWrong = audits.some((a) => a && a.lost + a.doubled + a.disagreeing > 0);
  return isWrong ? 1 : 0;
}

interface Part<T> {
  readonly troubles: string;
  run(): Promise<T>;
  close(): Promise<void>;
}

/** Whatever ends it, nothing of it is left. */
async function finished<T>(part: Part<T>, shown: Shown): Promise<T> {
  const stop = (signal: NodeJS.Signals) => {
    shown.note(`${signal}: everything is stopped and removed`);
    void part.close().finally(() => process.exit(INTERRUPTED));
  };
  process.on("SIGINT", stop);
  process.on("SIGTERM", stop);
  try {
    return await part.run();
  } catch (cause) {
    shown.end();
    process.stderr.write(`${part.troubles}\n`);
    throw cause;
  } finally {
    shown.end();
    await part.close();
    process.off("SIGINT", stop);
    process.off("SIGTERM", stop);
  }
}

const INTERRUPTED = 130;

function positive(name: string, text: string, least: number): number {
  const value = Number(text);
  if (!(value >= least)) throw new Error(`${name} ${text}: say a number from ${least} on`);
  return value;
}

main().then(
  (code) => process.exit(code),
  (cause: unknown) => {
    process.stderr.write(`npm run load: ${messageOf(cause)}\n`);
    process.exit(1);
  },
);
