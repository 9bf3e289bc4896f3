/** What the operations about macaroons do. */
import { AuthError } from "../../auth/auth-error.ts";
import { macaroonText } from "../../auth/macaroon.ts";
import { MAX_ROOT_KEYS } from "../../auth/root-keys.ts";
import type { ApiHost } from "../host.ts";
import { type AnyOperation, serve } from "../operation.ts";
import { ApiProblem } from "../problem.ts";
import { macaroonShapes } from "../shapes/macaroons.ts";

export function macaroonOperations({ authority }: ApiHost): readonly AnyOperation[] {
  const { rootKeys } = authority;
  return [
    serve(macaroonShapes.bakeMacaroon, ({ name, caveats }) => {
      if (!rootKeys.named(name) && rootKeys.list().length >= MAX_ROOT_KEYS) {
        throw new ApiProblem(
          "unavailable",
          `there are ${MAX_ROOT_KEYS} root keys: use one of them`,
        );
      }
      try {
        return { name, macaroon: macaroonText(authority.bake(name, caveats)) };
      } catch (cause) {
        if (!(cause instanceof AuthError)) throw cause;
        const errors = [{ pointer: "/caveats", detail: cause.message }];
        throw new ApiProblem("invalid-request", cause.message, errors);
      }
    }),
    serve(macaroonShapes.listMacaroons, () => ({
      root_keys: rootKeys.list().map(({ id, name, createdAt, revokedAt }) => ({
        id,
        name,
        created_at: createdAt,
        revoked_at: revokedAt ?? null,
      })),
    })),
    serve(macaroonShapes.revokeMacaroon, ({ name }) => {
      // An id names one key, revoked or not; a name the one that is not.
      const isKnown = rootKeys.named(name) ?? rootKeys.list().find(({ id }) => id === name);
      if (!isKnown) throw new ApiProblem("not-found", `no root key "${name}" is in force`);
      const { id, name: ofKey, revokedAt } = authority.revoke(name);
      return { id, name: ofKey, revoked_at: revokedAt as string };
    }),
  ];
}
