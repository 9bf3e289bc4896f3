/** Answers administration: who may ask what, one request at a time, a bounded number waiting (docs/ADMIN.md; rule `owner-alone-administers`). */
import { MAX_ADMIN_BYTES } from "../../core/messages/admin.ts";
import { ADMIN_LIMITS, cborOf, type PlainObject } from "../../core/messages/admin-values.ts";
import { decodeCbor, encodeCbor } from "../../core/messages/cbor.ts";
import type { Message, MessageNamed } from "../../core/messages/message.ts";
import type { PublicKey } from "../../core/primitives/brands.ts";
import { ProtocolViolation } from "../../core/primitives/errors.ts";
import { cutToBytes } from "../log/log-ring.ts";
import type { Reach } from "../owner/ownership.ts";
import { AdminError, type CborMap, Params } from "./params.ts";

/** What a method is given. */
export interface Asked {
  readonly peer: PublicKey;
  readonly reach: Reach;
  readonly isOwner: boolean;
  /** `claim` takes it whole; the others read names and call `end`. */
  readonly map: CborMap;
  readonly params: Params;
}

export interface Method {
  /** While the device has no owner, anybody may; of a device that has one, its owner alone. */
  readonly openWhile?: "unclaimed" | "always";
  run(asked: Asked): PlainObject | Promise<PlainObject>;
}

export interface AdminHost {
  methods(): ReadonlyMap<string, Method>;
  readonly isClaimed: boolean;
  isOwner(peer: PublicKey): boolean;
  reachOf(peer: PublicKey): Reach;
  send(peer: PublicKey, message: Message): void;
  note(text: string): void;
}

export const MAX_WAITING_REQUESTS = 8;
const MAX_ERROR_BYTES = 500;
const NO_PARAMS: CborMap = new Map();

export class AdminServer {
  private waiting = 0;
  private turn: Promise<void> = Promise.resolve();

  constructor(private readonly host: AdminHost) {}

  /** True where the message was a request. */
  receive(peer: PublicKey, message: Message): boolean {
    if (message.type !== "admin_request") return false;
    if (this.waiting >= MAX_WAITING_REQUESTS) {
      this.refuse(
        peer,
        message.id,
        new AdminError("busy", "too many requests wait: one at a time"),
      );
      return true;
    }
    // The message's bytes are a view that does not outlive this call.
    const request = { ...message, params: message.params?.slice() };
    this.waiting++;
    this.turn = this.turn.then(() => this.answer(peer, request));
    return true;
  }

  private async answer(peer: PublicKey, request: MessageNamed<"admin_request">): Promise<void> {
    const { id } = request;
    try {
      const result = encodeCbor(cborOf(await this.run(peer, request)));
      if (result.length > MAX_ADMIN_BYTES) throw new Error("the answer is too long for a message");
      this.host.send(peer, { type: "admin_response", id, result, error: undefined });
    } catch (cause) {
      this.refuse(peer, id, cause);
    }
    this.waiting--;
  }

  private async run(peer: PublicKey, request: MessageNamed<"admin_request">): Promise<PlainObject> {
    const { host } = this;
    const methods = host.methods();
    const method = methods.get(request.method);
    const isOwner = host.isOwner(peer);
    // Rule `owner-alone-administers`: before a parameter is looked at.
    if (host.isClaimed && !isOwner && method?.openWhile !== "always") {
      throw new AdminError("not-owner", "this device has an owner; only that one's key is heard");
    }
    if (!host.isClaimed && method && !method.openWhile) {
      throw new AdminError("unclaimed", "this device has no owner yet: claim it first");
    }
    if (!method) {
      const known = [...methods.keys()].join(", ");
      throw new AdminError("method", `there is no such method; there are ${known}`);
    }
    const map = paramsOf(request.params);
    const reach = host.reachOf(peer);
    return method.run({ peer, reach, isOwner, map, params: new Params(map) });
  }

  private refuse(peer: PublicKey, id: number, cause: unknown): void {
    const error = cutToBytes(textOf(cause), MAX_ERROR_BYTES);
    if (error.startsWith("internal:")) this.host.note(`a request failed: ${error}`);
    this.host.send(peer, { type: "admin_response", id, result: undefined, error });
  }
}

function paramsOf(bytes: Uint8Array | undefined): CborMap {
  if (bytes === undefined) return NO_PARAMS;
  const value = decodeCbor(bytes, ADMIN_LIMITS);
  if (value instanceof Map) return value;
  throw new AdminError("params", "the parameters must be a map");
}

function textOf(cause: unknown): string {
  if (cause instanceof AdminError) return `${cause.code}: ${cause.message}`;
  if (cause instanceof ProtocolViolation) return `params: ${cause.message}`;
  return `internal: ${cause instanceof Error ? cause.message : String(cause)}`;
}
