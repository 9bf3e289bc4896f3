/** Topics of the MQTT links: `picobolt/v1/<gateway>/<device>/{up,down,state}` (docs/LINKS.md "MQTT"). */

export interface MqttTopics {
  /** From the device to its gateway. */
  readonly up: string;
  /** From the gateway to the device. */
  readonly down: string;
  /** Retained: "online", or by the last will "offline". */
  readonly state: string;
}

const PREFIX = "picobolt/v1";
const MAX_PART_LENGTH = 64;
const PART_LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_.-";

export const ONLINE = "online";
export const OFFLINE = "offline";
/** No frame is longer: the largest message of a device and its wrapping, with room to spare. */
export const MAX_DATAGRAM_BYTES = 8_192;

/** @throws where a part could reach beyond its level. */
export function mqttTopics(gateway: string, device: string): MqttTopics {
  const base = `${PREFIX}/${checked("gateway", gateway)}/${checked("device", device)}`;
  return { up: `${base}/up`, down: `${base}/down`, state: `${base}/state` };
}

/** What a gateway subscribes to. */
export function gatewayFilters(gateway: string): readonly [string, string] {
  const base = `${PREFIX}/${checked("gateway", gateway)}/+`;
  return [`${base}/up`, `${base}/state`];
}

/** Whose message it is, by its topic; undefined for any other topic. */
export function parseDeviceTopic(
  gateway: string,
  topic: string,
): { readonly device: string; readonly kind: "up" | "state" } | undefined {
  const base = `${PREFIX}/${gateway}/`;
  if (!topic.startsWith(base) || topic.length > base.length + MAX_PART_LENGTH + 6) return undefined;
  const [device = "", kind, more] = topic.slice(base.length).split("/");
  const isKnown = more === undefined && (kind === "up" || kind === "state");
  return isKnown && isPart(device) ? { device, kind } : undefined;
}

/** A node's name in topics: 16 hexadecimal digits of its id's x-coordinate. */
export function topicName(nodeIdHex: string): string {
  return nodeIdHex.slice(2, 18);
}

function checked(what: string, part: string): string {
  if (!isPart(part)) {
    throw new Error(
      `"${part}" cannot be a ${what}'s name in MQTT topics: letters, digits, "_", "." and "-"`,
    );
  }
  return part;
}

/** Neither a level's end nor a wildcard, and nothing that a broker's access list would trip over. */
function isPart(part: string): boolean {
  const isShort = part.length > 0 && part.length <= MAX_PART_LENGTH;
  return isShort && [...part].every((letter) => PART_LETTERS.includes(letter));
}
