/** A watchtower and whom it watches for: a node that sleeps for longer than its delay, whom a cheat must not hurt. */

import { openDatabase } from "../../../gateway/store/schema.ts";
import type { SqliteTables } from "../../../gateway/store/sqlite-store.ts";
import type { Random } from "../../random.ts";
import type { Edge, WorldOptions } from "../options.ts";
import type { World } from "../world.ts";
import { CHEAT, publishOldState } from "./old-states.ts";
import type { WorldNode } from "./world-node.ts";

/** Beyond the delay that every channel has, and what a penalty takes. */
const SLEEP_BLOCKS = 34;

export interface TowerRoles {
  readonly tower: number;
  /** Has a channel with the cheat, and a link to the tower. */
  readonly client: number;
}

export interface Sleep {
  readonly index: number;
  readonly until: number;
}

export function towerRoles({ edges, liars }: WorldOptions): TowerRoles | undefined {
  const touches = ({ caller, callee }: Edge, node: number) => caller === node || callee === node;
  const ends = edges.flatMap(({ caller, callee }) => [
    { client: caller, tower: callee },
    { client: callee, tower: caller },
  ]);
  return ends.find(
    ({ client, tower }) =>
      client !== CHEAT &&
      tower !== CHEAT &&
      !liars.includes(client) &&
      !liars.includes(tower) &&
      edges.some((edge) => touches(edge, CHEAT) && touches(edge, client)),
  );
}

/** Of the tower's file: each write is durable at once. */
export function towerTables(): SqliteTables {
  return {
    db: openDatabase(":memory:"),
    join: async (work) => work(),
    read: (work) => work(),
  };
}

/** Only who has nothing under way, and a tower that knows every state, may sleep so long. */
export function sleepLong(world: World, random: Random): void {
  const { roles } = world;
  const client = roles && world.node(roles.client);
  if (!client?.isUp || world.sleep || !isProtected(world, client)) return;
  // Its devices would sleep with it, and a device's tower is another one.
  if (world.options.gateways.includes(client.index)) return;
  world.note(`${client.name} sleeps for ${SLEEP_BLOCKS} blocks`);
  world.cutPower(client.index, Number.POSITIVE_INFINITY);
  world.sleep = { index: client.index, until: world.height + SLEEP_BLOCKS };
  if (world.has("oldStates") && random.oneIn(2)) publishOldState(world, random);
}

function isProtected(world: World, { index, watching }: WorldNode): boolean {
  const { waitingStates, lostStates } = watching?.protected?.protection() ?? { waitingStates: 1 };
  if (waitingStates > 0 || lostStates) return false;
  return world.book.channels.every(({ id, opener, acceptor }) => {
    if (!id || (opener !== index && acceptor !== index)) return true;
    const record = world.node(index).record(id);
    if (!record) return true;
    const { localSigned, localAcked, remoteAcked, remoteSigned } = record.pending;
    const underWay = [localSigned, localAcked, remoteAcked, remoteSigned].flat();
    return record.phase === "normal" && record.base.htlcs.length + underWay.length === 0;
  });
}
