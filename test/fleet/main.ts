/** `npm run test:fleet`: two gateways, three devices and all they stand on live through a day on which everything is killed once; the sums must agree. */
import { parseArgs } from "node:util";
import { whyNoVirtualRadio } from "../../host-sim/ble/virtual-radio.ts";
import { whyNoSerialLinks } from "../../host-sim/links/open-link.ts";
import { Day, FUNDED_SAT, type Killed } from "./day.ts";
import { type Books, closeBooks, settleShop } from "./sums.ts";
import { Timeline } from "./timeline.ts";
import type { Traffic } from "./traffic.ts";
import { World } from "./world.ts";

const USUAL_SEED = "1";
const HELP = `usage: npm run test:fleet -- [options]

  --seed N   the order and the moments of the kills (PICOBOLT_FLEET_SEED, default ${USUAL_SEED})
  --only X   kills only what is called so: coffee, tea, till, gateway a, mosquitto, …
  --json     JSON lines; the last one is the result
  --keep     leave the folder with all logs, also where the sums agree
`;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      seed: { type: "string", default: process.env.PICOBOLT_FLEET_SEED || USUAL_SEED },
      only: { type: "string", default: "" },
      json: { type: "boolean", default: false },
      keep: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    process.stdout.write(HELP);
    return;
  }
  const seed = Number(values.seed);
  if (!Number.isSafeInteger(seed) || seed < 0) throw new Error(`--seed ${values.seed}: a number`);
  const missing = whyNoVirtualRadio() ?? (await whyNoSerialLinks());
  if (missing) throw new Error(missing);
  const timeline = new Timeline(values.json);
  timeline.heading(`A day of a fleet, seed ${seed}`);
  const world = new World(timeline);
  timeline.result({ seed, folder: world.folder });
  const end = async () => {
    await world.close();
    world.remove();
    process.exit(130);
  };
  process.once("SIGINT", () => void end());
  process.once("SIGTERM", () => void end());
  let isGood = false;
  try {
    isGood = await live(world, timeline, { seed, only: values.only });
  } finally {
    await world.close();
    if (isGood && !values.keep) world.remove();
    else timeline.say("fleet", `logs and stores are in ${world.folder}`);
  }
  process.exitCode = isGood ? 0 : 1;
}

interface Plan {
  readonly seed: number;
  readonly only: string;
}

async function live(world: World, timeline: Timeline, { seed, only }: Plan): Promise<boolean> {
  await world.start();
  const day = new Day(world, timeline, seed);
  await day.morning();
  await day.noon(only);
  await day.evening();
  for (const shop of world.shops) await settleShop(world, day.traffic, shop);
  day.night();
  const books = await closeBooks(world, day.traffic);
  show(timeline, books, day);
  const { problems } = books;
  timeline.result({
    result: problems.length === 0 ? "ok" : "failed",
    seed,
    seconds: timeline.seconds,
    killed: day.killed,
    ...books,
    funded_sat: FUNDED_SAT,
  });
  return problems.length === 0;
}

function show(timeline: Timeline, { payments, machines, money, problems }: Books, day: Day): void {
  const { traffic, killed } = day;
  timeline.heading("The books");
  timeline.table([
    ["payments", "asked for", "sent", "received", "msat"],
    ...payments.map(({ what, asked, sent, received, msat }) => [what, asked, sent, received, msat]),
    ...pushes(traffic),
  ]);
  timeline.heading("");
  timeline.table([
    ["machine", "purchases", "delivered", "refunded", "earned sat", "fell", "lives"],
    ...machines.map((one) => Object.values(one) as (string | number)[]),
  ]);
  timeline.heading("");
  const sum = money.reduce((all, { sat }) => all + sat, 0);
  timeline.table([
    ["money", "sat"],
    ...money.map(({ what, sat }) => [what, sat]),
    ["together", sum],
    ["funded", FUNDED_SAT],
    ["not accounted for", FUNDED_SAT - sum],
  ]);
  timeline.heading("");
  timeline.table([
    ["killed", "down ms", "all well after s"],
    ...killed.map(({ name, downMs, backSeconds }: Killed) => [name, downMs, backSeconds]),
  ]);
  for (const problem of problems) timeline.say("books", problem);
  if (problems.length === 0) timeline.heading(`The sums agree; ${timeline.seconds} s.`);
}

function pushes({ pushed, gifts }: Traffic): (string | number)[][] {
  const sum = (name: string) => pushed.filter(({ from }) => from.name === name);
  const row = (what: string, count: number, msat: number) => [what, count, count, count, msat];
  const rows = ["a", "b"].map((name) => {
    const all = sum(name);
    const msat = all.reduce((total, one) => total + one.msat, 0);
    return row(`pushes of ${name}`, all.length, msat);
  });
  return [...rows, row("gifts that came back", gifts, 0)];
}

main().catch((cause: unknown) => {
  process.stderr.write(`${cause instanceof Error ? (cause.stack ?? cause.message) : cause}\n`);
  process.exit(1);
});
