/** Nothing leaves before it is stored: no signature, and no secret before its successor (rules `persist-before-send`, `secret-after-successor-stored`). */
import type { SecretKey } from "../../../core/primitives/brands.ts";
import { commitmentNumber } from "../../../core/primitives/brands.ts";
import { equal } from "../../../core/primitives/bytes.ts";
import type { MakeChecker } from "./checker.ts";

export const secrets: MakeChecker = (world, complain) => ({
  sent: (node, id, message) => {
    const stored = node.checking.stored(id);
    if (message.type === "commitment_signed" && !stored?.awaitingRevocation) {
      complain(`${node.name}: commitment_signed left before it was stored`);
    }
    if (message.type === "funding_signed" && !stored) {
      complain(`${node.name}: funding_signed left without a record`);
    }
    if (message.type !== "revoke_and_ack") return;
    const number = (stored?.localNumber ?? 0) - 1;
    const point = world.crypto.publicKeyOf(message.perCommitmentSecret as SecretKey);
    const isOfStored =
      stored !== undefined &&
      number >= 0 &&
      equal(
        point,
        node.channelSigner(stored.terms.keyIndex).perCommitmentPoint(commitmentNumber(number)),
      );
    if (!isOfStored) complain(`${node.name}: a secret left before its successor was stored`);
  },
});
