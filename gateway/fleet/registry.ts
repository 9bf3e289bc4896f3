/** The gateway's devices, all in memory and each change that matters in the store. */
import type { FleetStore } from "./fleet-store.ts";
import type { FleetDevice } from "./fleet-types.ts";

/** Times and counters that changed alone are written so often. */
const WRITE_EVERY_SECONDS = 3_600;
export const MAX_DEVICES = 100_000;

export class Registry {
  private readonly devices = new Map<string, FleetDevice>();
  private readonly writtenAt = new Map<string, number>();

  private constructor(
    private readonly store: FleetStore,
    private readonly nowSeconds: () => number,
  ) {}

  static async load(store: FleetStore, nowSeconds: () => number): Promise<Registry> {
    const registry = new Registry(store, nowSeconds);
    for (const device of await store.devices()) registry.devices.set(device.nodeId, device);
    return registry;
  }

  get size(): number {
    return this.devices.size;
  }

  get(nodeId: string): FleetDevice | undefined {
    return this.devices.get(nodeId);
  }

  /** Ours to administer. */
  active(nodeId: string): FleetDevice | undefined {
    const device = this.devices.get(nodeId);
    return device?.revokedAt === undefined ? device : undefined;
  }

  all(): readonly FleetDevice[] {
    return [...this.devices.values()];
  }

  inGroup(group: string): readonly FleetDevice[] {
    return this.all().filter(({ groups, revokedAt }) => {
      return revokedAt === undefined && groups.includes(group);
    });
  }

  /** Group → how many devices. */
  groups(): ReadonlyMap<string, number> {
    const counts = new Map<string, number>();
    for (const { groups, revokedAt } of this.devices.values()) {
      if (revokedAt !== undefined) continue;
      for (const group of groups) counts.set(group, (counts.get(group) ?? 0) + 1);
    }
    return counts;
  }

  /** Durable when it resolves. */
  async put(device: FleetDevice): Promise<void> {
    this.devices.set(device.nodeId, device);
    this.writtenAt.set(device.nodeId, this.nowSeconds());
    await this.store.putDevice(device);
  }

  /** Known at once; written now and then, for a crash may cost it. */
  async note(device: FleetDevice): Promise<void> {
    const writtenAt = this.writtenAt.get(device.nodeId) ?? Number.NEGATIVE_INFINITY;
    if (this.nowSeconds() - writtenAt >= WRITE_EVERY_SECONDS) return this.put(device);
    this.devices.set(device.nodeId, device);
  }

  /** What was only noted: before the end. */
  async flush(): Promise<void> {
    await Promise.all(this.all().map((device) => this.store.putDevice(device)));
  }
}
