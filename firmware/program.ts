/** The device's whole program on any board: settings, owner, links, app, housekeeping (docs/ARCHITECTURE.md "On the device"). */
import type { ChannelEvent } from "../core/channel/effects.ts";
import type { BlockHeight, ChannelId, PublicKey } from "../core/primitives/brands.ts";
import type { AppEvent } from "./apps/app.ts";
import { checkApp } from "./apps/catalog.ts";
import { PriceList } from "./apps/price-list.ts";
import type { Board, Image } from "./board.ts";
import { CardDesk, cardOf, noNodeId } from "./boot/card.ts";
import { Heart } from "./boot/heart.ts";
import { Lamp } from "./boot/lamp.ts";
import { LinkHub } from "./boot/link-hub.ts";
import { Operation } from "./boot/operation.ts";
import { selfTest } from "./crypto/self-test.ts";
import type { Device } from "./device.ts";
import { serialLink } from "./links/serial-link.ts";
import { type LinkNeeds, type Links, startLinks } from "./links/start-links.ts";
import { LogRing } from "./log/log-ring.ts";
import { makeIdentity, performReset } from "./owner/factory-reset.ts";
import { Ownership } from "./owner/ownership.ts";
import { SettingsStore } from "./settings/settings-store.ts";
import { FlashLogStore } from "./store/flash-log.ts";

/** For whoever runs the program on a host; a board needs none, its log and its owner's requests tell the same. */
export interface ProgramEvents {
  onChannelEvent?(id: ChannelId, event: ChannelEvent): void;
  onApp?(event: AppEvent): void;
  onPeer?(peer: PublicKey, state: "connected" | "disconnected", reason?: string): void;
  onTip?(height: BlockHeight, isSynced: boolean): void;
  onAlarm?(text: string): void;
}

export interface Program {
  /** Of no key where the device refuses to hold keys. */
  readonly nodeId: PublicKey;
  readonly isClaimed: boolean;
  /** Absent while nobody owns the device. */
  readonly device: Device | undefined;
  stop(): void;
}

/** Boots: self-test, settings, crash reason, node, links, app. Never throws for what flash or settings hold. */
export async function startProgram(
  board: Board,
  image: Image,
  events: ProgramEvents = {},
): Promise<Program> {
  const { system, clock } = board;
  const log = new LogRing(system, () => clock.nowMs());
  log.add(`picobolt ${image.version} on ${board.model}, started after: ${system.resetReason}`);
  try {
    const failed = selfTest(board.crypto, board.entropy);
    if (failed !== undefined) throw new Error(failed);
    return await boot(board, image, { log, events });
  } catch (cause) {
    return faulty(board, image, { log, events, cause });
  }
}

/** Notes why the program is about to end, for the next start's log and its owner. */
export function recordCrash(board: Board, cause: unknown): void {
  const log = new LogRing(board.system, () => board.clock.nowMs());
  log.addCrash(cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause));
}

/** Of credits, and as many of debits; each takes 24 bytes of a board's RAM. */
const REFERENCES = 256;
/** Improv asked which device this is. */
const IDENTIFY_MS = 10_000;

interface BootParts {
  readonly log: LogRing;
  readonly events: ProgramEvents;
}

async function boot(board: Board, image: Image, { log, events }: BootParts): Promise<Program> {
  const store = new SettingsStore(board.flash.settings);
  const records = new FlashLogStore(board.flash.records, {
    label: "records",
    referenceWindow: REFERENCES,
  });
  const { entropy, crypto, pins } = board;
  if (performReset({ store, records, entropy })) {
    log.add("factory reset: a new device, with other keys");
  }
  const prices = await PriceList.load(records);
  const seed = seedOf(store, records, () => makeIdentity(store, entropy));
  const check = (name: string, config: unknown) => checkApp(name, config, pins.names);
  const parts = { crypto, entropy, image, store, records, checkApp: check };
  const ownership = new Ownership(parts);
  const all = { board, image, log, store, records, prices, ownership, seed, told: events };
  const operation = new Operation(all);
  await operation.start();
  board.whenIdle?.(() => operation.workAhead());
  const links = startBoardLinks(board, image, operation);
  if (!ownership.settings && store.claimCode) {
    // On the console alone, for the label: never in the log.
    board.system.print(`claim code: ${store.claimCode.code}`);
  }
  return {
    nodeId: operation.node.nodeId,
    get isClaimed() {
      return ownership.settings !== undefined;
    },
    get device() {
      return operation.device;
    },
    stop: () => {
      links.stop();
      operation.stop();
    },
  };
}

/** All that the board has; they follow the settings from then on. */
function startBoardLinks(board: Board, image: Image, operation: Operation): Links {
  const { clock, entropy, model } = board;
  const { nodeId } = operation.node;
  const needs = (): LinkNeeds => {
    const { settings } = operation.ownership;
    const { name } = cardOf({ board, image }, { nodeId, name: settings?.name, claimed: false });
    const { wifi } = operation;
    const { mqtt, gateway, buysFrom } = settings ?? {};
    return { name, wifi, mqtt, gateway, buysFrom };
  };
  const links = startLinks({
    drivers: board.links,
    clock,
    entropy,
    nodeId,
    attach: (link, remoteNodeId) => operation.hub.attach(link, remoteNodeId),
    needs: needs(),
    improv: {
      info: () => ["picobolt", image.version, model, needs().name],
      mayProvision: () => operation.ownership.settings === undefined,
      identify: () => operation.identify(IDENTIFY_MS),
      keepWifi: (wifi) => operation.store.keepWifi(wifi),
    },
    note: (text) => operation.log.add(text),
  });
  operation.onRenewed = () => links.update(needs());
  return links;
}

/** Made once; where channels are and no seed is, another one would be another node's: nothing runs then. */
function seedOf(store: SettingsStore, records: FlashLogStore, make: () => void): Uint8Array {
  const { seed } = store;
  if (seed) return seed;
  // Rule `seed-made-once`
  if (records.statistics().channels > 0) {
    throw new Error(
      "the keys of this device are lost, and it has channels: its owner needs the backup",
    );
  }
  make();
  return store.seed as Uint8Array;
}

/** It says what is wrong to whoever asks, and holds no keys. */
function faulty(
  board: Board,
  image: Image,
  { log, events, cause }: BootParts & { readonly cause: unknown },
): Program {
  const text = cause instanceof Error ? cause.message : String(cause);
  log.addCrash(text);
  events.onAlarm?.(text);
  const { update } = board;
  if (update && !update.confirmed) {
    log.add("the image on trial does not start: back to the one before");
    log.flush();
    update.rollBack();
  }
  const nodeId = noNodeId();
  const hub = new LinkHub();
  hub.handTo(
    new CardDesk(cardOf({ board, image }, { nodeId, name: `FAULT ${text}`, claimed: false })),
  );
  for (const driver of board.links.serial ?? []) hub.attach(serialLink(driver));
  const lamp = new Lamp(board.pins);
  const heart = new Heart(
    board,
    (nowMs) => lamp.show("fault", nowMs),
    () => {},
  );
  heart.start();
  return {
    nodeId,
    isClaimed: false,
    device: undefined,
    stop: () => {
      heart.stop();
      hub.close();
      lamp.rest();
      log.flush();
    },
  };
}
