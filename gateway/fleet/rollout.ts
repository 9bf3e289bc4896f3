/** A firmware roll-out as data, and what follows for it from what devices say: stages, trial, health, halt. Pure. */
import type { DeviceStatus, FleetDevice, FleetRequest } from "./fleet-types.ts";

export type RolloutState = "running" | "paused" | "halted" | "aborted" | "finished";

/**
 * waiting: not its turn · sending: the image is on its way · trial: sent, and not confirmed yet · watched: confirmed,
 * and not healthy for long enough · done · failed · missed: it was not there in time, which is no fault of the image.
 */
export type PartState = "waiting" | "sending" | "trial" | "watched" | "done" | "failed" | "missed";

export interface RolloutPart {
  readonly nodeId: string;
  readonly state: PartState;
  /** Of this state; Unix seconds. */
  readonly since: number;
  readonly request?: string;
  readonly reason?: string;
  /** Its app was ready before. */
  readonly wasReady?: boolean;
}

export interface RolloutImage {
  /** SHA-256 of the update file. */
  readonly digest: string;
  readonly model: string;
  readonly version: string;
  readonly number: number;
}

export interface Rollout {
  readonly id: string;
  readonly image: RolloutImage;
  readonly group?: string;
  readonly createdAt: number;
  /** As they were given: "1", "10%", "100%". */
  readonly stages: readonly string[];
  /** From 0. */
  readonly stage: number;
  /** With the new image, before it counts. */
  readonly healthySeconds: number;
  /** A device that is not heard of for so long after it was sent the image has failed. */
  readonly silentSeconds: number;
  /** So many failures are borne; one more halts it. */
  readonly maxFailures: number;
  /** How long the image waits for a device that is away. */
  readonly ttlSeconds: number;
  readonly state: RolloutState;
  /** Why it halted. */
  readonly reason?: string;
  readonly parts: readonly RolloutPart[];
}

export interface RolloutFacts {
  readonly now: number;
  device(nodeId: string): FleetDevice | undefined;
  request(id: string): Pick<FleetRequest, "state" | "failure" | "finishedAt"> | undefined;
}

export interface RolloutStep {
  readonly rollout: Rollout;
  /** To be sent the image now. */
  readonly send: readonly string[];
}

/** Its clock and ours are not the same. */
const CLOCK_SECONDS = 2;
const CRASHES: readonly string[] = ["crash", "watchdog"];
const SETTLED: readonly PartState[] = ["done", "failed", "missed"];

/** How many devices have had their turn when this stage is over: at least one, and all in the last. */
export function devicesIn(stage: string, all: number): number {
  const share = /^(\d+(?:\.\d+)?)%$/.exec(stage);
  const count = share ? Math.ceil((Number(share[1]) * all) / 100) : Number(stage);
  return Math.max(1, Math.min(all, count));
}

/** Why these are no stages; undefined where they are. */
export function stagesProblem(stages: readonly string[]): string | undefined {
  const form = /^(?:[1-9]\d{0,5}|(?:100|[1-9]?\d(?:\.\d+)?)%)$/;
  const wrong = stages.find((stage) => !form.test(stage) || Number.parseFloat(stage) === 0);
  if (wrong !== undefined) return `"${wrong}" is no stage: a number of devices, or a share as 10%`;
  if (stages.at(-1) !== "100%") return "the last stage is 100%";
  const isRising = (same: (stage: string) => boolean) => {
    const some = stages.filter(same).map((stage) => Number.parseFloat(stage));
    return some.every((value, index) => index === 0 || value > (some[index - 1] as number));
  };
  const isShare = (stage: string) => stage.endsWith("%");
  if (isRising(isShare) && isRising((stage) => !isShare(stage))) return undefined;
  return "each stage has more devices than the one before";
}

/** What follows from how the devices are now; the same again where nothing follows. */
export function step(rollout: Rollout, facts: RolloutFacts): RolloutStep {
  if (rollout.state === "aborted" || rollout.state === "finished") return { rollout, send: [] };
  // Also while it is paused or halted: what was sent is watched to its end.
  const parts = rollout.parts.map((part) => looked(rollout, part, facts));
  const isSame = parts.every((part, index) => part === rollout.parts[index]);
  const seen = isSame ? rollout : { ...rollout, parts };
  if (seen.state !== "running") return { rollout: seen, send: [] };
  const halted = haltReason(seen);
  if (halted) return { rollout: { ...seen, state: "halted", reason: halted }, send: [] };
  return advanced(seen, facts.now);
}

/** Failures of this try: those that were there when it was resumed do not count again. */
export function failuresOf({ parts }: Rollout): number {
  return parts.filter(({ state }) => state === "failed").length;
}

/** What failed is tried again; what was missed too. */
export function resumed(rollout: Rollout, now: number): Rollout {
  const { reason: _, ...rest } = rollout;
  const parts = rollout.parts.map((part): RolloutPart => {
    const isAgain = part.state === "failed" || part.state === "missed";
    return isAgain ? { nodeId: part.nodeId, state: "waiting", since: now } : part;
  });
  return { ...rest, state: "running", parts };
}

function advanced(rollout: Rollout, now: number): RolloutStep {
  const { parts, stages, stage } = rollout;
  const turn = devicesIn(stages[stage] as string, parts.length);
  const mine = parts.slice(0, turn);
  if (mine.every(({ state }) => SETTLED.includes(state))) {
    if (stage + 1 >= stages.length) {
      return { rollout: { ...rollout, state: "finished" }, send: [] };
    }
    return advanced({ ...rollout, stage: stage + 1 }, now);
  }
  const send = mine.filter(({ state }) => state === "waiting").map(({ nodeId }) => nodeId);
  if (send.length === 0) return { rollout, send };
  const next = parts.map((part): RolloutPart => {
    if (!send.includes(part.nodeId)) return part;
    return { ...part, state: "sending", since: now };
  });
  return { rollout: { ...rollout, parts: next }, send };
}

function haltReason(rollout: Rollout): string | undefined {
  const { parts, stages, stage, maxFailures } = rollout;
  const failed = parts.filter(({ state }) => state === "failed");
  if (failed.length > maxFailures) {
    const [{ nodeId, reason } = {} as RolloutPart] = failed;
    const which = `${failed.length} of ${parts.length} devices failed, ${maxFailures} are borne`;
    return `${which}: ${nodeId?.slice(0, 16)} ${reason}`;
  }
  const turn = parts.slice(0, devicesIn(stages[stage] as string, parts.length));
  const isOver = turn.every(({ state }) => SETTLED.includes(state));
  const isProven = turn.some(({ state }) => state === "done");
  // Nobody has shown that it runs: more devices would be sent an image that nobody tried.
  if (isOver && !isProven) return `nobody of stage ${stage + 1} has confirmed the image`;
  return undefined;
}

function looked(rollout: Rollout, part: RolloutPart, facts: RolloutFacts): RolloutPart {
  const device = facts.device(part.nodeId);
  const { now } = facts;
  const ends = (state: PartState, reason?: string): RolloutPart => {
    const { reason: _, ...rest } = part;
    return { ...rest, state, since: now, ...(reason !== undefined && { reason }) };
  };
  if (SETTLED.includes(part.state)) return part;
  if (!device || device.revokedAt !== undefined) return ends("missed", "is not of the fleet now");
  switch (part.state) {
    case "waiting":
      return part;
    case "sending": {
      const request = part.request === undefined ? undefined : facts.request(part.request);
      if (!request || request.state === "waiting") return part;
      if (request.state === "succeeded") {
        return { ...ends("trial"), since: request.finishedAt ?? now };
      }
      const { code, text } = request.failure ?? { code: "refused", text: "it failed" };
      return ends(code === "refused" ? "failed" : "missed", text);
    }
    case "trial":
      return tried(rollout, part, { device, now, ends });
    default:
      return watched(rollout, part, { device, now, ends });
  }
}

interface Look {
  readonly device: FleetDevice;
  readonly now: number;
  ends(state: PartState, reason?: string): RolloutPart;
}

function tried(rollout: Rollout, part: RolloutPart, { device, now, ends }: Look): RolloutPart {
  const { image, silentSeconds } = rollout;
  const { status } = device;
  const isNew = status !== undefined && status.imageNumber >= image.number;
  if (isNew && status.isConfirmed && status.askedAt >= part.since) return ends("watched");
  if (status && !isNew && hasStartedSince(status, part.since)) {
    return ends("failed", `went back to image ${status.imageNumber}`);
  }
  const text = isNew ? "did not confirm the image" : "was not heard of since it took the image";
  if (now - part.since > silentSeconds) return ends("failed", text);
  return part;
}

function watched(rollout: Rollout, part: RolloutPart, { device, now, ends }: Look): RolloutPart {
  const { image, healthySeconds, silentSeconds } = rollout;
  const { status } = device;
  if (!status || status.askedAt < part.since) {
    return now - part.since > silentSeconds ? ends("failed", "went silent") : part;
  }
  if (status.imageNumber < image.number) {
    return ends("failed", `went back to image ${status.imageNumber}`);
  }
  const illness = illnessOf(status, part);
  if (illness) return ends("failed", illness);
  // Health is what it said itself at the end of the time, not that nobody heard of it.
  if (status.askedAt >= part.since + healthySeconds) return ends("done");
  if (now - status.askedAt > silentSeconds) return ends("failed", "went silent");
  return part;
}

/** Why the new image is to blame; undefined: it is not. */
function illnessOf(status: DeviceStatus, part: RolloutPart): string | undefined {
  const hasCrashed = CRASHES.includes(status.resetReason) && hasStartedSince(status, part.since);
  if (hasCrashed) return `started anew after: ${status.resetReason}`;
  if (part.wasReady && !status.isReady) {
    return `its app is not ready any more${status.note ? `: ${status.note}` : ""}`;
  }
  return undefined;
}

function hasStartedSince({ askedAt, uptimeSeconds }: DeviceStatus, since: number): boolean {
  return askedAt >= since && askedAt - uptimeSeconds >= since - CLOCK_SECONDS;
}
