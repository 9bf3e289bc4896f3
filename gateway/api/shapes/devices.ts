/** Operations about devices, as callers see them; what is sent to many is in fleet.ts. */
import { Type } from "@sinclair/typebox";
import { DEVICE_STATES } from "../../fleet/device-status.ts";
import { SALE_KINDS } from "../../fleet/fleet-types.ts";
import type { OperationShape } from "../operation.ts";
import { Count, Given, Limit, Msat, NodeId, Nullable, OneOf, Time } from "../schemas.ts";

export const DeviceName = Type.String({ minLength: 1, maxLength: 32 });
export const GroupName = Type.String({ pattern: "^[A-Za-z0-9_.-]{1,32}$" });
export const Groups = Type.Array(GroupName, { maxItems: 16, uniqueItems: true });

const PriceListOfDevice = Type.Object({
  revision: Nullable(Type.String({ description: "SHA-256 of the list that was sent last" })),
  version: Nullable(Count("The device's own number of the list that is live on it")),
  products: Nullable(Count()),
  current: Type.Boolean({ description: "The list that was sent last is the one that is live" }),
});

export const Device = Type.Object(
  {
    node_id: NodeId,
    name: Nullable(Type.String()),
    groups: Type.Array(Type.String()),
    state: Nullable(
      OneOf(
        DEVICE_STATES,
        "expected: not heard of yet; asleep: away, and not for too long; null: not of the fleet",
      ),
    ),
    connected: Type.Boolean(),
    link: Nullable(Type.String({ description: "mqtt:…, serial:…; null while it is away" })),
    presence: Nullable(
      OneOf(["online", "offline"], "What the broker says; null where it says nothing"),
    ),
    channels: Count(),
    local_balance_msat: Msat("Ours in its channels: what it can receive"),
    remote_balance_msat: Msat("The device's"),
    last_seen: Nullable(Time("When it was heard of last")),
    claimed_at: Nullable(Time("When it first answered this gateway as its owner")),
    revoked_at: Nullable(Time("When it was revoked")),
    model: Nullable(Type.String()),
    firmware: Nullable(Type.String()),
    image_number: Nullable(Count()),
    image_confirmed: Nullable(Type.Boolean()),
    app: Nullable(Type.String()),
    ready: Nullable(Type.Boolean({ description: "It can deliver" })),
    price_list: PriceListOfDevice,
    owed_msat: Nullable(Msat("What it has to give back and cannot now")),
    waiting_requests: Count(),
    alarms: Type.Array(Type.Object({ name: Type.String(), text: Type.String() })),
  },
  { title: "Device" },
);

export const DeviceSale = Type.Object(
  {
    sequence: Count("For `before`"),
    node_id: NodeId,
    at: Time("By the device's own clock since its start"),
    kind: OneOf(SALE_KINDS, "owed: it could not be given back, the owner has it"),
    reference: Type.String({ description: "Of the push, the HTLC's hash, or the meter's session" }),
    product: Nullable(Count("Its number; the units where it was metered")),
    amount_msat: Nullable(Msat("Where the device knew it")),
    reason: Nullable(Type.String()),
  },
  { title: "DeviceSale" },
);

/** As the device takes them (docs/ADMIN.md "claim"). */
const ClaimSettings = Type.Object(
  {
    payout: Type.String({ maxLength: 256, description: "Extended public key or descriptor" }),
    code: Type.Optional(Type.String({ maxLength: 16 })),
    app: Type.Optional(Type.String({ maxLength: 32 })),
    app_settings: Type.Optional(Type.Record(Type.String(), Type.Any())),
  },
  { additionalProperties: false },
);

export const deviceShapes = {
  listDevices: {
    name: "listDevices",
    group: "read",
    alsoFor: ["device"],
    method: "GET",
    path: "/api/devices",
    tag: "Devices",
    summary: "The fleet, and nodes that come over MQTT or a serial port, or came so with a channel",
    query: Given({ group: Type.Optional(GroupName) }),
    processes: { devices: "node_id" },
    answer: Type.Object({ devices: Type.Array(Device) }),
  },
  getDevice: {
    name: "getDevice",
    group: "read",
    alsoFor: ["device"],
    method: "GET",
    path: "/api/devices/{node_id}",
    tag: "Devices",
    summary: "One device",
    parameters: Given({ node_id: NodeId }),
    processes: "holder",
    answer: Device,
  },
  claimDevice: {
    name: "claimDevice",
    group: "device",
    method: "POST",
    path: "/api/devices",
    tag: "Devices",
    summary: "Take a device into the fleet; said again it changes name and groups",
    description:
      "With `claim` a device without an owner that is on a cable of this gateway is claimed now. Without it the device is expected: it was, or is being, claimed for this gateway's node id.",
    body: Given({
      node_id: NodeId,
      name: DeviceName,
      groups: Type.Optional(Groups),
      claim: Type.Optional(ClaimSettings),
    }),
    answer: Type.Object({
      device: Device,
      owner: NodeId,
      mqtt: Nullable(
        Type.Record(Type.String(), Type.Any(), {
          description: "For the device's setting mqtt, with its password",
        }),
      ),
    }),
  },
  revokeDevice: {
    name: "revokeDevice",
    group: "device",
    method: "DELETE",
    path: "/api/devices/{node_id}",
    tag: "Devices",
    summary: "Administer it no more, and take its password at the broker; its channels stay",
    parameters: Given({ node_id: NodeId }),
    answer: Type.Object({ device: Device, had_credentials: Type.Boolean() }),
  },
  setDeviceGroups: {
    name: "setDeviceGroups",
    group: "device",
    method: "PUT",
    path: "/api/devices/{node_id}/groups",
    tag: "Devices",
    summary: "Another set of groups for a device",
    parameters: Given({ node_id: NodeId }),
    body: Given({ groups: Groups }),
    answer: Device,
  },
  listDeviceSales: {
    name: "listDeviceSales",
    group: "read",
    alsoFor: ["device"],
    method: "GET",
    path: "/api/devices/{node_id}/sales",
    tag: "Devices",
    summary: "What it delivered and gave back, the newest first",
    parameters: Given({ node_id: NodeId }),
    query: Given({
      kind: Type.Optional(OneOf(SALE_KINDS, "Only these")),
      before: Type.Optional(Type.Integer({ minimum: 1, description: "Older than this sequence" })),
      limit: Limit,
    }),
    answer: Type.Object({ sales: Type.Array(DeviceSale) }),
    csv: {
      list: "sales",
      columns: ["sequence", "at", "kind", "product", "amount_msat", "reference", "reason"],
    },
  },
} as const satisfies Record<string, OperationShape>;
