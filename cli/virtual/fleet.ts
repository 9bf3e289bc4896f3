/** A virtual fleet from nothing to its books: machines start, are claimed and sold from, and the sums are compared. */
import { join } from "node:path";
import {
  fleetResult,
  fleetTable,
  type MachineBooks,
  problemsOf,
} from "../../host-sim/virtual/fleet-summary.ts";
import { type Machine, VirtualWorld } from "../../host-sim/virtual/virtual-world.ts";
import type { Context } from "../command.ts";
import { Failure, messageOf } from "../failure.ts";
import { Account, Buyer } from "./buyer.ts";
import { fleetApp, shoppingOf } from "./fleet-apps.ts";
import { keep } from "./keep.ts";
import { FleetOwner } from "./owner.ts";
import type { FleetPlan } from "./plan.ts";

/** As many programs start at once. */
const STARTING = 4;
/** Visits that came to nothing until a machine is given up. */
const MAX_FAILED_VISITS = 2;

export async function runFleet(context: Context, plan: FleetPlan): Promise<void> {
  const { out, atEnd } = context;
  const startedMs = performance.now();
  const world = new VirtualWorld({
    link: plan.link,
    broker: plan.broker,
    deviceWords: plan.deviceWords,
    onTrouble: (text) => out.note(text),
  });
  atEnd(() => world.close());
  const home = join(world.folder, "home");
  await world.start();
  const owner = new FleetOwner(world, home, fleetApp(plan.app));
  await startMachines(context, world, plan);
  await claimAll(context, { world, owner, plan });
  const accounts = world.machines.map((machine) => new Account(machine));
  await sell(context, { world, home, owner, plan, accounts });
  const problems = await closeBooks(context, { accounts, owner, plan, startedMs });
  if (plan.keep) await keep(context, world, home);
  if (problems > 0) {
    throw new Failure(`the books do not agree: ${problems} problem(s), named above`);
  }
}

async function startMachines({ out }: Context, world: VirtualWorld, plan: FleetPlan) {
  let started = 0;
  const waiting = Array.from({ length: plan.devices }, (_, i) => nameOf(plan, i));
  const starter = async () => {
    for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) {
      await world.addMachine(name);
      out.progress("starting machines", ++started, plan.devices);
    }
  };
  await Promise.all(Array.from({ length: STARTING }, starter));
  out.endBar();
  world.machines.sort((a, b) => (a.device.name < b.device.name ? -1 : 1));
}

interface Claiming {
  readonly world: VirtualWorld;
  readonly owner: FleetOwner;
  readonly plan: FleetPlan;
}

async function claimAll({ out }: Context, { world, owner, plan }: Claiming): Promise<void> {
  let claimed = 0;
  for (const machine of world.machines) {
    await owner.claim(machine);
    out.progress("claiming them", ++claimed, plan.devices);
  }
  out.endBar();
}

interface Selling extends Claiming {
  readonly home: string;
  readonly accounts: readonly Account[];
}

/** Where something jammed the owner comes by, and the buyer comes again when it has been everywhere else. */
async function sell(context: Context, selling: Selling): Promise<void> {
  const { out } = context;
  const { world, home, owner, plan, accounts } = selling;
  const buyer = new Buyer({
    world,
    home,
    out,
    shopping: shoppingOf(plan.app, plan.jamEvery),
    onBought: ({ machine }, bought) => tellBought(context, machine, bought),
  });
  context.atEnd(() => buyer.leave());
  const failures = new Map<Account, number>();
  const queue = [...accounts];
  for (let account = queue.shift(); account; account = queue.shift()) {
    const { device } = account.machine;
    try {
      await buyer.visit(account, plan.purchases);
      if (account.purchases < plan.purchases) await owner.clear(account.machine);
    } catch (cause) {
      if (context.signal.aborted) return;
      out.note(`${device.name}: ${messageOf(cause)}`);
      failures.set(account, (failures.get(account) ?? 0) + 1);
    }
    const isGivenUp = (failures.get(account) ?? 0) >= MAX_FAILED_VISITS;
    if (account.purchases < plan.purchases && !isGivenUp) queue.push(account);
  }
}

function tellBought(
  { out }: Context,
  { device }: Machine,
  { what, delivered, note, keptMsat }: Parameters<Buyer["options"]["onBought"]>[1],
): void {
  const words = delivered ? "delivered" : `money back (${note})`;
  out.note(`${device.name}: ${what}: ${words}`);
  out.result({ machine: device.name, product: what, delivered, kept_msat: keptMsat, note });
}

interface Closing {
  readonly accounts: readonly Account[];
  readonly owner: FleetOwner;
  readonly plan: FleetPlan;
  readonly startedMs: number;
}

/** Says how many problems there are. */
async function closeBooks(context: Context, closing: Closing): Promise<number> {
  const { out } = context;
  if (closing.plan.purchases === 0) return 0;
  const books = await booksOf(context, closing);
  const problems = problemsOf(books);
  out.text(fleetTable(books));
  for (const one of books) out.result(one);
  for (const problem of problems) out.note(problem);
  if (problems.length === 0) out.text("every purchase was delivered or refunded; the sums agree");
  const seconds = Math.round((performance.now() - closing.startedMs) / 100) / 10;
  out.result({ ...fleetResult(books, seconds), problems });
  return problems.length;
}

async function booksOf(
  { out }: Context,
  { accounts, owner, plan }: Closing,
): Promise<readonly MachineBooks[]> {
  const books: MachineBooks[] = [];
  for (const { machine, purchases, delivered, refunded, keptMsat, ledger } of accounts) {
    const { paidMsat, refundedMsat } = ledger;
    const { name, fallen } = machine.device;
    const earnedMsat = await owner.earned(machine).catch((cause: unknown) => {
      out.note(`${name}: what it earned is not known (${messageOf(cause)})`);
      return 0;
    });
    const owedMsat = paidMsat - refundedMsat - keptMsat;
    const money = { paidMsat, refundedMsat, owedMsat, earnedMsat };
    const mechanics = plan.app === "vending" ? { fallen } : {};
    const wanted = plan.purchases;
    books.push({ name, purchases, wanted, delivered, refunded, ...money, ...mechanics });
    out.progress("reading the books", books.length, accounts.length);
  }
  out.endBar();
  return books;
}

function nameOf({ app, devices }: FleetPlan, index: number): string {
  return `${app}-${String(index + 1).padStart(String(devices).length, "0")}`;
}
