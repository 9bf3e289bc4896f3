/** Operations about backups and watchtowers, as callers see them. */
import { Type } from "@sinclair/typebox";
import type { OperationShape } from "../operation.ts";
import { Count, Given, Msat, NodeId, Nullable, OneOf, Time } from "../schemas.ts";

const Bytes = (description: string) => Type.Integer({ minimum: 0, description });

const StoreBackup = Type.Object(
  {
    path: Type.String(),
    created_at: Nullable(Time("Null: there is none yet")),
    bytes: Bytes("As it is encrypted"),
    every_hours: Count("0: on demand alone"),
    failure: Nullable(Type.String({ description: "Why the last one was not made" })),
    stream: Nullable(
      Type.Object({
        path: Type.String(),
        written_at: Nullable(Time("Of the newest change that it has")),
        every_seconds: Count(),
        is_whole: Type.Boolean({ description: "It continues the snapshot without a gap" }),
        is_current: Type.Boolean({ description: "Nothing was stored that it lacks" }),
      }),
    ),
  },
  { title: "StoreBackup" },
);

export const backupShapes = {
  getBackup: {
    name: "getBackup",
    group: "read",
    method: "GET",
    path: "/api/backup",
    tag: "Backups",
    summary: "Which backups there are, where, and how current",
    description:
      "All of them are encrypted under the seed. The channels' backup brings channels back to be closed; a copy of " +
      "the store lets those go on in which nothing happened since.",
    answer: Type.Object(
      {
        channels: Type.Object({
          count: Count("Channels in it"),
          paths: Type.Array(Type.String()),
          written_at: Nullable(Time("The last change of the set of channels")),
          is_current: Type.Boolean({ description: "Every place has the newest" }),
        }),
        store: Nullable(StoreBackup),
        peers: Type.Array(
          Type.Object(
            {
              node_id: NodeId,
              given_at: Nullable(Time("Since the start; null: not yet")),
              is_current: Type.Boolean({
                description: "It was given the newest, as far as it says",
              }),
              channels: Count("That found room in what it keeps"),
            },
            { title: "PeerBackup" },
          ),
        ),
        s3: Nullable(
          Type.Object({
            place: Type.String(),
            channels_at: Nullable(Time("Since the start")),
            snapshot_at: Nullable(Time("Since the start")),
            stream_at: Nullable(Time("Since the start")),
            is_current: Type.Boolean(),
            failure: Nullable(Type.String()),
          }),
        ),
      },
      { title: "Backups" },
    ),
  },
  makeBackup: {
    name: "makeBackup",
    group: "admin",
    method: "POST",
    path: "/api/backup",
    tag: "Backups",
    summary: "Copy the store now",
    description: "While it runs; the answer comes when the copy is in its place.",
    answer: Type.Object(
      { path: Type.String(), bytes: Bytes("Encrypted"), created_at: Time("Of the copy") },
      { title: "MadeBackup" },
    ),
  },
  downloadBackup: {
    name: "downloadBackup",
    group: "admin",
    method: "GET",
    path: "/api/backup/channels",
    tag: "Backups",
    summary: "The channels' backup itself",
    description: "Encrypted under the seed: it may be kept anywhere.",
    answer: Type.Object(
      {
        name: Type.String(),
        created_at: Time("When it was written"),
        base64: Type.String({ description: "What belongs into the file" }),
      },
      { title: "BackupFile" },
    ),
  },
  getDeviceBackup: {
    name: "getDeviceBackup",
    group: "device",
    method: "GET",
    path: "/api/devices/{node_id}/backup",
    tag: "Backups",
    summary: "The backup that a device left here for its owner",
    description:
      "Of its settings and of where its channels are, sealed to its owner's key: nobody else reads it. For the day that the device breaks.",
    parameters: Given({ node_id: NodeId }),
    answer: Type.Object(
      {
        node_id: NodeId,
        base64: Type.String({ description: "As picobolt backup would have saved it" }),
      },
      { title: "DeviceBackup" },
    ),
  },
  getTower: {
    name: "getTower",
    group: "read",
    method: "GET",
    path: "/api/tower",
    tag: "Tower",
    summary: "Who watches for this gateway, and for whom it watches",
    answer: Type.Object(
      {
        client: Nullable(
          Type.Object(
            {
              tower: NodeId,
              state: OneOf(["away", "registered", "connected"], "registered: it takes states"),
              waiting_states: Count("Revoked states that it has yet to take"),
              lost_states: Count("That it never got, and that no room was left for"),
              unseen_states: Count("Of the time before there was a tower"),
              unprotected_msat: Msat("What a cheat with one of those could take"),
            },
            { title: "TowerClient" },
          ),
        ),
        server: Nullable(
          Type.Object(
            {
              clients: Count(),
              slots: Count("Blobs that are kept"),
              slots_per_client: Count("The quota of each"),
              slots_total: Count("The quota of all"),
              breaches: Count("Revoked commitments that it is punishing now"),
              penalties: Count("Outputs that it took from cheats since the start"),
            },
            { title: "TowerServer" },
          ),
        ),
      },
      { title: "Tower" },
    ),
  },
} as const satisfies Record<string, OperationShape>;
