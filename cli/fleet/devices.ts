/** Devices of a gateway's fleet by the words of a command line: a name, the beginning of a node id, or @group. */
import type { AnswerOf, PicoboltClient } from "../../client/client.ts";
import { EXIT, Failure } from "../failure.ts";
import { startingWith } from "../gateway/words.ts";
import type { Column } from "../text-table.ts";
import { shortId, timeText } from "../text-table.ts";

export type FleetDevice = AnswerOf<"getDevice">;
export type DeviceRequest = AnswerOf<"cancelDeviceRequest">;

export const WHICH = "its name, or the beginning of its node id";
export const WHICH_OR_GROUP = `${WHICH}; @group for all of a group`;

export async function deviceNamed(client: PicoboltClient, words: string): Promise<FleetDevice> {
  const { devices } = await client.call("listDevices", {});
  const named = devices.filter(({ name }) => name === words);
  const [one] = named;
  if (one && named.length === 1) return one;
  if (named.length > 1) {
    const ids = named.map(({ node_id }) => node_id.slice(0, 12)).join(", ");
    throw new Failure(
      `${named.length} devices are called ${words}: say which of ${ids}`,
      EXIT.usage,
    );
  }
  return startingWith(devices, words, { what: "device", id: ({ node_id }) => node_id });
}

/** As the API takes it. */
export async function recipientOf(
  client: PicoboltClient,
  words: string,
): Promise<{ readonly node_id: string } | { readonly group: string }> {
  if (words.startsWith("@")) return { group: words.slice(1) };
  return { node_id: (await deviceNamed(client, words)).node_id };
}

export const REQUEST_COLUMNS: readonly Column<DeviceRequest>[] = [
  { head: "request", of: ({ id }) => shortId(id) },
  { head: "device", of: ({ node_id }) => shortId(node_id) },
  { head: "what", of: ({ kind }) => kind },
  { head: "state", of: ({ state, percent }) => (percent === null ? state : `${percent} %`) },
  { head: "asked", of: ({ created_at }) => timeText(created_at) },
  { head: "why", of: ({ failure }) => failure && `${failure.code}: ${failure.text}` },
];
