/** Where the demo's scenes play: its world and timeline, and how time passes there, block by block. */
import { shortId, type Timeline } from "./timeline.ts";
import type { Role, World, WorldEvent } from "./world.ts";

export interface ChannelInfo {
  readonly channelId: string;
  readonly peer: string;
  readonly phase: string;
  readonly fundingTxid: string;
  readonly fundingVout: number;
  readonly capacitySat: number;
  readonly toLocalMsat: number;
  readonly toRemoteMsat: number;
}

const MINE_AT_MOST = 60;
/** A busy machine tells its devices of a block in this time. */
const TIP_MS = 20_000;

export class Stage {
  constructor(
    readonly world: World,
    readonly timeline: Timeline,
  ) {}

  async channel(role: Role, id: string): Promise<ChannelInfo> {
    const channels = await this.world.call<readonly ChannelInfo[]>(role, "channels");
    const found = channels.find((one) => one.channelId === id);
    if (!found) throw new Error(`the ${role} has no channel ${shortId(id)}`);
    return found;
  }

  async mineUntil(what: string, isDone: () => boolean): Promise<void> {
    for (let mined = 0; mined < MINE_AT_MOST; mined++) {
      if (isDone()) return;
      await this.world.chain("mine", { blocks: 1 });
      await this.settle(isDone);
    }
    throw new Error(`mined ${MINE_AT_MOST} blocks in vain for ${what}`);
  }

  async mineUntilEvent(
    what: string,
    matches: (event: WorldEvent) => boolean,
    since: number,
  ): Promise<WorldEvent> {
    const found = () => this.world.log.slice(since).find(matches);
    await this.mineUntil(what, () => found() !== undefined);
    return found() as WorldEvent;
  }

  /** Until the devices know the tip; then a moment for what they publish. */
  private async settle(isDone: () => boolean): Promise<void> {
    const height = await this.world.chain<number>("height");
    const knows = (role: Role) =>
      this.world.log.some(
        (e) => e.from === role && e.event === "tip" && (e.fields.height as number) >= height,
      );
    const until = Date.now() + TIP_MS;
    while (!isDone() && Date.now() < until && !(knows("buyer") && knows("vending"))) {
      await new Promise((wake) => setTimeout(wake, 10));
    }
    await new Promise((wake) => setTimeout(wake, isDone() ? 0 : 60));
  }
}

export function isPeer(
  e: WorldEvent,
  role: Role,
  peer: string | undefined,
  state: string,
): boolean {
  return (
    e.from === role && e.event === "peer" && e.fields.peer === peer && e.fields.state === state
  );
}

export function isChannel(e: WorldEvent, role: Role, type: string): boolean {
  return e.from === role && e.event === "channel" && e.fields.type === type;
}
