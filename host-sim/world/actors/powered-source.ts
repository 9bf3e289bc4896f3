/** The simulated chain as one run of a node sees it: blocks wait while they are held back, and nothing is heard or sent without power. */
import type { BlockEvent, ChainListener, ChainSource } from "../../../core/ports/chain.ts";
import type { SimSource } from "../../chain/sim-source.ts";
import { never, type Power } from "../power.ts";

export class BlockGate {
  private waiting: (() => void)[] = [];
  private closed = false;

  get isClosed(): boolean {
    return this.closed;
  }

  close(): void {
    this.closed = true;
  }

  open(): void {
    this.closed = false;
    for (const wake of this.waiting.splice(0)) wake();
  }

  async passed(): Promise<void> {
    while (this.closed) await new Promise<void>((wake) => this.waiting.push(wake));
  }
}

export function poweredSource(inner: SimSource, power: Power, gate: BlockGate): ChainSource {
  const whilePowered = <T>(ask: () => Promise<T>): Promise<T> => (power.isOn ? ask() : never<T>());
  const effect = <T>(ask: () => Promise<T>): Promise<T> => (power.spend() ? ask() : never<T>());
  const heard = (listener: ChainListener): ChainListener => ({
    blockConnected: (block: BlockEvent) =>
      gate.passed().then(() => (power.isOn ? listener.blockConnected(block) : never<void>())),
    blockDisconnected: (height) =>
      gate.passed().then(() => (power.isOn ? listener.blockDisconnected(height) : never<void>())),
  });
  return {
    name: inner.name,
    genesisHash: inner.genesisHash,
    subscribe: (listener, from) => inner.subscribe(heard(listener), from),
    replay: (heights, each) => whilePowered(() => inner.replay(heights, each)),
    watchOutpoint: (outpoint) => inner.watchOutpoint(outpoint),
    watchScript: (script) => inner.watchScript(script),
    watchTransactions: (concerns) => inner.watchTransactions(concerns),
    tip: () => whilePowered(() => inner.tip()),
    headers: (from, count) => whilePowered(() => inner.headers(from, count)),
    transaction: (id, at) => whilePowered(() => inner.transaction(id, at)),
    unspentOutput: (outpoint) => whilePowered(() => inner.unspentOutput(outpoint)),
    feeratePerKw: (urgency) => whilePowered(() => inner.feeratePerKw(urgency)),
    broadcast: (raw) => effect(() => inner.broadcast(raw)),
    broadcastPackage: (raws) => effect(() => inner.broadcastPackage(raws)),
    close: () => inner.close(),
  };
}
