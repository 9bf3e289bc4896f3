/** What an owner keeps of a device: its settings and where its channels are; never a seed, never a channel's record (docs/ADMIN.md "Backup"). */
import { sealBackup } from "../../core/messages/backup.ts";
import { encodeCbor } from "../../core/messages/cbor.ts";
import type { CborValue } from "../../core/messages/schema.ts";
import type { Node } from "../../core/node/node.ts";
import type { Crypto, Entropy } from "../../core/ports/crypto.ts";
import { mapOf, type Settings } from "../settings/settings.ts";
import type { CborMap } from "./params.ts";

const VERSION = 1;

export function makeBackup(
  parts: { readonly crypto: Crypto; readonly entropy: Entropy },
  settings: Settings,
  node: Node,
): Uint8Array {
  const channels: CborValue[] = [];
  for (const { channel } of node.channels()) {
    if (channel.kind !== "live") continue;
    const { record } = channel;
    const { fundingOutpoint, keyIndex, fundingSatoshis } = record.terms;
    channels.push(
      new Map<string, CborValue>([
        ["peer", record.remoteNodeId],
        ["fundingTxid", fundingOutpoint.txid],
        ["fundingVout", fundingOutpoint.vout],
        ["keyIndex", keyIndex],
        ["capacitySat", fundingSatoshis],
      ]),
    );
  }
  const content: CborMap = new Map<string, CborValue>([
    ["version", VERSION],
    ["nodeId", node.nodeId],
    ["settings", mapOf(settings)],
    ["channels", channels],
  ]);
  return sealBackup(parts.crypto, parts.entropy, settings.owner, encodeCbor(content));
}
