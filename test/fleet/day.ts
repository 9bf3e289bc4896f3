/** The day: channels in the morning, payments all day while one part after the other is killed, and books that close in the evening. */
import { Random } from "../support/random.ts";
import type { GatewayPart } from "./gateway.ts";
import { pause, until } from "./programs.ts";
import type { Timeline } from "./timeline.ts";
import { Traffic } from "./traffic.ts";
import type { Part, Shop, World } from "./world.ts";

const COINS_SAT = [4_000_000, 3_000_000, 2_000_000, 1_000_000] as const;
export const FUNDED_SAT = 2 * COINS_SAT.reduce((sum, one) => sum + one, 0);
export const GATEWAYS_CHANNEL = { capacity: 1_500_000, push: 700_000 };
/** The machine's part covers its reserve, so that it can give back what it is given. */
const DEVICE_CHANNEL = { capacity: 200_000, push: 20_000 };
const BLOCK_MS = 2_000;
/** An hour. HTLCs are due 20 blocks after they were offered: more would be a close by force, and rightly. */
const OUTAGE_BLOCKS = 6;
const JAMMED = 4;

export interface Killed {
  readonly name: string;
  readonly downMs: number;
  readonly backSeconds: number;
}

export class Day {
  readonly killed: Killed[] = [];
  readonly random: Random;
  traffic!: Traffic;
  private clock: ReturnType<typeof setInterval> | undefined;
  private purchases = 0;
  private blocksLeft = Number.POSITIVE_INFINITY;

  constructor(
    private readonly world: World,
    private readonly timeline: Timeline,
    seed: number,
  ) {
    this.random = new Random(seed);
  }

  async morning(): Promise<void> {
    const { world, timeline } = this;
    const { a, b, bitcoin, shops } = world;
    timeline.heading("Morning");
    for (const gateway of [a, b]) {
      const address = await gateway.ask("newAddress", (client) => client.newAddress());
      await bitcoin.fund(address, COINS_SAT);
    }
    timeline.say("bitcoind", `funds each gateway with ${FUNDED_SAT / 2} sat`);
    this.clock = setInterval(() => {
      if (this.blocksLeft-- > 0) void bitcoin.mine(1).catch(() => {});
    }, BLOCK_MS);
    await a.ask("connectPeer", (client) => client.connectPeer(b.address));
    timeline.say("gateway a", "is connected with gateway b");
    await Promise.all(shops.map((shop) => this.reached(shop)));
    const channel = await this.open(a, b.nodeId, GATEWAYS_CHANNEL);
    for (const { machine, gateway } of shops) {
      await this.open(gateway, machine.nodeId, DEVICE_CHANNEL);
    }
    await Promise.all([a, b].map((gateway) => this.allNormal(gateway)));
    timeline.say("gateways", "all channels are confirmed");
    this.traffic = new Traffic(world, channel);
    this.traffic.start();
    await this.traffic.flowing();
    timeline.say("gateways", "payments flow on every path");
  }

  /** Kills each part once, in an order of the seed's; `only`: those whose names begin so. */
  async noon(only: string): Promise<void> {
    const { world, timeline } = this;
    timeline.heading("The day");
    const left = world.parts.filter(({ name }) => name.startsWith(only));
    while (left.length > 0) {
      const [victim] = left.splice(this.random.below(left.length), 1) as [Part];
      await this.round(victim);
    }
  }

  async evening(): Promise<void> {
    const { world, timeline, traffic } = this;
    timeline.heading("Evening");
    await traffic.stop();
    timeline.say("gateways", "no new payments; what was under way has ended");
    for (const gateway of [world.a, world.b]) {
      await until(`gateway ${gateway.name} has settled everything`, async () => {
        const { payments } = await gateway.ask("listPayments", (client) =>
          client.listPayments({ status: "pending" }),
        );
        const channels = await gateway.ask("listChannels", (client) => client.listChannels());
        return payments.length === 0 && channels.every(({ htlcs }) => htlcs === 0);
      });
    }
    await this.closeOne(world.shop("coffee"));
  }

  /** No more blocks. */
  night(): void {
    clearInterval(this.clock);
  }

  private async round(victim: Part): Promise<void> {
    const { world, timeline, random, traffic } = this;
    const { shops } = world;
    const shop =
      shops.find(({ machine }) => machine === victim) ?? (shops[this.purchases % 3] as Shop);
    const product = this.nextProduct(shop);
    if (product === JAMMED) await shop.machine.jam(`motor${JAMMED}`, true).catch(() => {});
    const buying = traffic.buy(shop, product);
    buying.catch(() => {});
    await pause(random.below(4_000));
    const downMs = random.below(2_000);
    this.blocksLeft = OUTAGE_BLOCKS;
    const killedAt = timeline.seconds;
    await victim.kill();
    timeline.say(victim.name, `is killed; ${shop.machine.name} is selling`);
    await pause(downMs);
    await victim.start();
    timeline.say(victim.name, "is started again");
    const onLate = (names: string) => timeline.say(victim.name, `not gone again yet: ${names}`);
    await traffic.flowing(onLate);
    this.blocksLeft = Number.POSITIVE_INFINITY;
    const { delivered } = await buying;
    const backSeconds = Math.round((timeline.seconds - killedAt) * 10) / 10;
    this.killed.push({ name: victim.name, downMs, backSeconds });
    const goods = delivered ? "delivered" : "gave the money back for";
    timeline.say(shop.machine.name, `${goods} product ${product}; all paths flow again`);
  }

  /** Each machine's second one gets stuck. */
  private nextProduct({ machine }: Shop): 1 | 2 | 3 | 4 {
    const count = this.traffic.bought.filter(({ shop }) => shop.machine === machine).length;
    this.purchases++;
    return count === 1 ? JAMMED : (((count % 3) + 1) as 1 | 2 | 3);
  }

  private async open(
    gateway: GatewayPart,
    peer_node_id: string,
    { capacity, push }: typeof DEVICE_CHANNEL,
  ): Promise<string> {
    const idempotencyKey = `open-${peer_node_id.slice(0, 16)}`;
    const channel = await until(`a channel with ${peer_node_id.slice(0, 12)}`, async () => {
      const one = await gateway.ask("openChannel", (client) =>
        client.openChannel({ peer_node_id, capacity, push }, { idempotencyKey }),
      );
      return one.state !== "opening" && one;
    });
    this.timeline.say(`gateway ${gateway.name}`, `opens a channel of ${capacity} sat`);
    return channel.channel_id;
  }

  private async allNormal(gateway: GatewayPart): Promise<void> {
    await until(`channels of gateway ${gateway.name}`, async () => {
      const all = await gateway.ask("listChannels", (client) => client.listChannels());
      return all.every(({ state }) => state === "normal");
    });
  }

  private async reached({ machine, gateway }: Shop): Promise<void> {
    await until(`${machine.name} is connected with gateway ${gateway.name}`, async () => {
      const { devices } = await gateway.ask("listDevices", (client) =>
        client.call("listDevices", {}),
      );
      return devices.some(({ node_id, connected }) => connected && node_id === machine.nodeId);
    });
    this.timeline.say(machine.name, `is connected with gateway ${gateway.name}`);
  }

  /** What a machine has with its gateway goes to its owner's key. */
  private async closeOne({ machine, gateway }: Shop): Promise<void> {
    const list = () =>
      gateway.ask("listChannels", (client) =>
        client.listChannels({ peer_node_id: machine.nodeId }),
      );
    const [channel] = await list();
    if (!channel) throw new Error(`${machine.name} has no channel with its gateway`);
    await gateway.ask("closeChannel", (client) => client.closeChannel(channel.channel_id));
    await until(`the channel with ${machine.name} is closed and confirmed`, async () => {
      const all = await list();
      return (
        all.every(({ state }) => state === "on-chain") &&
        (await this.world.bitcoin.mempoolSize()) === 0
      );
    });
    this.timeline.say(machine.name, "has closed its channel with its gateway");
  }
}
