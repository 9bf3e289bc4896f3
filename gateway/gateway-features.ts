/** What a gateway says in `init` that it can do (BOLT 9; docs/PROTOCOL.md). */
import { featureBitmap } from "../core/messages/features.ts";

const required = ["staticRemotekey", "channelType"] as const;
const ofChannels = [
  "upfrontShutdownScript",
  "anchors",
  "shutdownAnysegwit",
  "zeroFeeCommitments",
  "scidAlias",
  "zeroconf",
  "simpleClose",
  "pushUpdates",
  "zeroReserve",
] as const;
const optional = [...ofChannels, "provideStorage"] as const;

/** Of channels alone. */
export const channelFeatures = featureBitmap({ required, optional: ofChannels });
export const gatewayFeatures = featureBitmap({ required, optional });
/** With a table of other gateways' channels. */
export const routingFeatures = featureBitmap({
  required,
  optional: [...optional, "routingTable"],
});
