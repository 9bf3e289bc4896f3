/** The gateway's own devices: who they are, what waits for them, and visits to those that are there (docs/FLEET.md). */
import { createHash } from "node:crypto";
import type { PlainObject } from "../../core/messages/admin-values.ts";
import type { Message } from "../../core/messages/message.ts";
import type { PublicKey } from "../../core/primitives/brands.ts";
import { toHex } from "../../core/primitives/bytes.ts";
import { AdminRefusal, AdminSilence } from "../admin/client.ts";
import type { AlarmBoard } from "../operations/alarm-board.ts";
import type { BrokerAccess } from "./credentials.ts";
import { DeviceCalls } from "./device-calls.ts";
import { type DeviceState, stateOf } from "./device-status.ts";
import { FleetAlarms, type FleetLimits } from "./fleet-alarms.ts";
import { FleetError } from "./fleet-error.ts";
import type { FleetStore } from "./fleet-store.ts";
import type {
  FleetDevice,
  FleetRequest,
  FleetSale,
  JsonObject,
  ListedSale,
  RequestFilter,
  RequestKind,
  SaleFilter,
} from "./fleet-types.ts";
import { redacted } from "./redacted.ts";
import { MAX_DEVICES, Registry } from "./registry.ts";
import { MAX_WAITING, RequestQueue } from "./request-queue.ts";
import type { Rollout } from "./rollout.ts";
import { Rollouts } from "./rollouts.ts";
import { visit } from "./visit.ts";
import { Visits } from "./visits.ts";

export interface FleetEvents {
  onRequest(request: FleetRequest): void;
  onSale(sale: FleetSale): void;
  onRollout(rollout: Rollout): void;
  onProblem(text: string): void;
}

export interface FleetOptions {
  readonly store: FleetStore;
  readonly limits: FleetLimits;
  /** Where the devices' alarms are told. */
  readonly alarms: AlarmBoard;
  /** A device that is there is asked how it stands so often. */
  readonly askSeconds: number;
  readonly broker?: BrokerAccess | undefined;
  readonly events: FleetEvents;
  nowSeconds(): number;
  random(length: number): Uint8Array;
  send(device: PublicKey, message: Message): boolean;
  isConnected(nodeId: string): boolean;
  /** What the broker says. */
  presence(nodeId: string): "online" | "offline" | undefined;
}

export interface DeviceOrder {
  readonly nodeId: string;
  readonly name: string;
  readonly groups: readonly string[];
  /** It is beside this gateway, without an owner: claimed now, over the session that it has here. */
  readonly claim?: JsonObject;
}

export interface RequestOrder {
  readonly nodeIds: readonly string[];
  readonly kind: Exclude<RequestKind, "update">;
  readonly body: JsonObject;
  readonly ttlSeconds: number;
}

const DAY_SECONDS = 86_400;
const KEPT_REQUEST_DAYS = 90;
const KEPT_SALE_DAYS = 400;
const PRUNE_EVERY_SECONDS = 3_600;
const STEP_EVERY_SECONDS = 2;

export class Fleet {
  readonly rollouts: Rollouts;
  readonly alarms: FleetAlarms;
  private readonly calls: DeviceCalls;
  private readonly visits: Visits;
  private readonly progress = new Map<string, number>();
  private prunedAt = Number.NEGATIVE_INFINITY;
  private steppedAt = Number.NEGATIVE_INFINITY;

  private constructor(
    private readonly options: FleetOptions,
    readonly registry: Registry,
    readonly queue: RequestQueue,
    rollouts: Rollouts,
  ) {
    const { limits, alarms, send } = options;
    this.rollouts = rollouts;
    this.calls = new DeviceCalls({ send });
    this.alarms = new FleetAlarms(limits, alarms);
    this.visits = new Visits({
      ...options,
      visit: (nodeId) => this.visit(nodeId),
    });
  }

  static async load(options: FleetOptions): Promise<Fleet> {
    const { store, nowSeconds, events, random } = options;
    const registry = await Registry.load(store, nowSeconds);
    const settled = (request: FleetRequest) => {
      rollouts.settled(request);
      events.onRequest(request);
    };
    const queue = await RequestQueue.load({ store, nowSeconds, onSettled: settled });
    const rollouts: Rollouts = await Rollouts.load({
      store,
      registry,
      queue,
      nowSeconds,
      newId: () => toHex(random(16)),
      onChanged: (rollout) => events.onRollout(rollout),
    });
    for (const text of store.damaged) events.onProblem(text);
    return new Fleet(options, registry, queue, rollouts);
  }

  /** A device's answer; false where the message is something else. */
  receive(peer: PublicKey, message: Message): boolean {
    return this.calls.receive(peer, message);
  }

  peer(nodeId: string, state: "connected" | "disconnected"): void {
    if (state === "disconnected") this.calls.gone(nodeId);
    const device = this.registry.active(nodeId);
    if (!device) return;
    const seen = { ...device, lastSeen: this.options.nowSeconds() };
    this.run(this.registry.note(seen));
    if (state === "connected") this.visits.soon(nodeId);
    else this.visits.forget(nodeId);
  }

  /** Some times a second. */
  tick(): void {
    const { options, registry, visits, queue, rollouts } = this;
    const now = options.nowSeconds();
    const closely = rollouts.watched();
    for (const { nodeId, healthySeconds } of closely) visits.closely(nodeId, healthySeconds);
    visits.tick();
    if (now - this.steppedAt < STEP_EVERY_SECONDS) return;
    this.steppedAt = now;
    this.run(
      queue
        .expire(({ nodeId }) => visits.isUnderWay(nodeId))
        .then(() => rollouts.step())
        .then(() => this.wakeWaiting()),
    );
    for (const device of registry.all()) {
      this.alarms.look(device, now, options.isConnected(device.nodeId));
    }
    if (now - this.prunedAt < PRUNE_EVERY_SECONDS) return;
    this.prunedAt = now;
    const requests = now - KEPT_REQUEST_DAYS * DAY_SECONDS;
    this.run(options.store.prune({ requests, sales: now - KEPT_SALE_DAYS * DAY_SECONDS }));
  }

  get store(): FleetStore {
    return this.options.store;
  }

  state(device: FleetDevice): DeviceState {
    const { options } = this;
    return stateOf(device, {
      isConnected: options.isConnected(device.nodeId),
      presence: options.presence(device.nodeId),
      now: options.nowSeconds(),
      silentSeconds: options.limits.silentSeconds,
    });
  }

  device(nodeId: string): FleetDevice {
    const device = this.registry.get(nodeId);
    if (device) return device;
    throw new FleetError("not-found", `${nodeId} is not a device of this gateway: claim it first`);
  }

  /** Takes it into the fleet; said again it changes name and groups. Answers its settings for the broker, where there are some. */
  async add(order: DeviceOrder): Promise<{ device: FleetDevice; mqtt: JsonObject | undefined }> {
    const { registry, options } = this;
    const { nodeId, name, groups, claim } = order;
    if (!registry.get(nodeId) && registry.size >= MAX_DEVICES) {
      throw new FleetError("full", `${MAX_DEVICES} devices are in the fleet, and no more can be`);
    }
    const mqtt = options.broker?.grant(nodeId);
    if (claim) await this.claimHere(nodeId, { ...claim, ...(mqtt && { mqtt }), name });
    const { revokedAt: _, ...known } = registry.get(nodeId) ?? {
      nodeId,
      addedAt: options.nowSeconds(),
    };
    const device: FleetDevice = { ...known, name, groups };
    await registry.put(device);
    if (options.isConnected(nodeId)) this.visits.soon(nodeId);
    return { device, mqtt };
  }

  /** It is administered no more, and the broker lets it in no more. Its channels stay, and settle. */
  async revoke(nodeId: string): Promise<{ device: FleetDevice; hadCredentials: boolean }> {
    const { registry, queue, options } = this;
    const device = { ...this.device(nodeId), revokedAt: options.nowSeconds() };
    await registry.put(device);
    this.visits.forget(nodeId);
    this.calls.gone(nodeId);
    await queue.failAll(nodeId, { code: "revoked", text: "the device was revoked" });
    const hadCredentials = options.broker?.revoke(nodeId) ?? false;
    return { device, hadCredentials };
  }

  async setGroups(nodeId: string, groups: readonly string[]): Promise<FleetDevice> {
    const device = { ...this.device(nodeId), groups };
    await this.registry.put(device);
    return device;
  }

  /** Durable when it resolves, and done when each device is there. */
  async request(order: RequestOrder): Promise<readonly FleetRequest[]> {
    const { nodeIds, kind, body, ttlSeconds } = order;
    const { registry, queue, options } = this;
    for (const nodeId of nodeIds) {
      if (this.device(nodeId).revokedAt !== undefined) {
        throw new FleetError("refused", `${nodeId} was revoked: claim it again first`);
      }
      if (queue.of(nodeId).length >= MAX_WAITING) {
        throw new FleetError("full", `${MAX_WAITING} requests wait for ${nodeId} already`);
      }
    }
    const added = await queue.add(
      nodeIds.map((nodeId) => ({
        id: toHex(options.random(16)),
        nodeId,
        kind,
        body,
        ttlSeconds,
      })),
    );
    for (const nodeId of nodeIds) {
      const device = registry.get(nodeId);
      if (device && kind === "settings") {
        const wanted = { ...device.wanted, ...redacted(body.changes as JsonObject) };
        await registry.put({ ...device, wanted });
      }
      if (options.isConnected(nodeId)) this.visits.soon(nodeId);
    }
    return added;
  }

  async cancel(id: string): Promise<FleetRequest> {
    const request = await this.requestOf(id);
    if (request.rollout !== undefined) {
      throw new FleetError("refused", `${id} is of the roll-out ${request.rollout}: abort that`);
    }
    await this.queue.fail(id, { code: "cancelled", text: "it was cancelled" });
    return this.requestOf(id);
  }

  async requestOf(id: string): Promise<FleetRequest> {
    const request = this.queue.get(id) ?? (await this.options.store.request(id));
    if (request) return request;
    throw new FleetError("not-found", `there is no request ${id}`);
  }

  async requests(filter: RequestFilter): Promise<readonly FleetRequest[]> {
    return this.options.store.requests(filter);
  }

  async sales(filter: SaleFilter): Promise<readonly ListedSale[]> {
    return this.options.store.sales(filter);
  }

  /** Its SHA-256. */
  async keep(bytes: Uint8Array): Promise<string> {
    const digest = createHash("sha256").update(bytes).digest("hex");
    await this.options.store.putBlob(digest, bytes);
    return digest;
  }

  /** Of a request that is being sent: parts done, in percent. */
  progressOf(id: string): number | undefined {
    return this.progress.get(id);
  }

  async close(): Promise<void> {
    this.calls.close();
    await this.visits.close();
    await this.registry.flush();
  }

  private async visit(nodeId: string): Promise<void> {
    const { registry, queue, rollouts, options, calls } = this;
    const { store, events, nowSeconds } = options;
    await visit({
      nodeId,
      registry,
      queue,
      store,
      nowSeconds,
      call: (method, params, timeoutMs) => calls.call(nodeId, method, params, timeoutMs),
      mayRun: (request) => rollouts.mayRun(request),
      onSales: (sales) => {
        for (const sale of sales) events.onSale(sale);
      },
      onProgress: ({ id }, done, total) => {
        if (done < total) this.progress.set(id, Math.floor((100 * done) / total));
        else this.progress.delete(id);
      },
    });
  }

  /** A roll-out may have given them something, or goes on. */
  private wakeWaiting(): void {
    for (const nodeId of this.queue.devices) {
      const isWanted = this.queue.of(nodeId).some((one) => this.rollouts.mayRun(one));
      if (isWanted && this.options.isConnected(nodeId)) this.visits.wanted(nodeId);
    }
  }

  private async claimHere(nodeId: string, request: JsonObject): Promise<void> {
    try {
      await this.calls.call(nodeId, "claim", request as PlainObject);
    } catch (cause) {
      const isKnown = cause instanceof AdminRefusal || cause instanceof AdminSilence;
      if (isKnown) throw new FleetError("refused", `${nodeId} was not claimed: ${cause.message}`);
      throw cause;
    }
  }

  private run(work: Promise<void>): void {
    work.catch((cause: unknown) => {
      this.options.events.onProblem(cause instanceof Error ? cause.message : String(cause));
    });
  }
}
