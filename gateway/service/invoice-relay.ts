/** Asks devices for BOLT 11 invoices: for the operator, and for payers who have no link to the machine (docs/PROTOCOL.md "HTLC"). */
import type { Message, MessageNamed } from "../../core/messages/message.ts";
import type { MilliSatoshi, PublicKey } from "../../core/primitives/brands.ts";
import { equal, toHex } from "../../core/primitives/bytes.ts";

export interface InvoiceRelayOptions {
  readonly nodeId: PublicKey;
  /** False where there is no session. */
  send(peer: PublicKey, message: Message): boolean;
}

export interface InvoiceWish {
  readonly product?: number | undefined;
  readonly amountMsat?: MilliSatoshi | undefined;
  readonly descriptionHash?: Uint8Array | undefined;
}

/** No invoice: what the device says, or that it is not there. */
export class NoInvoice extends Error {
  override readonly name = "NoInvoice";
}

type Answer = Pick<MessageNamed<"bolt11">, "invoice" | "note">;

interface Waiting {
  readonly device: PublicKey;
  readonly asker: string;
  readonly untilMs: number;
  answered(answer: Answer): void;
}

const ANSWER_MS = 15_000;
const MAX_WAITING = 1_000;
const MAX_WAITING_OF_ONE = 16;
const AWAY = "the device is not connected to its gateway now";

export class InvoiceRelay {
  private readonly waiting = new Map<number, Waiting>();
  private nextRequest = 1;
  private nowMs = 0;

  constructor(private readonly options: InvoiceRelayOptions) {}

  /** The text of a new invoice of the device. @throws NoInvoice with the device's own words, or why it says nothing. */
  ask(device: PublicKey, wish: InvoiceWish): Promise<string> {
    return new Promise((resolve, reject) => {
      this.pass(device, "operator", wish, ({ invoice, note }) => {
        if (invoice !== undefined) resolve(invoice);
        else reject(new NoInvoice(note ?? "the device gives no reason"));
      });
    });
  }

  /** True where the message was for it. */
  receive(peer: PublicKey, message: Message): boolean {
    switch (message.type) {
      case "bolt11":
        this.answered(peer, message);
        return true;
      case "bolt11_request": {
        const { request, payee, ...wish } = message;
        const answer = (given: Answer) =>
          void this.options.send(peer, { type: "bolt11", request, ...given });
        const isOther = payee && !equal(payee, this.options.nodeId) && !equal(payee, peer);
        if (isOther) this.pass(payee.slice() as PublicKey, toHex(peer), wish, answer);
        else answer({ invoice: undefined, note: "a gateway sells nothing: say which machine" });
        return true;
      }
      default:
        return false;
    }
  }

  tick(nowMs: number): void {
    this.nowMs = nowMs;
    for (const [request, { untilMs }] of this.waiting) {
      if (untilMs <= nowMs) this.end(request, { invoice: undefined, note: AWAY });
    }
  }

  /** One that is not there any more will not answer what it was asked for. */
  peer(peer: PublicKey, state: "connected" | "disconnected"): void {
    if (state === "disconnected") this.gone(peer);
  }

  private gone(peer: PublicKey): void {
    for (const [request, { device }] of this.waiting) {
      if (equal(device, peer)) this.end(request, { invoice: undefined, note: AWAY });
    }
  }

  private pass(
    device: PublicKey,
    asker: string,
    { product, amountMsat, descriptionHash }: InvoiceWish,
    answered: (answer: Answer) => void,
  ): void {
    const no = (note: string) => answered({ invoice: undefined, note });
    const theirs = [...this.waiting.values()].filter((one) => one.asker === asker).length;
    if (this.waiting.size >= MAX_WAITING || theirs >= MAX_WAITING_OF_ONE) {
      no("too many invoices are being asked for: try again in a moment");
      return;
    }
    const request = this.nextRequest++;
    this.waiting.set(request, { device, asker, untilMs: this.nowMs + ANSWER_MS, answered });
    const payee = undefined;
    const asked = { request, payee, product, amountMsat, descriptionHash };
    if (!this.options.send(device, { type: "bolt11_request", ...asked })) this.gone(device);
  }

  private answered(peer: PublicKey, { request, invoice, note }: MessageNamed<"bolt11">): void {
    const asked = this.waiting.get(request);
    if (asked && equal(asked.device, peer)) this.end(request, { invoice, note });
  }

  private end(request: number, answer: Answer): void {
    const one = this.waiting.get(request);
    this.waiting.delete(request);
    one?.answered(answer);
  }
}
