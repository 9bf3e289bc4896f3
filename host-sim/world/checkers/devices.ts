/** A device goes by blocks that there are or were, and by no less work than before (rule `device-trusts-nobody`); in the end it knows the chain's tip and what became of its channels. */
import { toHex } from "../../../core/primitives/bytes.ts";
import { WorldDevice } from "../actors/world-device.ts";
import type { World } from "../world.ts";
import type { MakeChecker } from "./checker.ts";

export const devices: MakeChecker = (world, complain) => {
  const all = () => world.nodes.filter((node) => node instanceof WorldDevice);
  const blocks = new Set<string>();
  /** Of each device's run: the most work that it knew. */
  const work = new Map<string, bigint>();
  if (world.options.gateways.length === 0) return {};
  world.chain.onChange(() => remember(world, blocks));
  return {
    step: () => {
      for (const { name, runs, headers } of all()) {
        if (!headers) continue;
        const { tip } = headers;
        if (!blocks.has(toHex(tip.hash))) complain(`${name} goes by a block that never was`);
        const before = work.get(`${name}/${runs}`) ?? 0n;
        if (tip.work < before) complain(`${name} went over to a branch of less work`);
        work.set(`${name}/${runs}`, tip.work);
      }
    },
    end: () => {
      for (const device of all()) {
        const { name, headers } = device;
        const block = headers && world.chain.block(headers.tip.height);
        if (!block || toHex(block.hash) !== toHex(headers.tip.hash)) {
          complain(`${name} does not follow the chain`);
        }
        for (const { id, channel } of device.node?.channels() ?? []) {
          if (channel.kind !== "live") continue;
          const { phase, terms } = channel.record;
          const isThere = world.chain.coin(terms.fundingOutpoint) !== undefined;
          const text = `${name} takes ${toHex(id).slice(0, 8)} for open, which ended on chain`;
          if (phase === "normal" && !isThere) complain(text);
        }
      }
    },
  };
};

function remember(world: World, blocks: Set<string>): void {
  for (let { height } = world; height >= 0; height--) {
    const hash = toHex(world.chain.block(height)?.hash as Uint8Array);
    if (blocks.has(hash)) return;
    blocks.add(hash);
  }
}
