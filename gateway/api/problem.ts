/** What the API says where a call fails: problem details (RFC 9457), with types that programs may rely on. */
import { type Static, Type } from "@sinclair/typebox";
import { AuthError } from "../auth/auth-error.ts";

export const ProblemSchema = Type.Object(
  {
    type: Type.String({ description: "urn:picobolt:problem:<name>; stable" }),
    title: Type.String(),
    status: Type.Integer(),
    detail: Type.Optional(Type.String({ description: "What happened, to what, what to do" })),
    errors: Type.Optional(
      Type.Array(Type.Object({ pointer: Type.String(), detail: Type.String() }), {
        description: "Each field that is wrong, as a JSON pointer",
      }),
    ),
  },
  { title: "Problem", description: "RFC 9457" },
);
export type Problem = Static<typeof ProblemSchema>;

export const PROBLEMS = {
  "invalid-request": { status: 400, title: "The request makes no sense" },
  "no-macaroon": { status: 401, title: "No macaroon was sent" },
  "bad-macaroon": { status: 401, title: "The macaroon is not valid here" },
  revoked: { status: 401, title: "The macaroon was revoked" },
  "unknown-caveat": { status: 401, title: "The macaroon has a caveat that is not known" },
  expired: { status: 401, title: "The macaroon has expired" },
  "not-permitted": { status: 403, title: "The macaroon does not permit this" },
  "wrong-device": { status: 403, title: "The macaroon is for other devices" },
  "wrong-address": { status: 403, title: "The macaroon is for other addresses" },
  "over-limit": { status: 403, title: "The macaroon's limit of the day is reached" },
  "too-large": { status: 413, title: "The request is too large" },
  "unsupported-media-type": { status: 415, title: "The body is not JSON" },
  "not-found": { status: 404, title: "There is no such thing" },
  "method-not-allowed": { status: 405, title: "That path has no such method" },
  "not-connected": { status: 409, title: "The peer is not connected" },
  refused: { status: 409, title: "It was refused, and nothing was changed" },
  "idempotency-conflict": { status: 409, title: "The key was used for another request" },
  "not-enough-money": { status: 409, title: "There is not enough money" },
  "idempotency-key-missing": { status: 428, title: "A call that moves money needs a key" },
  "too-many-requests": { status: 429, title: "Too many requests" },
  internal: { status: 500, title: "The gateway failed" },
  unavailable: { status: 503, title: "The gateway cannot do that now" },
} as const;

export type ProblemName = keyof typeof PROBLEMS;

/** Thrown by whatever serves a call. */
export class ApiProblem extends Error {
  override readonly name = "ApiProblem";
  constructor(
    readonly problem: ProblemName,
    detail: string,
    readonly errors?: Problem["errors"],
  ) {
    super(detail);
  }

  get status(): number {
    return PROBLEMS[this.problem].status;
  }
}

export function problemOf(cause: unknown): Problem {
  if (cause instanceof ApiProblem) return described(cause.problem, cause.message, cause.errors);
  if (cause instanceof AuthError) return described(cause.code, cause.message);
  // What is not foreseen may hold anything: its words are for the log.
  return described("internal", "it is in the gateway's log; nothing is known to have changed");
}

export function described(name: ProblemName, detail?: string, errors?: Problem["errors"]): Problem {
  const { status, title } = PROBLEMS[name];
  return {
    type: `urn:picobolt:problem:${name}`,
    title,
    status,
    ...(detail !== undefined && { detail }),
    ...(errors && { errors }),
  };
}
