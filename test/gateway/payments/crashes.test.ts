/** The process of payer, gateway or payee dies at each durable step of a payment, before or after it is written: paid once, fees right, nothing stuck. */
import { afterAll, describe, expect, it } from "vitest";
import type { CommitOutcome, Store, StoreCommit } from "../../../core/ports/store.ts";
import type { Ledger, Payment, StoredInvoice } from "../../../gateway/payments/ledger.ts";
import { MemoryLedger } from "../../../gateway/payments/memory-ledger.ts";
import { startSimLab } from "../../../host-sim/chain/sim-lab.ts";
import { BackupStore } from "../../support/chain-node.ts";
import { crypto } from "../../support/node-pair.ts";
import { type Party, PaymentLab } from "../../support/payment-lab.ts";

/** The process is gone before or after the write; or the disk refuses that one write, and all goes on. */
type Fault = "dies-before" | "dies-after" | "refuses";

/** One process' store and ledger, which fail together at the planned write, and answer nothing after it. */
class Disk {
  readonly store: Store;
  readonly ledger: Ledger;
  writes = 0;
  isHit = false;
  isDead = false;
  crashAt: number | undefined;
  fault: Fault = "dies-before";
  /** Rows that were refused: the port promises them with the next write. */
  private readonly owed: (() => void)[] = [];
  /** Commits take their time, as a database's do. */
  isSlow = false;

  constructor(
    private readonly innerStore: Store = new BackupStore(),
    private readonly innerLedger: Ledger = new MemoryLedger(),
  ) {
    this.store = this.faultyStore();
    this.ledger = this.faultyLedger();
  }

  /** What the next process finds. */
  survivor(): Disk {
    const disk = new Disk(this.innerStore, this.innerLedger);
    disk.isSlow = this.isSlow;
    return disk;
  }

  private write<T>(work: () => T): T {
    if (this.isDead) throw new Error("the process is gone");
    const { fault } = this;
    const isIt = this.writes++ === this.crashAt;
    if (!isIt) for (const owed of this.owed.splice(0)) owed();
    this.isDead = isIt && fault !== "refuses";
    if (isIt) this.isHit = true;
    if (isIt && fault !== "dies-after") throw new Error(`the disk ${fault} the write`);
    const done = work();
    if (isIt) throw new Error("died after the write");
    return done;
  }

  private faultyStore(): Store {
    const { innerStore: inner } = this;
    return {
      name: "planned to fail",
      load: () => inner.load(),
      commit: (change: StoreCommit) => {
        const work = () => this.write((): CommitOutcome => inner.commit(change) as CommitOutcome);
        return this.isSlow ? new Promise((wake) => setImmediate(wake)).then(work) : work();
      },
      isDebited: (reference) => inner.isDebited(reference),
      isCredited: (reference) => inner.isCredited(reference),
      getValue: (key) => inner.getValue(key),
      setValue: (key, value) => (this.isDead ? undefined : inner.setValue(key, value)),
      close: () => {},
    };
  }

  private faultyLedger(): Ledger {
    const { innerLedger: inner } = this;
    const written = <T>(work: () => T): T => {
      const refused = this.isHit;
      try {
        return this.write(work);
      } catch (cause) {
        if (!this.isDead && !refused && this.isHit) this.owed.push(() => void work());
        throw cause;
      }
    };
    return {
      put: async (payment: Payment) => written(() => void inner.put(payment)),
      claim: async (payment: Payment) => written(() => inner.claim(payment)),
      orphans: (isStart) => inner.orphans(isStart),
      get: (kind, hash) => inner.get(kind, hash),
      pending: () => inner.pending(),
      list: (filter) => inner.list(filter),
      totals: (filter) => inner.totals(filter),
      putInvoice: (invoice: StoredInvoice) => inner.putInvoice(invoice),
      invoice: (hash) => inner.invoice(hash),
      invoices: (options) => inner.invoices(options),
    };
  }
}

const AMOUNT = 10_000_000;
const FEE = 1_000 + (AMOUNT * 2_500) / 1_000_000;
const HALF = 500_000_000;

type Name = "alice" | "gateway" | "bob";

class CrashLab {
  private readonly disks: Record<Name, Disk> = {
    alice: new Disk(),
    gateway: new Disk(),
    bob: new Disk(),
  };

  constructor(readonly lab: PaymentLab) {}

  static use(name: Name, lab: PaymentLab, disk: Disk): void {
    lab[name].store = disk.store;
    lab[name].ledger = disk.ledger;
  }

  static async make(title: string, isSlow = false): Promise<CrashLab> {
    let made: CrashLab | undefined;
    const chain = startSimLab(crypto);
    const lab = await PaymentLab.make(chain, title, (fresh) => {
      made = new CrashLab(fresh);
      for (const name of ["alice", "gateway", "bob"] as const) {
        made.disks[name].isSlow = isSlow;
        CrashLab.use(name, fresh, made.disks[name]);
      }
    });
    if (!made) throw new Error("nothing was made");
    Object.assign(made, { lab });
    return made;
  }

  /** A payment during which `name` dies at its write `at`; false where there is no such write. */
  async pay(name: Name, at: number, fault: Fault, isFailing = false): Promise<boolean> {
    const { lab } = this;
    const disk = this.disks[name];
    const invoice = await lab.invoice(AMOUNT);
    const wrong = isFailing ? { paymentSecret: new Uint8Array(32).fill(1) } : {};
    disk.writes = 0;
    disk.isHit = false;
    disk.fault = fault;
    disk.crashAt = at;
    const target = lab.target(invoice, wrong);
    const paying = lab.alice.bank.payer.pay(target).catch(() => undefined);
    await lab.flow();
    await paying;
    disk.crashAt = undefined;
    if (disk.isDead) await this.revive(name, disk);
    else if (disk.isHit) await this.reconnect(); // a channel that halts drops its link
    // The payer's program asks again, as whoever waits for an answer does.
    await lab.alice.bank.payer.pay(target);
    await lab.flow();
    await lab.pass(3);
    return disk.isHit;
  }

  private async reconnect(): Promise<void> {
    const { lab } = this;
    for (const other of [lab.alice, lab.bob]) {
      lab.disconnect(other);
      lab.connect(other);
    }
    await lab.flow();
  }

  private async revive(name: Name, disk: Disk): Promise<void> {
    const { lab } = this;
    const party: Party = lab[name];
    await lab.stop(party);
    this.disks[name] = disk.survivor();
    CrashLab.use(name, lab, this.disks[name]);
    await party.start();
    for (const other of [lab.alice, lab.bob]) {
      if (name === "gateway" || other === party) lab.connect(other);
    }
    await lab.flow();
  }

  async expectPaid(times: number): Promise<void> {
    const { alice, bob, gateway } = this.lab;
    const moved = times * AMOUNT;
    const fees = times * FEE;
    expect([alice.balance(gateway), bob.balance(gateway)]).toEqual([
      HALF - moved - fees,
      HALF + moved,
    ]);
    expect([gateway.balance(alice), gateway.balance(bob)]).toEqual([
      HALF + moved + fees,
      HALF - moved,
    ]);
    for (const party of this.lab.parties) expect(await party.ledger.pending()).toEqual([]);
    const sum = { count: times, amountMsat: moved };
    const of = (party: Party) => party.ledger.totals({ status: "succeeded" });
    expect(await of(alice)).toEqual({ ...sum, feeMsat: fees });
    expect(await of(gateway)).toEqual({ ...sum, feeMsat: fees });
    expect(await of(bob)).toEqual({ ...sum, feeMsat: 0 });
    for (const party of this.lab.parties) {
      expect(party.events("violation")).toEqual([]);
      expect(party.events("forceClosing")).toEqual([]);
    }
  }
}

describe.each(["gateway", "alice", "bob"] as const)("%s's disk, at each write", (name) => {
  const labs: CrashLab[] = [];
  afterAll(async () => {
    for (const { lab } of labs) {
      await lab.close();
      await lab.chain.close();
    }
  });

  const all: readonly [Fault, string][] = [
    ["dies-before", "at once"],
    ["dies-after", "slowly"],
    ["refuses", "at once"],
    ["dies-before", "slowly"],
    ["dies-after", "at once"],
    ["refuses", "slowly"],
  ];
  it.each(name === "gateway" ? all : all.slice(0, 3))(
    "%s it (commits %s): paid once, and the ledgers agree (rules forward-written-first, preimage-never-forgotten)",
    async (fault, speed) => {
      const crash = await CrashLab.make(`${name} ${fault} ${speed}`, speed === "slowly");
      labs.push(crash);
      let at = 0;
      while (await crash.pay(name, at, fault)) await crash.expectPaid(++at);
      expect(at).toBeGreaterThan(5);
    },
  );

  it("of a payment that fails: nothing moves, nothing is stuck (rule failed-when-never-paid)", async () => {
    const crash = await CrashLab.make(`${name} failing`);
    labs.push(crash);
    let at = 0;
    while (await crash.pay(name, at, at % 2 === 0 ? "dies-before" : "dies-after", true)) {
      at++;
      await crash.expectPaid(0);
    }
    expect(at).toBeGreaterThan(name === "bob" ? 3 : 5);
  });
});
