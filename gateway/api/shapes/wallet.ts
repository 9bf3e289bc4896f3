/** Operations about the gateway's coins on chain, as callers see them. */
import { Type } from "@sinclair/typebox";
import type { OperationShape } from "../operation.ts";
import { Count, Given, Sat, TxidHex } from "../schemas.ts";

export const walletShapes = {
  getWalletBalance: {
    name: "getWalletBalance",
    group: "read",
    method: "GET",
    path: "/api/wallet/balance",
    tag: "Wallet",
    summary: "Coins on chain, and what the channels hold",
    answer: Type.Object(
      {
        onchain_sat: Sat("Of the wallet"),
        free_coins: Count("Confirmed coins that claims can be paid with; five or more are wanted"),
        channels_local_msat: Type.Integer({ minimum: 0, description: "Ours, in all channels" }),
        channels_remote_msat: Type.Integer({ minimum: 0, description: "The peers'" }),
        channels_closing_msat: Type.Integer({ minimum: 0, description: "Ours, in what is ending" }),
      },
      { title: "WalletBalance" },
    ),
  },
  newAddress: {
    name: "newAddress",
    group: "channel",
    method: "POST",
    path: "/api/wallet/address",
    tag: "Wallet",
    summary: "A new address of the wallet",
    answer: Type.Object({ address: Type.String() }),
  },
  withdraw: {
    name: "withdraw",
    group: "channel",
    method: "POST",
    path: "/api/wallet/withdraw",
    tag: "Wallet",
    summary: "Send coins of the wallet to an address",
    description:
      "Either amount_sat, or all: then the fee is taken from it. Channels need coins for their claims: leave some.",
    body: Given({
      address: Type.String({ minLength: 8, maxLength: 90, description: "Segwit, of this network" }),
      amount_sat: Type.Optional(Sat("What arrives", 1)),
      all: Type.Optional(Type.Boolean()),
      feerate_sat_per_vb: Type.Optional(Type.Number({ minimum: 1, maximum: 1_000 })),
    }),
    answer: Type.Object(
      {
        txid: TxidHex,
        amount_sat: Sat("What arrives"),
        feerate_sat_per_vb: Type.Number({ description: "What miners get" }),
      },
      { title: "Withdrawal" },
    ),
    movesMoney: true,
  },
} as const satisfies Record<string, OperationShape>;
