/** Operations that send something to devices or groups, and firmware roll-outs, as callers see them. */
import { Type } from "@sinclair/typebox";
import { REQUEST_KINDS, REQUEST_STATES } from "../../fleet/fleet-types.ts";
import type { OperationShape } from "../operation.ts";
import { Count, Given, Limit, NodeId, Nullable, OneOf, Time } from "../schemas.ts";
import { GroupName } from "./devices.ts";

const Id = Type.String({ pattern: "^[0-9a-f]{32}$" });
const Digest = Type.String({ pattern: "^[0-9a-f]{64}$", description: "SHA-256" });
const MAX_SECONDS = 31_536_000;
const DAY_SECONDS = 86_400;
const Seconds = (usual: number, description: string) =>
  Type.Optional(Type.Integer({ minimum: 1, maximum: MAX_SECONDS, default: usual, description }));

/** One of the two. */
const To = {
  node_id: Type.Optional(NodeId),
  group: Type.Optional(GroupName),
  ttl_seconds: Seconds(7 * DAY_SECONDS, "A device that was not there until then never gets it"),
};

export const DeviceRequest = Type.Object(
  {
    id: Id,
    node_id: NodeId,
    kind: OneOf(REQUEST_KINDS, "What is sent"),
    state: OneOf(REQUEST_STATES, "waiting: for the device, or on its way"),
    created_at: Time("When it was asked for"),
    expires_at: Time("Until when it waits"),
    finished_at: Nullable(Time("When it was done, or failed")),
    attempts: Count("Times that it was begun"),
    percent: Nullable(Count("Of an image that is being sent")),
    failure: Nullable(
      Type.Object({
        code: OneOf(
          [
            "refused",
            "expired",
            "superseded",
            "cancelled",
            "revoked",
            "not-owner",
            "unknown-outcome",
          ],
          "refused: by the device, with its own code",
        ),
        device_code: Nullable(Type.String()),
        text: Type.String(),
      }),
    ),
    rollout: Nullable(Id),
  },
  { title: "DeviceRequest" },
);
const Requests = Type.Object({ requests: Type.Array(DeviceRequest) });

export const Rollout = Type.Object(
  {
    id: Id,
    state: OneOf(["running", "paused", "halted", "aborted", "finished"], "Where it stands"),
    reason: Nullable(Type.String({ description: "Why it halted" })),
    image: Type.Object({
      digest: Digest,
      model: Type.String(),
      version: Type.String(),
      number: Count(),
    }),
    group: Nullable(Type.String()),
    created_at: Time("When it began"),
    stages: Type.Array(Type.String()),
    stage: Count("From 1"),
    healthy_seconds: Count(),
    silent_seconds: Count(),
    max_failures: Count(),
    devices: Type.Array(
      Type.Object({
        node_id: NodeId,
        state: OneOf(
          ["waiting", "sending", "trial", "watched", "done", "failed", "missed"],
          "missed: it was away for too long",
        ),
        since: Time("Of this state"),
        reason: Nullable(Type.String()),
        percent: Nullable(Count()),
      }),
    ),
  },
  { title: "Rollout" },
);

/** 32 KB in base64 fit a request's body. */
export const MAX_PIECE_TEXT = 45_056;

const changeRollout = (name: string, verb: string, summary: string) => ({
  name,
  group: "device" as const,
  method: "POST" as const,
  path: `/api/rollouts/{id}/${verb}`,
  tag: "Devices",
  summary,
  parameters: Given({ id: Id }),
  answer: Rollout,
});

export const fleetShapes = {
  listDeviceGroups: {
    name: "listDeviceGroups",
    group: "read",
    alsoFor: ["device"],
    method: "GET",
    path: "/api/device-groups",
    tag: "Devices",
    summary: "Groups, and how many devices are in each",
    answer: Type.Object({
      groups: Type.Array(Type.Object({ group: Type.String(), devices: Count() })),
    }),
  },
  setDevicePrices: {
    name: "setDevicePrices",
    group: "device",
    method: "POST",
    path: "/api/device-prices",
    tag: "Devices",
    summary: "A price list for a device or a group; it goes live on each as a whole",
    body: Given({
      ...To,
      products: Type.Array(
        Type.Object(
          {
            number: Type.Integer({ minimum: 0, maximum: 65_535 }),
            name: Type.String({ minLength: 1, maxLength: 64 }),
            price_msat: Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER }),
          },
          { additionalProperties: false },
        ),
        { minItems: 1, maxItems: 1_000 },
      ),
    }),
    answer: Type.Object({ revision: Digest, requests: Type.Array(DeviceRequest) }),
  },
  setDeviceSettings: {
    name: "setDeviceSettings",
    group: "device",
    method: "POST",
    path: "/api/device-settings",
    tag: "Devices",
    summary: "Changed settings for a device or a group; what is not named stays",
    body: Given({
      ...To,
      settings: Type.Record(Type.String(), Type.Any(), { description: "docs/ADMIN.md, claim" }),
    }),
    answer: Requests,
  },
  actOnDevices: {
    name: "actOnDevices",
    group: "device",
    method: "POST",
    path: "/api/device-actions",
    tag: "Devices",
    summary: "Something that a device or a group does once",
    body: Given({
      ...To,
      action: OneOf(
        ["identify", "clear", "reboot"],
        "clear: its owner has looked at its faults; none is sent twice",
      ),
      product: Type.Optional(
        Type.Integer({ minimum: 0, maximum: 65_535, description: "To clear" }),
      ),
    }),
    answer: Requests,
  },
  listDeviceRequests: {
    name: "listDeviceRequests",
    group: "read",
    alsoFor: ["device"],
    method: "GET",
    path: "/api/device-requests",
    tag: "Devices",
    summary: "What was sent to devices and what waits for them, the newest first",
    query: Given({
      node_id: Type.Optional(NodeId),
      state: Type.Optional(OneOf(REQUEST_STATES, "Only these")),
      limit: Limit,
    }),
    answer: Requests,
  },
  cancelDeviceRequest: {
    name: "cancelDeviceRequest",
    group: "device",
    method: "DELETE",
    path: "/api/device-requests/{id}",
    tag: "Devices",
    summary: "A request that waits is not sent any more",
    parameters: Given({ id: Id }),
    answer: DeviceRequest,
  },
  uploadImage: {
    name: "uploadImage",
    group: "device",
    method: "POST",
    path: "/api/images",
    tag: "Devices",
    summary: "A piece of an update file, in order; kept once it is whole",
    body: Given({
      digest: Digest,
      length: Type.Integer({ minimum: 1, maximum: 17_000_000, description: "Of the whole file" }),
      offset: Type.Integer({ minimum: 0, maximum: 17_000_000 }),
      bytes: Type.String({ maxLength: MAX_PIECE_TEXT, description: "base64; up to 32 KB" }),
    }),
    answer: Type.Object({
      received: Count("Where the next piece begins"),
      complete: Type.Boolean(),
    }),
  },
  startRollout: {
    name: "startRollout",
    group: "device",
    method: "POST",
    path: "/api/rollouts",
    tag: "Devices",
    summary: "Roll an uploaded image out in stages",
    body: Given({
      image: Digest,
      group: Type.Optional(GroupName),
      stages: Type.Optional(
        Type.Array(Type.String({ maxLength: 8 }), {
          minItems: 1,
          maxItems: 16,
          default: ["1", "10%", "100%"],
          description: "Numbers of devices or shares of them, rising; the last is 100%",
        }),
      ),
      healthy_seconds: Seconds(3_600, "With the confirmed image, before a device counts"),
      silent_seconds: Seconds(DAY_SECONDS, "Not heard of since it was sent the image: failed"),
      max_failures: Type.Optional(
        Type.Integer({
          minimum: 0,
          maximum: 100_000,
          default: 0,
          description: "One more halts it",
        }),
      ),
      ttl_seconds: Seconds(7 * DAY_SECONDS, "The image waits so long for a device that is away"),
    }),
    answer: Rollout,
  },
  listRollouts: {
    name: "listRollouts",
    group: "read",
    alsoFor: ["device"],
    method: "GET",
    path: "/api/rollouts",
    tag: "Devices",
    summary: "All roll-outs, the newest first",
    answer: Type.Object({ rollouts: Type.Array(Rollout) }),
  },
  getRollout: {
    name: "getRollout",
    group: "read",
    alsoFor: ["device"],
    method: "GET",
    path: "/api/rollouts/{id}",
    tag: "Devices",
    summary: "One roll-out, with each device",
    parameters: Given({ id: Id }),
    answer: Rollout,
  },
  pauseRollout: changeRollout("pauseRollout", "pause", "Nothing more is sent until it is resumed"),
  resumeRollout: changeRollout(
    "resumeRollout",
    "resume",
    "Go on with a paused or halted one; devices that failed are tried again",
  ),
  abortRollout: changeRollout(
    "abortRollout",
    "abort",
    "End it; devices keep the image that they have by now",
  ),
} as const satisfies Record<string, OperationShape>;
