/** Operations about who may do what, as callers see them. */
import { Type } from "@sinclair/typebox";
import type { OperationShape } from "../operation.ts";
import { Given, Nullable, Time } from "../schemas.ts";

const Name = Type.String({
  pattern: "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
  description: "Of the root key; macaroons of one root key are revoked together",
});

export const macaroonShapes = {
  bakeMacaroon: {
    name: "bakeMacaroon",
    group: "admin",
    method: "POST",
    path: "/api/macaroons",
    tag: "Macaroons",
    summary: "Bake a macaroon",
    body: Given({
      name: Name,
      caveats: Type.Array(Type.String({ maxLength: 2_000 }), {
        maxItems: 16,
        description:
          'What narrows it: "method = read,invoice", "device = <node id>", "time-before 2027-01-01T00:00:00Z", "amount-per-day <= <msat>", "ip = 10.0.0.0/8"',
      }),
    }),
    answer: Type.Object({
      name: Name,
      macaroon: Type.String({ description: "A secret: for the header Authorization: Macaroon …" }),
    }),
  },
  listMacaroons: {
    name: "listMacaroons",
    group: "admin",
    method: "GET",
    path: "/api/macaroons",
    tag: "Macaroons",
    summary: "The root keys of all macaroons",
    answer: Type.Object({
      root_keys: Type.Array(
        Type.Object({
          id: Type.String(),
          name: Type.String(),
          created_at: Time("When it was made"),
          revoked_at: Nullable(Time("Since when it counts for nothing")),
        }),
      ),
    }),
  },
  revokeMacaroon: {
    name: "revokeMacaroon",
    group: "admin",
    method: "DELETE",
    path: "/api/macaroons/{name}",
    tag: "Macaroons",
    summary: "Revoke every macaroon of a root key, at once and for good",
    parameters: Given({ name: Name }),
    answer: Type.Object({ id: Type.String(), name: Type.String(), revoked_at: Time("From then") }),
  },
} as const satisfies Record<string, OperationShape>;
