/** Whether the gateway can do its work now, and if not, why. */
import type { ApiHost } from "./host.ts";

/** A chain that does not answer within this is not there. */
const CHAIN_MS = 5_000;
/** A block that was just found is still being read. */
const BLOCKS_BEHIND = 1;
const PROBE_KEY = "readiness-probe";
/** Probes come often, and each one writes. */
const STORE_PROBE_EVERY_MS = 5_000;

export class Readiness {
  private probedAtMs = Number.NEGATIVE_INFINITY;
  private storeReason: string | undefined;

  constructor(private readonly host: ApiHost) {}

  /** Empty where it is ready. */
  async reasons(): Promise<readonly string[]> {
    const { mqtt } = this.host;
    const all = [
      await chainReason(this.host),
      this.host.chain.health.staleness(),
      await this.store(),
      mqtt && !mqtt.isConnected ? "the broker of the devices is not connected" : undefined,
    ];
    return all.filter((one) => one !== undefined);
  }

  private async store(): Promise<string | undefined> {
    const now = performance.now();
    if (now - this.probedAtMs < STORE_PROBE_EVERY_MS) return this.storeReason;
    this.probedAtMs = now;
    try {
      await this.host.store.setValue(PROBE_KEY, Uint8Array.of(1));
      this.storeReason = undefined;
    } catch (cause) {
      this.storeReason = `the store cannot be written: ${(cause as Error).message}`;
    }
    return this.storeReason;
  }
}

export async function isSynced(host: ApiHost): Promise<boolean> {
  return (await chainReason(host)) === undefined;
}

async function chainReason({ chain, gateway }: ApiHost): Promise<string | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error("it does not answer")), CHAIN_MS);
  });
  try {
    const { height } = await Promise.race([chain.health.tip(), late]);
    const behind = height - gateway.node.height;
    if (behind <= BLOCKS_BEHIND) return undefined;
    return `${behind} blocks of ${chain.source.name} are still to be read`;
  } catch (cause) {
    return `${chain.source.name}: ${(cause as Error).message}`;
  } finally {
    clearTimeout(timer);
  }
}
