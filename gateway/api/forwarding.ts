/** Where several processes share the channels: a call is answered by the process that it is about, and a list by all of them. */
import {
  type ClientRequest,
  request as httpRequest,
  type IncomingMessage,
  type RequestOptions,
} from "node:http";
import { request as httpsRequest } from "node:https";
import { channelId, publicKey } from "../../core/primitives/brands.ts";
import { fromHex } from "../../core/primitives/bytes.ts";
import type { Grant } from "../auth/grant.ts";
import { VOUCHER_HEADER, type Vouching } from "../auth/vouching.ts";
import type { Gateway } from "../gateway.ts";
import type { ProcessPlace, ProcessPlaces } from "../workers/process-places.ts";
import type { Caller } from "./calls.ts";
import type { Json, JsonObject } from "./event-json.ts";
import type { OperationShape } from "./operation.ts";
import { ApiProblem, PROBLEMS, type Problem, type ProblemName } from "./problem.ts";

export interface ForwardingOptions {
  readonly places: ProcessPlaces;
  readonly vouching: Vouching;
  readonly gateway: Pick<Gateway, "node">;
}

export interface ForwardedCall {
  readonly caller: Caller;
  readonly grant: Grant;
  readonly shape: OperationShape;
  readonly input: Readonly<Record<string, unknown>>;
  readonly idempotencyKey: string | undefined;
}

type Item = Readonly<Record<string, Json>>;

/** Longer than any operation takes. */
const HOLDER_MS = 60_000;
const LIST_MS = 10_000;
const MAX_ANSWER_BYTES = 64 << 20;

export class Forwarding {
  constructor(private readonly options: ForwardingOptions) {}

  get vouching(): Vouching {
    return this.options.vouching;
  }

  get places(): ProcessPlaces {
    return this.options.places;
  }

  /** What the process answered that it is about; undefined: that is this one. */
  async elsewhere(call: ForwardedCall): Promise<Json | undefined> {
    if (call.shape.processes !== "holder") return undefined;
    const place = await this.placeOf(call.input);
    if (!place) return undefined;
    if (!call.caller.voucher) return this.pass(place, call, HOLDER_MS);
    throw new ApiProblem("unavailable", "the peer is changing hands: ask again in some seconds");
  }

  /** `own` with what the others list, where the operation is a list of what processes run. */
  async completed(call: ForwardedCall, own: Json): Promise<Json> {
    const { processes } = call.shape;
    if (!processes || processes === "holder" || call.caller.voucher) return own;
    const places = await this.options.places.others();
    const answers = await Promise.all(places.map((place) => this.pass(place, call, LIST_MS)));
    const all = [own, ...answers] as readonly JsonObject[];
    const lists = Object.entries(processes).map(([list, key]) => {
      const items = all.flatMap((answer) => answer[list] as unknown as readonly Item[]);
      return [list, key === "" ? items : merged(items, key)];
    });
    return { ...(own as JsonObject), ...Object.fromEntries(lists) };
  }

  private async placeOf(input: ForwardedCall["input"]): Promise<ProcessPlace | undefined> {
    const { places, gateway } = this.options;
    const { node } = gateway;
    if (typeof input.channel_id === "string") {
      const id = channelId(fromHex(input.channel_id));
      return node.record(id) ? undefined : places.holderOfChannel(id);
    }
    const peer = publicKey(fromHex(String(input.peer_node_id ?? input.node_id)));
    const isHere = node.isConnected(peer) || node.channels(peer).length > 0;
    return isHere ? undefined : places.holderOf(peer);
  }

  private async pass(place: ProcessPlace, call: ForwardedCall, timeoutMs: number): Promise<Json> {
    const { caller, grant, shape, input, idempotencyKey } = call;
    const key = idempotencyKey === undefined ? {} : { idempotency_key: idempotencyKey };
    const params = { ...input, ...key };
    const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: shape.name, params });
    const macaroon = caller.macaroon ?? "";
    const { address } = caller;
    const voucher = { rootKeyName: grant.rootKeyName, ...(address !== undefined && { address }) };
    const headers = {
      authorization: `Macaroon ${macaroon}`,
      "content-type": "application/json",
      "content-length": Buffer.byteLength(body),
      [VOUCHER_HEADER]: this.options.vouching.vouch(voucher, { macaroon, body }),
    };
    let answer: RpcAnswer;
    try {
      answer = JSON.parse(await post(place, { headers, body, timeoutMs })) as RpcAnswer;
    } catch (cause) {
      const again = shape.movesMoney ? " with the same key" : "";
      throw new ApiProblem(
        "unavailable",
        `process ${place.name}, which runs what you ask for, does not answer (${(cause as Error).message}): ` +
          `ask again${again} in some seconds, when it is back or another has taken over`,
      );
    }
    if (answer.error) throw problemFrom(answer.error);
    return answer.result as Json;
  }
}

interface RpcAnswer {
  readonly result?: Json;
  readonly error?: { readonly message: string; readonly data?: Problem };
}

function problemFrom({ message, data }: NonNullable<RpcAnswer["error"]>): ApiProblem {
  const name = data?.type.split(":").at(-1) as ProblemName | undefined;
  if (!name || !(name in PROBLEMS)) return new ApiProblem("internal", message);
  return new ApiProblem(name, data?.detail ?? message, data?.errors);
}

/** Two may know of one peer: the one that runs it, and one that once did. */
function merged(items: readonly Item[], key: string): readonly Item[] {
  const best = new Map<Json | undefined, Item>();
  const weight = (one: Item) => (one.connected === true ? 1e9 : 0) + Number(one.channels ?? 0);
  for (const item of items) {
    const known = best.get(item[key]);
    if (!known || weight(item) > weight(known)) best.set(item[key], item);
  }
  return [...best.values()];
}

/** Its API, over a connection of its own. Throws where it has not said where that is. */
export function askProcess(
  { url, authority }: ProcessPlace,
  path: string,
  options: RequestOptions,
  answered: (answer: IncomingMessage) => void,
): ClientRequest {
  if (url === undefined) {
    throw new Error("it has not said where its API is: set worker.api_url there");
  }
  const ask = url.startsWith("https:") ? httpsRequest : httpRequest;
  return ask(
    new URL(path, url),
    {
      ...options,
      agent: false,
      // Its authority is the node's own, of which no other has the key: any of its certificates is ours.
      ...(authority !== undefined && { ca: authority, checkServerIdentity: () => undefined }),
    },
    answered,
  );
}

function post(
  place: ProcessPlace,
  { headers, body, timeoutMs }: { headers: object; body: string; timeoutMs: number },
): Promise<string> {
  return new Promise((resolve, reject) => {
    const options: RequestOptions = {
      method: "POST",
      headers: headers as Record<string, string>,
      signal: AbortSignal.timeout(timeoutMs),
    };
    const sent = askProcess(place, "/rpc", options, (got) => {
      const parts: Buffer[] = [];
      let size = 0;
      got.on("data", (part: Buffer) => {
        parts.push(part);
        size += part.length;
        if (size > MAX_ANSWER_BYTES) got.destroy(new Error("its answer is too long"));
      });
      got.on("error", reject);
      got.on("end", () => resolve(Buffer.concat(parts).toString()));
    });
    sent.on("error", reject);
    sent.end(body);
  });
}
