/** The fleet as the API shows it. */
import type { Fleet } from "../fleet/fleet.ts";
import { FleetError, type FleetErrorCode } from "../fleet/fleet-error.ts";
import type { FleetDevice, FleetRequest, ListedSale } from "../fleet/fleet-types.ts";
import type { Rollout } from "../fleet/rollout.ts";
import { ApiProblem, type ProblemName } from "./problem.ts";

const PROBLEM_OF: Readonly<Record<FleetErrorCode, ProblemName>> = {
  "not-found": "not-found",
  refused: "refused",
  wrong: "invalid-request",
  full: "refused",
};

/** What the fleet refuses, as a problem. */
export async function orProblem<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (cause) {
    if (cause instanceof FleetError) throw new ApiProblem(PROBLEM_OF[cause.code], cause.message);
    throw cause;
  }
}

export function deviceFields(fleet: Fleet | undefined, device: FleetDevice | undefined) {
  const { status, prices } = device ?? {};
  const version = status?.priceListVersion;
  return {
    name: device?.name ?? null,
    groups: [...(device?.groups ?? [])],
    state: device && fleet ? fleet.state(device) : null,
    last_seen: timeOf(device?.lastSeen),
    claimed_at: timeOf(device?.claimedAt),
    revoked_at: timeOf(device?.revokedAt),
    model: status?.model ?? null,
    firmware: status?.firmware ?? null,
    image_number: status?.imageNumber ?? null,
    image_confirmed: status?.isConfirmed ?? null,
    app: status?.app ?? null,
    ready: status?.isReady ?? null,
    price_list: {
      revision: prices?.revision ?? null,
      version: version ?? null,
      products: status?.priceListTotal ?? null,
      current: prices !== undefined && prices.version === version,
    },
    owed_msat: status?.owedMsat ?? null,
    waiting_requests: device && fleet ? fleet.queue.of(device.nodeId).length : 0,
    alarms: device && fleet ? fleet.alarms.of(device.nodeId).map(withoutDevice) : [],
  };
}

export function saleJson(sale: ListedSale) {
  return {
    sequence: sale.sequence,
    node_id: sale.nodeId,
    at: time(sale.at),
    kind: sale.kind,
    reference: sale.reference,
    product: sale.product ?? null,
    amount_msat: sale.amountMsat ?? null,
    reason: sale.reason ?? null,
  };
}

export function requestJson(fleet: Fleet, request: FleetRequest) {
  const { failure } = request;
  return {
    id: request.id,
    node_id: request.nodeId,
    kind: request.kind,
    state: request.state,
    created_at: time(request.createdAt),
    expires_at: time(request.expiresAt),
    finished_at: timeOf(request.finishedAt),
    attempts: request.attempts,
    percent: fleet.progressOf(request.id) ?? null,
    failure: failure
      ? { code: failure.code, device_code: failure.deviceCode ?? null, text: failure.text }
      : null,
    rollout: request.rollout ?? null,
  };
}

export function rolloutJson(fleet: Fleet, rollout: Rollout) {
  return {
    id: rollout.id,
    state: rollout.state,
    reason: rollout.reason ?? null,
    image: { ...rollout.image },
    group: rollout.group ?? null,
    created_at: time(rollout.createdAt),
    stages: [...rollout.stages],
    stage: rollout.stage + 1,
    healthy_seconds: rollout.healthySeconds,
    silent_seconds: rollout.silentSeconds,
    max_failures: rollout.maxFailures,
    devices: rollout.parts.map(({ nodeId, state, since, reason, request }) => ({
      node_id: nodeId,
      state,
      since: time(since),
      reason: reason ?? null,
      percent: request === undefined ? null : (fleet.progressOf(request) ?? null),
    })),
  };
}

function withoutDevice({ name, text }: { readonly name: string; readonly text: string }) {
  return { name, text };
}

function timeOf(seconds: number | undefined): string | null {
  return seconds === undefined ? null : time(seconds);
}

function time(seconds: number): string {
  return new Date(Math.floor(seconds * 1_000)).toISOString();
}
