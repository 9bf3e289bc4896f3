/** A device's request to publish, as the claim that its monitor made (docs/PROTOCOL.md "Chain service"). */
import type { Claim } from "../../core/chain/monitor/watched.ts";
import { PUBLISH_NEEDS } from "../../core/messages/service.ts";
import type { Crypto } from "../../core/ports/crypto.ts";
import { blockHeight } from "../../core/primitives/brands.ts";
import { equal } from "../../core/primitives/bytes.ts";
import { p2aScript } from "../../core/transactions/script.ts";
import { parseTransaction, transactionId } from "../../core/transactions/transaction.ts";
import type { PublishRequest } from "./entrusted-claims.ts";

export function claimOf(crypto: Crypto, message: PublishRequest): Claim {
  const { id, raw, feeratePerKw, deadline, needs } = message;
  const claimTxid = transactionId(crypto, parseTransaction(raw));
  const purpose = message.purpose as Claim["purpose"];
  const claim = {
    id,
    purpose,
    raw,
    txid: claimTxid,
    deadline: blockHeight(deadline),
    feeratePerKw,
  };
  switch (needs) {
    case PUBLISH_NEEDS.anchorChild:
      // A keyed anchor takes the device's signature: its commitment pays for itself, or not at all.
      if (!isAnyonesAnchor(raw, message.anchorVout)) return claim;
      return {
        ...claim,
        needs: {
          type: "anchor-child",
          anchor: { txid: claimTxid, vout: message.anchorVout },
          keyed: false,
          amount: message.anchorSatoshis,
          feeSatoshis: message.feeSatoshis,
        },
      };
    case PUBLISH_NEEDS.feeInputs:
      return {
        ...claim,
        needs: {
          type: "fee-inputs",
          inputAmounts: message.spent.map(({ amount }) => amount),
          inputScripts: message.spent.map(({ script }) => script),
        },
      };
    default:
      return claim;
  }
}

function isAnyonesAnchor(raw: Uint8Array, vout: number): boolean {
  const output = parseTransaction(raw).outputs[vout];
  return output !== undefined && equal(output.script, p2aScript());
}
