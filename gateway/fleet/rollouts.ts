/** Roll-outs that are under way: each step is written down before anything is sent, so that a restart goes on where it was. */
import { decodeManifest, parseUpdate } from "../../core/messages/update-image.ts";
import { FleetError } from "./fleet-error.ts";
import type { FleetStore } from "./fleet-store.ts";
import type { FleetDevice, FleetRequest } from "./fleet-types.ts";
import type { Registry } from "./registry.ts";
import type { NewRequest, RequestQueue } from "./request-queue.ts";
import {
  type PartState,
  type Rollout,
  type RolloutPart,
  resumed,
  stagesProblem,
  step,
} from "./rollout.ts";

export interface RolloutOrder {
  /** SHA-256 of an update file that was uploaded. */
  readonly image: string;
  /** All devices of the image's model where absent. */
  readonly group?: string;
  readonly stages: readonly string[];
  readonly healthySeconds: number;
  readonly silentSeconds: number;
  readonly maxFailures: number;
  readonly ttlSeconds: number;
}

export interface RolloutsParts {
  readonly store: FleetStore;
  readonly registry: Registry;
  readonly queue: RequestQueue;
  readonly nowSeconds: () => number;
  newId(): string;
  onChanged(rollout: Rollout): void;
}

type Outcome = Pick<FleetRequest, "state" | "failure" | "finishedAt">;

const OVER: readonly string[] = ["aborted", "finished"];
/** These are asked more often: what they say decides how it goes on. */
const CLOSELY: readonly PartState[] = ["trial", "watched"];
const MAX_PARTS = 100_000;

export class Rollouts {
  private readonly all = new Map<string, Rollout>();
  private readonly outcomes = new Map<string, Outcome>();
  private isStepping = false;

  private constructor(private readonly parts: RolloutsParts) {}

  static async load(parts: RolloutsParts): Promise<Rollouts> {
    const rollouts = new Rollouts(parts);
    const { store } = parts;
    for (const rollout of await store.rollouts()) {
      rollouts.all.set(rollout.id, rollout);
      if (OVER.includes(rollout.state)) continue;
      const requests = await store.requests({ rollout: rollout.id, limit: MAX_PARTS });
      for (const one of requests) rollouts.settled(one);
    }
    return rollouts;
  }

  list(): readonly Rollout[] {
    return [...this.all.values()].sort((a, b) => b.createdAt - a.createdAt);
  }

  get(id: string): Rollout {
    const rollout = this.all.get(id);
    if (rollout) return rollout;
    throw new FleetError("not-found", `there is no roll-out ${id}`);
  }

  async start(order: RolloutOrder): Promise<Rollout> {
    const { registry, nowSeconds, newId } = this.parts;
    const problem = stagesProblem(order.stages);
    if (problem) throw new FleetError("wrong", problem);
    const { model, version, number } = await this.imageOf(order.image);
    const running = this.list().find(
      (one) => !OVER.includes(one.state) && one.image.model === model,
    );
    if (running) {
      const text = `the roll-out ${running.id} of ${model} is ${running.state}: abort it first`;
      throw new FleetError("refused", text);
    }
    const { group, image: digest, ...limits } = order;
    const of = group === undefined ? registry.all() : registry.inGroup(group);
    const devices = of.filter((one) => isMeant(one, model, number));
    if (devices.length === 0) {
      const where = group === undefined ? "the fleet" : `the group ${group}`;
      const text = `no device of ${where} is a ${model} with an image before ${number}`;
      throw new FleetError("refused", text);
    }
    const now = nowSeconds();
    const rollout: Rollout = {
      ...limits,
      id: newId(),
      image: { digest, model, version, number },
      ...(group !== undefined && { group }),
      createdAt: now,
      stage: 0,
      state: "running",
      parts: inOrder(devices).map(({ nodeId, status }) => {
        return { nodeId, state: "waiting", since: now, wasReady: status?.isReady ?? false };
      }),
    };
    await this.put(rollout);
    await this.step();
    return this.get(rollout.id);
  }

  pause(id: string): Promise<Rollout> {
    return this.change(id, ["running"], (rollout) => ({ ...rollout, state: "paused" }));
  }

  resume(id: string): Promise<Rollout> {
    return this.change(id, ["paused", "halted"], (rollout) =>
      resumed(rollout, this.parts.nowSeconds()),
    );
  }

  /** What is on a device stays there; what waits is not sent any more. */
  async abort(id: string): Promise<Rollout> {
    const rollout = await this.change(id, ["running", "paused", "halted"], (one) => {
      return { ...one, state: "aborted" };
    });
    for (const { request } of rollout.parts) {
      if (request === undefined) continue;
      await this.parts.queue.fail(request, { code: "cancelled", text: "its roll-out was aborted" });
    }
    await this.dropImage(rollout);
    return rollout;
  }

  /** A part of a roll-out is sent while that runs. */
  mayRun({ rollout }: FleetRequest): boolean {
    return rollout === undefined || this.all.get(rollout)?.state === "running";
  }

  settled(request: FleetRequest): void {
    if (request.rollout === undefined || request.state === "waiting") return;
    this.outcomes.set(request.id, request);
  }

  /** Devices whose next words decide something. */
  watched(): readonly { readonly nodeId: string; readonly healthySeconds: number }[] {
    return this.list().flatMap(({ state, parts, healthySeconds }) => {
      if (OVER.includes(state)) return [];
      const some = parts.filter((part) => CLOSELY.includes(part.state));
      return some.map(({ nodeId }) => ({ nodeId, healthySeconds }));
    });
  }

  /** Looks at all of them, and sends what follows. */
  async step(): Promise<void> {
    if (this.isStepping) return;
    this.isStepping = true;
    try {
      for (const rollout of this.all.values()) {
        if (!OVER.includes(rollout.state)) await this.stepOne(rollout);
      }
    } finally {
      this.isStepping = false;
    }
  }

  private async stepOne(before: Rollout): Promise<void> {
    const { registry, queue, nowSeconds, newId } = this.parts;
    const { rollout, send } = step(before, {
      now: nowSeconds(),
      device: (nodeId) => registry.get(nodeId),
      request: (id) => this.outcomes.get(id) ?? queue.get(id),
    });
    const parts = rollout.parts.map((part): RolloutPart => {
      return send.includes(part.nodeId) ? { ...part, request: newId() } : part;
    });
    const after = send.length > 0 ? { ...rollout, parts } : rollout;
    if (after !== before) await this.put(after);
    // Also what was written down and not queued before a crash: the id says that it is the same.
    const isQueued = (id: string) => this.outcomes.has(id) || queue.get(id) !== undefined;
    const requests = after.parts.flatMap((part): readonly NewRequest[] => {
      const { nodeId, state, request: id } = part;
      if (state !== "sending" || id === undefined || isQueued(id)) return [];
      const body = { image: after.image.digest, number: after.image.number };
      const { ttlSeconds, id: of } = after;
      return [{ id, nodeId, kind: "update", body, ttlSeconds, rollout: of }];
    });
    if (requests.length > 0) await queue.add(requests);
    if (after.state === "finished") await this.dropImage(after);
  }

  private async change(
    id: string,
    from: readonly string[],
    change: (rollout: Rollout) => Rollout,
  ): Promise<Rollout> {
    const rollout = this.get(id);
    if (!from.includes(rollout.state)) {
      const text = `the roll-out ${id} is ${rollout.state}: only one that is ${from.join(" or ")} can be`;
      throw new FleetError("refused", text);
    }
    await this.put(change(rollout));
    await this.step();
    return this.get(id);
  }

  private async put(rollout: Rollout): Promise<void> {
    const before = this.all.get(rollout.id);
    this.all.set(rollout.id, rollout);
    await this.parts.store.putRollout(rollout);
    const isNews = before?.state !== rollout.state || before.stage !== rollout.stage;
    if (isNews) this.parts.onChanged(rollout);
  }

  private async imageOf(digest: string) {
    const file = await this.parts.store.blob(digest);
    if (!file) {
      throw new FleetError("not-found", `the image ${digest} was not uploaded, or is not kept`);
    }
    return decodeManifest(parseUpdate(file).manifest);
  }

  private async dropImage({ image }: Rollout): Promise<void> {
    const isNeeded = this.list().some((one) => {
      return !OVER.includes(one.state) && one.image.digest === image.digest;
    });
    if (!isNeeded) await this.parts.store.removeBlob(image.digest);
  }
}

function isMeant({ status, revokedAt }: FleetDevice, model: string, number: number): boolean {
  return revokedAt === undefined && status?.model === model && status.imageNumber < number;
}

/** Who was heard of last comes first: a first stage of devices that are away would wait for nobody. */
function inOrder(devices: readonly FleetDevice[]): readonly FleetDevice[] {
  return [...devices].sort((a, b) => (b.lastSeen ?? 0) - (a.lastSeen ?? 0));
}
