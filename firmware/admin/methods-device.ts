/** Methods about the device itself: how it stands, its settings, its owner, its log (docs/ADMIN.md "Methods"). */
import { type PlainObject, plainOf } from "../../core/messages/admin-values.ts";
import { equal } from "../../core/primitives/bytes.ts";
import { cutToBytes, MAX_LINE_BYTES } from "../log/log-ring.ts";
import { encodeSettings, shownMap } from "../settings/settings.ts";
import type { Method } from "./admin-server.ts";
import { type Administered, openChannels } from "./administered.ts";
import { makeBackup } from "./backup.ts";
import { AdminError, type CborMap } from "./params.ts";

const LINES_PER_ANSWER = 16;
const MAX_IDENTIFY_SECONDS = 300;
/** Clocks are told times from 2024 to 2100. */
const CLOCK_RANGE = { min: 1_704_067_200, max: 4_102_444_800 };
const MAX_NUMBER = { min: 0, max: Number.MAX_SAFE_INTEGER };

export function deviceMethods(of: Administered): readonly (readonly [string, Method])[] {
  return [
    ["claim", claim(of)],
    ["info", { openWhile: "unclaimed", run: alone(() => info(of)) }],
    ["identify", identify(of)],
    ["settings.get", { run: alone(() => shown(of)) }],
    ["settings.set", { run: ({ map }) => change(of, map) }],
    ["wifi.set", wifi(of)],
    ["release", release(of)],
    ["backup", backup(of)],
    ["restore", restore(of)],
    ["logs", logs(of)],
    ["clock.set", setClock(of)],
    ["clear", clear(of)],
    ["reboot", reboot(of)],
  ];
}

/** Without parameters. */
function alone(work: () => PlainObject): Method["run"] {
  return ({ params }) => {
    params.end();
    return work();
  };
}

function claim(of: Administered): Method {
  return {
    openWhile: "always",
    run: ({ peer, reach, map }) => {
      const { ownership, node, log } = of;
      const isNew = ownership.claim(peer, reach, map);
      if (isNew) {
        log.add("claimed: the device has an owner");
        of.renewNodeSoon();
      }
      return { nodeId: node.nodeId, name: ownership.settings?.name, isNew };
    },
  };
}

function info(of: Administered): PlainObject {
  const { board, image, ownership, log, node, device, records, store } = of;
  const { settings } = ownership;
  const flash = records.statistics();
  const budget = device?.budgetLeft;
  const sums = { localMsat: 0, remoteMsat: 0 };
  for (const { channel } of node.channels()) {
    if (channel.kind !== "live") continue;
    sums.localMsat += channel.record.base.toLocalMsat;
    sums.remoteMsat += channel.record.base.toRemoteMsat;
  }
  const status = of.appStatus();
  return {
    name: settings?.name,
    model: board.model,
    version: image.version,
    imageNumber: image.number,
    network: image.network,
    nodeId: node.nodeId,
    claimed: settings !== undefined,
    owner: settings?.owner,
    gateway: settings?.gateway,
    gatewayConnected: settings ? node.isConnected(settings.gateway) : false,
    uptimeSeconds: Math.floor(board.clock.nowMs() / 1000),
    clockSeconds: board.clock.nowSeconds(),
    resetReason: board.system.resetReason,
    crashReason: log.crashReason,
    crypto: board.crypto.name,
    links: [...of.linkNames],
    tipHeight: device ? node.height : undefined,
    offline: budget && {
      blocksLeft: budget.blocks,
      amountLeftMsat: budget.amountMsat,
      declineReason: budget.declineReason,
    },
    tower: settings?.tower &&
      budget?.tower && {
        nodeId: settings.tower,
        registered: budget.tower.isRegistered,
        waitingStates: budget.tower.waitingStates,
        lostStates: budget.tower.lostStates + budget.tower.unseenStates,
        exposureMsat: budget.tower.exposureMsat,
      },
    channels: { count: node.channels().length, ...sums },
    app: settings && {
      name: settings.app,
      ready: status?.ready ?? false,
      note: status?.note,
      faults: status?.faults.map(({ product, what }) => ({ product, what })) ?? [],
      owedMsat: status?.owedMsat ?? 0,
      owedPayments: status?.owedPayments ?? 0,
    },
    priceList: { version: of.prices.version, total: of.prices.total },
    flash: {
      liveBytes: flash.liveBytes,
      limitBytes: flash.hardLimitBytes,
      sectors: flash.sectors,
      badSectors: flash.badSectors,
      lostCommits: flash.lostCommits,
      maxEraseCount: flash.maxEraseCount,
      commits: flash.commits,
      bytesPerCommit: Math.round(flash.bytesPerCommit),
      // Unknown until something was written since the start.
      paymentsLeft: flash.commits > 0 ? flash.commitsLeft : undefined,
      settingsMaxEraseCount: store.statistics.maxEraseCount,
    },
    memory: board.system.memory?.(),
    update: {
      confirmed: board.update?.confirmed ?? true,
      takesUpdates: image.releaseKey !== undefined,
    },
  } as PlainObject;
}

function identify(of: Administered): Method {
  return {
    openWhile: "unclaimed",
    run: ({ params }) => {
      const range = { min: 0, max: MAX_IDENTIFY_SECONDS };
      const seconds = params.has("seconds") ? params.integer("seconds", range) : 10;
      params.end();
      of.identify(seconds * 1000);
      return { seconds };
    },
  };
}

function shown(of: Administered): PlainObject {
  const { settings } = of.ownership;
  if (!settings) throw new AdminError("unclaimed", "this device has no owner yet");
  return plainOf(shownMap(settings)) as PlainObject;
}

function change(of: Administered, map: CborMap): PlainObject {
  const { settings: before } = of.ownership;
  const after = of.ownership.change(map, openChannels(of));
  if (!before || !equal(encodeSettings(before), encodeSettings(after))) {
    of.log.add("settings changed");
    of.renewNodeSoon();
  }
  return shown(of);
}

function wifi(of: Administered): Method {
  return {
    run: ({ map }) => {
      change(of, new Map([["wifi", map]]));
      return { ok: true };
    },
  };
}

function release(of: Administered): Method {
  return {
    run: ({ params }) => {
      params.end();
      of.ownership.release(openChannels(of));
      of.log.add("released: the device has no owner");
      of.renewNodeSoon();
      return { ok: true };
    },
  };
}

function backup(of: Administered): Method {
  return {
    run: ({ params }) => {
      params.end();
      const { settings } = of.ownership;
      if (!settings) throw new AdminError("unclaimed", "this device has no owner yet");
      return { backup: makeBackup(of.board, settings, of.node) };
    },
  };
}

/** Settings alone: an old channel record would be a revoked state (docs/OPERATIONS.md). */
function restore(of: Administered): Method {
  return {
    run: ({ params }) => {
      const settings = params.map("settings");
      params.end();
      const count = openChannels(of);
      if (count > 0) {
        throw new AdminError(
          "channels-open",
          `${count} channels are open: restore onto a new device`,
        );
      }
      change(of, settings);
      return { ok: true };
    },
  };
}

function logs(of: Administered): Method {
  return {
    run: ({ params }) => {
      const after = params.has("after") ? params.integer("after", MAX_NUMBER) : 0;
      params.end();
      const some = of.log.after(after, LINES_PER_ANSWER);
      const last = some.at(-1)?.number ?? after;
      const lines = some.map(({ number, uptimeSeconds, text }) =>
        cutToBytes(`${number} +${uptimeSeconds}s ${text}`, MAX_LINE_BYTES + 32),
      );
      return { lines, last, isEnd: last >= of.log.last };
    },
  };
}

function setClock(of: Administered): Method {
  return {
    run: ({ params }) => {
      const seconds = params.integer("seconds", CLOCK_RANGE);
      params.end();
      const { clock } = of.board;
      if (!clock.setSeconds) throw new AdminError("unsupported", "this board has no clock to set");
      clock.setSeconds(seconds);
      return { seconds: clock.nowSeconds() ?? seconds };
    },
  };
}

function clear(of: Administered): Method {
  return {
    run: async ({ params }) => {
      const range = { min: 0, max: 0xffff };
      const product = params.has("product") ? params.integer("product", range) : undefined;
      params.end();
      await of.clearFaults(product);
      return { ok: true };
    },
  };
}

function reboot(of: Administered): Method {
  return {
    run: ({ params }) => {
      params.end();
      of.restartSoon("its owner asked");
      return { ok: true };
    },
  };
}
