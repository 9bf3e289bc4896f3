/** What waits for devices: durable, in order, each with a time to live, and each with a result or a failure that says why. */
import type { FleetStore } from "./fleet-store.ts";
import type { FleetRequest, JsonObject, RequestFailure, RequestKind } from "./fleet-types.ts";
import { redacted } from "./redacted.ts";

export interface NewRequest {
  readonly id: string;
  readonly nodeId: string;
  readonly kind: RequestKind;
  readonly body: JsonObject;
  readonly ttlSeconds: number;
  readonly rollout?: string;
}

export interface QueueOptions {
  readonly store: FleetStore;
  /** Unix seconds. */
  readonly nowSeconds: () => number;
  onSettled(request: FleetRequest): void;
}

/** Of one device. */
export const MAX_WAITING = 64;
/** The later one says all that the earlier one did. */
const REPLACING: readonly RequestKind[] = ["prices"];

export class RequestQueue {
  private readonly byDevice = new Map<string, FleetRequest[]>();
  private readonly deviceOf = new Map<string, string>();

  private constructor(private readonly options: QueueOptions) {}

  static async load(options: QueueOptions): Promise<RequestQueue> {
    const queue = new RequestQueue(options);
    for (const request of await options.store.waitingRequests()) queue.remember(request);
    return queue;
  }

  /** In the order in which they are to be done. */
  of(nodeId: string): readonly FleetRequest[] {
    return this.byDevice.get(nodeId) ?? [];
  }

  get devices(): readonly string[] {
    return [...this.byDevice.keys()];
  }

  get(id: string): FleetRequest | undefined {
    return this.of(this.deviceOf.get(id) ?? "").find((one) => one.id === id);
  }

  /** Durable, all of them, when it resolves. */
  async add(requests: readonly NewRequest[]): Promise<readonly FleetRequest[]> {
    const now = this.options.nowSeconds();
    const replaced = requests.flatMap(({ nodeId, kind }) =>
      REPLACING.includes(kind) ? this.of(nodeId).filter((one) => one.kind === kind) : [],
    );
    const added = requests.map(({ ttlSeconds, ...request }): FleetRequest => {
      return {
        ...request,
        createdAt: now,
        expiresAt: now + ttlSeconds,
        state: "waiting",
        attempts: 0,
      };
    });
    for (const request of added) this.remember(request);
    await this.options.store.putRequests(added);
    const text = "a later request of its kind takes its place";
    for (const { id } of replaced) await this.fail(id, { code: "superseded", text });
    return added;
  }

  /** It is begun: durable first, so that what must not be done twice is not. */
  async begin(request: FleetRequest): Promise<FleetRequest> {
    const begun = { ...request, attempts: request.attempts + 1 };
    this.replace(begun);
    await this.options.store.putRequests([begun]);
    return begun;
  }

  succeed(id: string): Promise<void> {
    return this.settle(id, { state: "succeeded" });
  }

  fail(id: string, failure: RequestFailure): Promise<void> {
    return this.settle(id, { state: "failed", failure });
  }

  async failAll(nodeId: string, failure: RequestFailure): Promise<void> {
    for (const { id } of [...this.of(nodeId)]) await this.fail(id, failure);
  }

  /** Those whose time is over, but not the one that is under way. */
  async expire(isUnderWay: (request: FleetRequest) => boolean): Promise<void> {
    const now = this.options.nowSeconds();
    const waiting = [...this.byDevice.values()].flat();
    for (const { id, expiresAt } of waiting.filter((one) => !isUnderWay(one))) {
      if (expiresAt > now) continue;
      await this.fail(id, { code: "expired", text: "the device was not there in time" });
    }
  }

  private async settle(
    id: string,
    outcome: Pick<FleetRequest, "state" | "failure">,
  ): Promise<void> {
    const request = this.get(id);
    if (!request) return;
    // What is done needs its passwords no more.
    const finished = {
      ...request,
      ...outcome,
      body: redacted(request.body),
      finishedAt: this.options.nowSeconds(),
    };
    this.deviceOf.delete(id);
    const rest = this.of(request.nodeId).filter((one) => one.id !== id);
    if (rest.length > 0) this.byDevice.set(request.nodeId, rest);
    else this.byDevice.delete(request.nodeId);
    await this.options.store.putRequests([finished]);
    this.options.onSettled(finished);
  }

  private remember(request: FleetRequest): void {
    this.deviceOf.set(request.id, request.nodeId);
    const requests = this.byDevice.get(request.nodeId);
    if (requests) requests.push(request);
    else this.byDevice.set(request.nodeId, [request]);
  }

  private replace(request: FleetRequest): void {
    const requests = this.byDevice.get(request.nodeId);
    const index = requests?.findIndex(({ id }) => id === request.id) ?? -1;
    if (requests && index >= 0) requests[index] = request;
  }
}
