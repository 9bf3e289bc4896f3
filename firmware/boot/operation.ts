/** A device at work: its node behind its links, its owner's requests, lamp, button, log and watchdog. */
import type { Message } from "../../core/messages/message.ts";
import type { Node } from "../../core/node/node.ts";
import type { PublicKey } from "../../core/primitives/brands.ts";
import { type AdminHost, AdminServer, type Method } from "../admin/admin-server.ts";
import type { Administered } from "../admin/administered.ts";
import { deviceMethods } from "../admin/methods-device.ts";
import { moneyMethods } from "../admin/methods-money.ts";
import { priceMethods } from "../admin/methods-prices.ts";
import { salesMethods } from "../admin/methods-sales.ts";
import { updateMethods } from "../admin/methods-update.ts";
import type { AppStatus } from "../apps/app.ts";
import type { PriceList } from "../apps/price-list.ts";
import type { Board, Image } from "../board.ts";
import type { Device, DeviceEvents } from "../device.ts";
import type { LogRing } from "../log/log-ring.ts";
import { SalesLog } from "../log/sales-log.ts";
import { ResetButton, requestReset } from "../owner/factory-reset.ts";
import { type Ownership, type Reach, reachOf } from "../owner/ownership.ts";
import type { ProgramEvents } from "../program.ts";
import type { WifiSettings } from "../settings/settings.ts";
import type { SettingsStore } from "../settings/settings-store.ts";
import type { FlashLogStore } from "../store/flash-log.ts";
import { UpdateReceiver } from "../update/update-receiver.ts";
import { Heart, MAX_FAILURES } from "./heart.ts";
import { Lamp, type LampState } from "./lamp.ts";
import { LinkHub } from "./link-hub.ts";
import { type RunningNode, startClaimed, startUnclaimed } from "./node-runner.ts";

export interface OperationParts {
  readonly board: Board;
  readonly image: Image;
  readonly log: LogRing;
  readonly store: SettingsStore;
  readonly records: FlashLogStore;
  readonly prices: PriceList;
  readonly ownership: Ownership;
  readonly seed: Uint8Array;
  readonly told: ProgramEvents;
}

/** An answer has this long to leave before the node is replaced or the device restarts. */
const PARTING_MS = 300;
/** A new image proves itself by running for this long. */
export const CONFIRM_AFTER_MS = 30_000;
const MAX_QUIET_MS = 3_000;
const QUIET_STEP_MS = 20;
/** The lamp says "busy" for this long after a payment. */
const BUSY_MS = 2_000;

export class Operation implements Administered {
  readonly board: Board;
  readonly image: Image;
  readonly log: LogRing;
  readonly store: SettingsStore;
  readonly records: FlashLogStore;
  readonly prices: PriceList;
  readonly sales: SalesLog;
  readonly ownership: Ownership;
  readonly updates: UpdateReceiver;
  readonly hub = new LinkHub();
  /** The settings may be others now: Wi-Fi, broker, name. */
  onRenewed: () => void = () => {};
  private readonly heart: Heart;
  private readonly lamp: Lamp;
  private readonly button: ResetButton;
  private readonly admin: AdminServer;
  private running: RunningNode | undefined;
  private renewing: Promise<void> = Promise.resolve();
  private readonly startedMs: number;
  private identifyUntilMs = 0;
  private busyUntilMs = 0;
  private isStopped = false;

  constructor(private readonly parts: OperationParts) {
    const { board, image, log } = parts;
    this.board = board;
    this.image = image;
    this.log = log;
    this.store = parts.store;
    this.records = parts.records;
    this.prices = parts.prices;
    this.sales = new SalesLog(board.entropy, () => board.clock.nowMs());
    this.ownership = parts.ownership;
    this.updates = new UpdateReceiver(board.crypto, image, board.model, board.update);
    this.lamp = new Lamp(board.pins);
    this.button = new ResetButton(board.pins);
    this.startedMs = board.clock.nowMs();
    this.admin = new AdminServer(this.adminHost());
    this.heart = new Heart(
      board,
      (nowMs) => this.beat(nowMs),
      (cause, failures) => this.beatFailed(cause, failures),
    );
  }

  /** Throws where the node cannot start. */
  async start(): Promise<void> {
    await this.renew();
    this.heart.start();
  }

  stop(): void {
    this.isStopped = true;
    this.heart.stop();
    this.running?.stop();
    this.hub.close();
    this.lamp.rest();
    this.log.flush();
  }

  get node(): Node {
    return (this.running as RunningNode).node;
  }

  get device(): Device | undefined {
    return this.running?.device;
  }

  get linkNames(): readonly string[] {
    return this.hub.names;
  }

  /** What payments to come will need, in idle time; false: nothing is left to do. */
  workAhead(): boolean {
    return this.running?.node.workAhead() ?? false;
  }

  appStatus(): AppStatus | undefined {
    const { app, appFault } = this.running as RunningNode;
    if (!appFault) return app?.status?.();
    return { ready: false, note: appFault, faults: [], owedMsat: 0, owedPayments: 0 };
  }

  async clearFaults(product?: number): Promise<void> {
    await this.running?.app?.clear?.(product);
  }

  identify(forMs: number): void {
    this.identifyUntilMs = this.board.clock.nowMs() + forMs;
  }

  /** The Wi-Fi that the device joins. */
  get wifi(): WifiSettings | undefined {
    return this.ownership.settings?.wifi ?? this.store.wifi;
  }

  renewNodeSoon(): void {
    this.board.clock.after(PARTING_MS, () => {
      this.renewing = this.renewing.then(() => this.renew()).catch((cause) => this.fail(cause));
    });
  }

  restartSoon(why: string): void {
    this.log.add(`restarts: ${why}`);
    this.board.clock.after(PARTING_MS, () => {
      if (this.isStopped) return;
      this.stop();
      this.board.system.restart();
    });
  }

  /** Another node as the settings stand now; the links go over to it. */
  private async renew(): Promise<void> {
    if (this.isStopped) return;
    const { parts } = this;
    await this.quiet();
    this.running?.stop();
    const { settings } = this.ownership;
    const events = this.deviceEvents();
    const onService = (peer: PublicKey, message: Message) => this.admin.receive(peer, message);
    const all = { ...parts, events, onService };
    this.running = settings ? await startClaimed(all, settings) : await startUnclaimed(all);
    // It may have been stopped meanwhile.
    if (this.isStopped) this.running.stop();
    else {
      this.hub.handTo(this.running.device ?? this.running.node);
      this.onRenewed();
    }
  }

  /** What is being written and signed is finished first, within reason. */
  private async quiet(): Promise<void> {
    const { clock } = this.board;
    const until = clock.nowMs() + MAX_QUIET_MS;
    while (this.running && !this.running.node.isIdle && clock.nowMs() < until) {
      await new Promise<void>((resolve) => clock.after(QUIET_STEP_MS, resolve));
    }
  }

  private beat(nowMs: number): void {
    this.running?.tick(nowMs);
    if (!this.board.whenIdle) this.workAhead();
    if (this.button.tick(nowMs)) this.resetByButton();
    this.lamp.show(this.lampState(nowMs), nowMs);
    this.log.flush();
    const { update } = this.board;
    if (!update || update.confirmed) return;
    if (nowMs - this.startedMs >= (update.trialMs ?? CONFIRM_AFTER_MS)) {
      update.confirm();
      this.log.add(`image ${this.image.number} has proved itself`);
    }
  }

  /** The first failure of a row and the last are told: all of them would push everything else out of the log. */
  private beatFailed(cause: unknown, failures: number): void {
    const text = `the loop failed: ${textOf(cause)}`;
    if (failures === 1) this.alarm(text);
    // For the next start: the watchdog ends this one.
    if (failures === MAX_FAILURES) this.log.addCrash(text);
  }

  private resetByButton(): void {
    const refused = requestReset(this.store, this.records);
    if (refused === undefined) this.restartSoon("factory reset by its button");
    else this.alarm(refused);
  }

  private lampState(nowMs: number): LampState {
    if (nowMs < this.identifyUntilMs) return "identify";
    if (this.running?.device && this.running.appFault && this.ownership.settings?.app)
      return "fault";
    if (this.updates.progress) return "updating";
    if (nowMs < this.busyUntilMs) return "busy";
    const { settings } = this.ownership;
    if (!settings || !this.running) return "unclaimed";
    return this.running.node.isConnected(settings.gateway) ? "online" : "offline";
  }

  private deviceEvents(): DeviceEvents {
    const { told } = this.parts;
    const busy = () => {
      this.busyUntilMs = this.board.clock.nowMs() + BUSY_MS;
    };
    return {
      onChannelEvent: (id, event) => {
        if (event.type === "pushReceived" || event.type === "htlcReceived") busy();
        told.onChannelEvent?.(id, event);
      },
      onApp: (event) => {
        if (event.type === "failed") this.log.add(`app: ${event.reason}`);
        if (event.type === "fault") {
          this.log.add(`app: ${event.what}${event.cleared ? " (cleared)" : ""}`);
        }
        this.sales.note(event);
        told.onApp?.(event);
      },
      onPeer: (peer, state, reason) => told.onPeer?.(peer, state, reason),
      onTip: (height, isSynced) => told.onTip?.(height, isSynced),
      onProven: () => {},
      onAlarm: (text) => this.alarm(text),
    };
  }

  private adminHost(): AdminHost {
    const operation = this;
    return {
      // Made for each request: they are asked for seldom, and 5 KB of a device's memory would hold them.
      methods: () =>
        new Map<string, Method>([
          ...deviceMethods(this),
          ...moneyMethods(this),
          ...priceMethods(this),
          ...updateMethods(this),
          ...salesMethods(this),
        ]),
      get isClaimed() {
        return operation.ownership.settings !== undefined;
      },
      isOwner: (peer) => this.ownership.isOwner(peer),
      reachOf: (peer): Reach => reachOf(this.running?.node.linkOf(peer)?.name),
      send: (peer, message) => void this.running?.node.sendService(peer, message),
      note: (text) => this.log.add(text),
    };
  }

  private alarm(text: string): void {
    this.log.add(text);
    this.parts.told.onAlarm?.(text);
  }

  /** The node does not start any more: a restart reads everything again. */
  private fail(cause: unknown): void {
    this.log.addCrash(`the node could not be started again: ${textOf(cause)}`);
    this.parts.told.onAlarm?.(textOf(cause));
    this.restartSoon("the node could not be started");
  }
}

function textOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
