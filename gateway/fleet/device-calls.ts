/** Requests to devices inside the sessions that they have with this gateway anyway: its node is their owner (docs/FLEET.md). */
import { MAX_ADMIN_BYTES } from "../../core/messages/admin.ts";
import {
  decodePlain,
  encodePlain,
  type PlainObject,
  type PlainValue,
} from "../../core/messages/admin-values.ts";
import type { Message, MessageNamed } from "../../core/messages/message.ts";
import { type PublicKey, publicKey } from "../../core/primitives/brands.ts";
import { fromHex, toHex } from "../../core/primitives/bytes.ts";
import { AdminRefusal, AdminSilence } from "../admin/client.ts";

export interface DeviceCallsPorts {
  /** False where it has no session. */
  send(device: PublicKey, message: Message): boolean;
}

type Answer = MessageNamed<"admin_response">;

interface Waiting {
  readonly nodeId: string;
  readonly method: string;
  settle(answer: Answer): void;
  fail(cause: Error): void;
}

const TIMEOUT_MS = 15_000;
/** Ids are numbers of 32 bits on the wire. */
const MAX_ID = 0xffff_ffff;

export class DeviceCalls {
  private readonly waiting = new Map<number, Waiting>();
  private lastId = 0;

  constructor(private readonly ports: DeviceCallsPorts) {}

  /** One request. @throws AdminRefusal, AdminSilence */
  async call(
    nodeId: string,
    method: string,
    params?: PlainObject,
    timeoutMs = TIMEOUT_MS,
  ): Promise<PlainValue> {
    const encoded = params === undefined ? undefined : encodePlain(params);
    if (encoded && encoded.length > MAX_ADMIN_BYTES) {
      const text = `${method} has ${encoded.length} bytes, a device takes ${MAX_ADMIN_BYTES}`;
      throw new AdminRefusal(method, `too-large: ${text}`);
    }
    this.lastId = this.lastId >= MAX_ID ? 1 : this.lastId + 1;
    const id = this.lastId;
    const answer = await new Promise<Answer>((resolve, reject) => {
      const text = `${method}: nothing within ${timeoutMs / 1000} s`;
      const timer = setTimeout(() => reject(new AdminSilence(text)), timeoutMs);
      this.waiting.set(id, {
        nodeId,
        method,
        settle: (value) => {
          clearTimeout(timer);
          resolve(value);
        },
        fail: (cause) => {
          clearTimeout(timer);
          reject(cause);
        },
      });
      const request: Message = { type: "admin_request", id, method, params: encoded };
      if (!this.ports.send(publicKey(fromHex(nodeId)), request)) {
        this.waiting.get(id)?.fail(new AdminSilence(`${method}: the device is away`));
      }
    }).finally(() => this.waiting.delete(id));
    if (answer.error !== undefined) throw new AdminRefusal(method, answer.error);
    return answer.result === undefined ? null : decodePlain(answer.result);
  }

  /** True where it was an answer; one that nobody waits for is dropped. */
  receive(peer: PublicKey, message: Message): boolean {
    if (message.type !== "admin_response") return false;
    const one = this.waiting.get(message.id);
    // The message's bytes are a view that does not outlive this call.
    const result = message.result?.slice();
    if (one && one.nodeId === toHex(peer)) one.settle({ ...message, result });
    return true;
  }

  /** Its session has ended: whether the requests under way were done is not known. */
  gone(nodeId: string): void {
    for (const one of this.waiting.values()) {
      if (one.nodeId === nodeId) one.fail(new AdminSilence(`${one.method}: the session ended`));
    }
  }

  close(): void {
    for (const one of this.waiting.values()) {
      one.fail(new AdminSilence(`${one.method}: the gateway is stopping`));
    }
  }
}
