/** Payments at a steady rate over the fleet: pushes to the gateway and from it, and HTLCs from device to device; each is followed to its end. */
import { randomBytes } from "node:crypto";
import { toHex } from "../../core/primitives/bytes.ts";
import type { JsonObject } from "../../gateway/api/event-json.ts";
import { type Fleet, pause } from "./fleet.ts";
import { type GatewayProgram, Refused } from "./gateway-program.ts";
import type { LoadDevice, Told } from "./load-device.ts";

/** In the order of a turn of ten payments: four to the gateway, two from it, four through it. */
const KINDS = [
  "up",
  "through",
  "up",
  "down",
  "through",
  "up",
  "through",
  "down",
  "up",
  "through",
] as const;
export type PaymentKind = (typeof KINDS)[number];

export interface LoadPayment {
  readonly name: string;
  readonly kind: PaymentKind;
  readonly payer: LoadDevice | undefined;
  readonly payee: LoadDevice | undefined;
  readonly amountMsat: number;
  /** With the fee. */
  readonly sumMsat: number;
  readonly begunMs: number;
  /** Until the payer knows that it is irrevocable. */
  tookMs: number | undefined;
  failed: string | undefined;
  /** As payer and payee know it; of a push from the gateway known when the API has answered. */
  reference: string | undefined;
}

/** Whichever of its processes serves the channel. */
export type GatewayApi = Pick<GatewayProgram, "call">;

/** What a device says came to it. */
export interface Credit {
  readonly device: LoadDevice;
  readonly amountMsat: number;
  count: number;
}

const LEAST_MSAT = 1_000;
const MOST_MSAT = 20_000;
/** Of payments that do not end more are begun until so many are under way; then the rate is missed, and said. */
const MAX_UNDER_WAY = 2_000;
const TURN_MS = 10;
const AGAIN_MS = 300;
const UNHEARD_MS = 200;

export class Payments implements Told {
  readonly all = new Map<string, LoadPayment>();
  readonly alarms: string[] = [];
  /** By reference. */
  readonly credits = new Map<string, Credit>();
  underWay = 0;
  private drawn = 0;

  constructor(
    private readonly fleet: () => Fleet,
    private readonly api: GatewayApi,
  ) {}

  paid(name: string): void {
    const payment = this.all.get(name);
    if (!payment || payment.tookMs !== undefined) return;
    payment.tookMs = performance.now() - payment.begunMs;
    if (payment.failed === undefined) this.underWay--;
    payment.failed = undefined;
  }

  credited(name: string, device: LoadDevice, amountMsat: number): void {
    const credit = this.credits.get(name);
    if (credit) credit.count++;
    else this.credits.set(name, { device, amountMsat, count: 1 });
  }

  failed(name: string, reason: string): void {
    const payment = this.all.get(name);
    if (!payment || payment.tookMs !== undefined || payment.failed !== undefined) return;
    payment.failed = reason;
    this.underWay--;
  }

  alarm(device: LoadDevice | undefined, text: string): void {
    if (this.alarms.length < 100)
      this.alarms.push(device ? `device ${device.index}: ${text}` : text);
  }

  /** Begins `perSecond` payments each second for so long; what is late is made up for. */
  async run(perSecond: number, seconds: number, each: (elapsed: number) => void): Promise<void> {
    const startMs = performance.now();
    let begun = 0;
    for (;;) {
      const elapsed = (performance.now() - startMs) / 1_000;
      if (elapsed >= seconds) return;
      const due = Math.floor(elapsed * perSecond);
      while (begun < due && this.underWay < MAX_UNDER_WAY) {
        if (!this.begin()) break;
        begun++;
      }
      each(elapsed);
      await pause(TURN_MS);
    }
  }

  /** Until nothing is under way and the gateway has heard each device's last word, or nothing ends any more. */
  async settle(limitMs: number): Promise<void> {
    const untilMs = performance.now() + limitMs;
    const isQuiet = () => this.underWay === 0 && this.fleet().devices.every((one) => one.isQuiet);
    while (!isQuiet() && performance.now() < untilMs) await pause(50);
    while (performance.now() < untilMs && (await this.unheard()) > 0) await pause(UNHEARD_MS);
  }

  /** Channels of which the gateway says another balance: a device that is quiet has just sent the last message. */
  private async unheard(): Promise<number> {
    const { channels } = await this.api.call("listChannels", {});
    const balances = new Map(
      (channels as readonly JsonObject[]).map((one) => [one.channel_id, one.remote_balance_msat]),
    );
    return this.fleet().devices.filter(({ channelId, record }) => {
      if (!channelId || !record) return false;
      return balances.get(toHex(channelId)) !== record.base.toLocalMsat;
    }).length;
  }

  private begin(): boolean {
    const kind = KINDS[this.drawn % KINDS.length] as PaymentKind;
    const amountMsat = LEAST_MSAT + Math.floor(Math.random() * (MOST_MSAT - LEAST_MSAT));
    const one = this.draw();
    if (!one) return false;
    this.drawn++;
    const begunMs = performance.now();
    const start = { kind, amountMsat, begunMs, tookMs: undefined, failed: undefined };
    if (kind === "down") {
      const name = toHex(new Uint8Array(randomBytes(16)));
      const payment = { ...start, name, payer: undefined, payee: one, sumMsat: amountMsat };
      this.add({ ...payment, reference: undefined });
      void this.payDown(name, one, amountMsat);
      return true;
    }
    if (kind === "up") {
      const name = one.push(amountMsat);
      const payment = { ...start, name, payer: one, payee: undefined, sumMsat: amountMsat };
      this.add({ ...payment, reference: name });
      return true;
    }
    const other = this.draw(one);
    if (!other) return false;
    const { name, sumMsat } = one.payTo(other, amountMsat);
    this.add({ ...start, name, payer: one, payee: other, sumMsat, reference: name });
    return true;
  }

  private add(payment: LoadPayment): void {
    this.all.set(payment.name, payment);
    this.underWay++;
  }

  /** Any device that is there. */
  private draw(except?: LoadDevice): LoadDevice | undefined {
    const { devices } = this.fleet();
    for (let attempt = 0; attempt < 20; attempt++) {
      const device = devices[Math.floor(Math.random() * devices.length)];
      if (device !== except && device?.isReady) return device;
    }
    return undefined;
  }

  /** Asked again under the same key until it is known how it ended: a payment is never given up for a lost answer. */
  private async payDown(name: string, payee: LoadDevice, amountMsat: number): Promise<void> {
    const channel_id = toHex(payee.channelId as Uint8Array);
    const params = { channel_id, amount_msat: amountMsat, idempotency_key: name };
    for (;;) {
      try {
        const { state, reference } = await this.api.call("payChannel", params);
        const payment = this.all.get(name);
        if (payment) payment.reference = reference as string;
        if (state === "succeeded") return this.paid(name);
      } catch (cause) {
        if (cause instanceof Refused) return this.failed(name, cause.message);
      }
      await pause(AGAIN_MS);
    }
  }
}
