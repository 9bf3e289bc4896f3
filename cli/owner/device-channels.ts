/** The channels of a device in the API's words, so that a script need not know whom it asked. */
import type { AdminClient, ChannelSummary } from "../../gateway/admin/client.ts";
import { EXIT, Failure } from "../failure.ts";
import { startingWith } from "../gateway/words.ts";

export interface DeviceChannel {
  readonly channel_id: string;
  /** Null where nothing but the channel's end is left. */
  readonly peer_node_id: string | null;
  readonly state: string;
  readonly capacity_sat: number;
  readonly local_balance_msat: number;
  readonly remote_balance_msat: number;
  /** Child of the payout key that it pays to. */
  readonly key_index: number | null;
}

const NAMING = { what: "channel", id: ({ channel_id }: DeviceChannel) => channel_id };

export async function channelsOfDevice(device: AdminClient): Promise<readonly DeviceChannel[]> {
  return (await device.channels()).map(inWords);
}

export async function deviceChannel(device: AdminClient, start: string): Promise<DeviceChannel> {
  return startingWith(await channelsOfDevice(device), start, NAMING);
}

export async function closeOnDevice(
  device: AdminClient,
  named: string,
  force: boolean,
  onClosing: (id: string) => void,
): Promise<readonly object[]> {
  const all = await channelsOfDevice(device);
  const chosen = named === "all" ? all : [startingWith(all, named, NAMING)];
  if (chosen.length === 0) throw new Failure("the device has no channel", EXIT.refused);
  const closed = [];
  for (const { channel_id } of chosen) {
    await device.closeChannel(new Uint8Array(Buffer.from(channel_id, "hex")), force);
    onClosing(channel_id);
    closed.push({ channel_id, state: force ? "force-closing" : "closing" });
  }
  return closed;
}

function inWords(one: Partial<ChannelSummary> & Pick<ChannelSummary, "id">): DeviceChannel {
  const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
  return {
    channel_id: hex(one.id),
    peer_node_id: one.peer ? hex(one.peer) : null,
    state: one.phase ?? "ended",
    capacity_sat: one.capacitySat ?? 0,
    local_balance_msat: one.localMsat ?? 0,
    remote_balance_msat: one.remoteMsat ?? 0,
    key_index: one.keyIndex ?? null,
  };
}
