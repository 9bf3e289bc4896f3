/** What the configuration says of payments, as gateway/payments takes it. */
import type { InvoiceNetwork } from "../../core/payments/invoice/invoice.ts";
import { milliSatoshi } from "../../core/primitives/brands.ts";
import type { ForwardPolicy } from "../payments/forward-policy.ts";
import type { Config, GatewayNetwork } from "./settings.ts";

export function forwardPolicy(config: Config): Partial<ForwardPolicy> {
  return {
    feeBaseMsat: milliSatoshi(config["policy.fee_base_msat"]),
    feeProportionalMillionths: config["policy.fee_proportional_millionths"],
    cltvExpiryDelta: config["policy.cltv_delta"],
    htlcMinimumMsat: milliSatoshi(config["policy.min_htlc_msat"]),
    htlcMaximumMsat: milliSatoshi(config["policy.max_htlc_msat"]),
    holdMs: config["policy.hold_seconds"] * 1_000,
  };
}

/** The prefix of its invoices (BOLT 11): testnet4 has that of testnet, the simulated chain that of regtest. */
export function invoiceNetwork(network: GatewayNetwork): InvoiceNetwork {
  if (network === "testnet4") return "testnet";
  return network === "sim" ? "regtest" : network;
}
