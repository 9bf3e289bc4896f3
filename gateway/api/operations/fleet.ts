/** What the operations do that send something to devices or groups, and those of roll-outs. */
import { MAX_ADMIN_BYTES } from "../../../core/messages/admin.ts";
import { encodePlain, type PlainObject } from "../../../core/messages/admin-values.ts";
import type { Fleet, RequestOrder } from "../../fleet/fleet.ts";
import type { JsonObject } from "../../fleet/fleet-types.ts";
import { ImageUpload } from "../../fleet/image-upload.ts";
import { orProblem, requestJson, rolloutJson } from "../fleet-json.ts";
import type { ApiHost } from "../host.ts";
import { type AnyOperation, type Input, serve } from "../operation.ts";
import { ApiProblem } from "../problem.ts";
import { fleetShapes } from "../shapes/fleet.ts";
import { fleetOf, nodeOf } from "./devices.ts";

const DEFAULT_LIMIT = 100;
const DAY_SECONDS = 86_400;
const TTL_SECONDS = 7 * DAY_SECONDS;
const HEALTHY_SECONDS = 3_600;

interface To {
  readonly node_id?: string | undefined;
  readonly group?: string | undefined;
  readonly ttl_seconds?: number | undefined;
}

export function fleetOperations(host: ApiHost): readonly AnyOperation[] {
  const about = ({ node_id }: To) => (node_id === undefined ? undefined : nodeOf(host, node_id));
  return [
    serve(fleetShapes.listDeviceGroups, () => ({
      groups: [...fleetOf(host).registry.groups()].map(([group, devices]) => ({ group, devices })),
    })),
    serve(fleetShapes.setDevicePrices, (input) => setPrices(fleetOf(host), input), about),
    serve(
      fleetShapes.setDeviceSettings,
      (input) => {
        const changes = input.settings as JsonObject;
        demandSendable(changes);
        return send(fleetOf(host), input, { kind: "settings", body: { changes } });
      },
      about,
    ),
    serve(
      fleetShapes.actOnDevices,
      (input) => {
        const { action: method, product } = input;
        const isClear = method === "clear" && product !== undefined;
        const body = { method, params: isClear ? { product } : {} };
        return send(fleetOf(host), input, { kind: "action", body });
      },
      about,
    ),
    serve(
      fleetShapes.listDeviceRequests,
      async ({ node_id, state, limit = DEFAULT_LIMIT }) => {
        const fleet = fleetOf(host);
        const found = await fleet.requests({
          limit,
          ...(node_id !== undefined && { nodeId: node_id }),
          ...(state !== undefined && { state }),
        });
        return { requests: found.map((one) => requestJson(fleet, one)) };
      },
      about,
    ),
    serve(fleetShapes.cancelDeviceRequest, async ({ id }) => {
      const fleet = fleetOf(host);
      return requestJson(fleet, await orProblem(fleet.cancel(id)));
    }),
    ...rolloutOperations(host),
  ];
}

function rolloutOperations(host: ApiHost): readonly AnyOperation[] {
  const { crypto, fleet: known } = host;
  const upload = known && new ImageUpload(known.store, crypto);
  const change = (verb: "pause" | "resume" | "abort") => async (input: { readonly id: string }) => {
    const fleet = fleetOf(host);
    return rolloutJson(fleet, await orProblem(fleet.rollouts[verb](input.id)));
  };
  return [
    serve(fleetShapes.uploadImage, async ({ bytes: text, ...piece }) => {
      fleetOf(host);
      const bytes = new Uint8Array(Buffer.from(text, "base64"));
      return orProblem((upload as ImageUpload).put({ ...piece, bytes }));
    }),
    serve(fleetShapes.startRollout, async (input) => {
      const fleet = fleetOf(host);
      const started = fleet.rollouts.start({
        image: input.image,
        ...(input.group !== undefined && { group: input.group }),
        stages: input.stages ?? fleetShapes.startRollout.body.properties.stages.default,
        healthySeconds: input.healthy_seconds ?? HEALTHY_SECONDS,
        silentSeconds: input.silent_seconds ?? DAY_SECONDS,
        maxFailures: input.max_failures ?? 0,
        ttlSeconds: input.ttl_seconds ?? TTL_SECONDS,
      });
      return rolloutJson(fleet, await orProblem(started));
    }),
    serve(fleetShapes.listRollouts, () => {
      const fleet = fleetOf(host);
      return { rollouts: fleet.rollouts.list().map((one) => rolloutJson(fleet, one)) };
    }),
    serve(fleetShapes.getRollout, async ({ id }) => {
      const fleet = fleetOf(host);
      return orProblem(Promise.resolve().then(() => rolloutJson(fleet, fleet.rollouts.get(id))));
    }),
    serve(fleetShapes.pauseRollout, change("pause")),
    serve(fleetShapes.resumeRollout, change("resume")),
    serve(fleetShapes.abortRollout, change("abort")),
  ];
}

async function setPrices(fleet: Fleet, input: Input<typeof fleetShapes.setDevicePrices>) {
  const products = input.products
    .map(({ number: id, name, price_msat: priceMsat }) => ({ id, name, priceMsat }))
    .sort((a, b) => a.id - b.id);
  const twice = products.find(({ id }, index) => products[index + 1]?.id === id);
  if (twice) {
    throw new ApiProblem("invalid-request", `the product ${twice.id} is there twice`);
  }
  recipients(fleet, input);
  const revision = await fleet.keep(new Uint8Array(Buffer.from(JSON.stringify(products))));
  const { requests } = await send(fleet, input, { kind: "prices", body: { revision } });
  return { revision, requests };
}

async function send(fleet: Fleet, to: To, what: Pick<RequestOrder, "kind" | "body">) {
  const nodeIds = recipients(fleet, to);
  const ttlSeconds = to.ttl_seconds ?? TTL_SECONDS;
  const requests = await orProblem(fleet.request({ ...what, nodeIds, ttlSeconds }));
  return { requests: requests.map((one) => requestJson(fleet, one)) };
}

function recipients(fleet: Fleet, { node_id, group }: To): readonly string[] {
  if ((node_id === undefined) === (group === undefined)) {
    throw new ApiProblem("invalid-request", "name either a node_id or a group");
  }
  if (node_id !== undefined) return [node_id];
  const found = fleet.registry.inGroup(group as string).map(({ nodeId }) => nodeId);
  if (found.length === 0) throw new ApiProblem("not-found", `no device is in the group ${group}`);
  return found;
}

/** Before anything waits with it: a device could not read it. */
function demandSendable(changes: JsonObject): void {
  let length: number;
  try {
    length = encodePlain(changes as PlainObject).length;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new ApiProblem("invalid-request", `a device cannot be sent these settings: ${reason}`);
  }
  if (length <= MAX_ADMIN_BYTES) return;
  const text = `the settings have ${length} bytes, a device takes ${MAX_ADMIN_BYTES}`;
  throw new ApiProblem("invalid-request", text);
}
