/** The device as a BLE peripheral: one customer at a time, the next one is told to wait, idle ones make room (docs/LINKS.md "BLE"). */
import type { Link } from "../../core/ports/link.ts";
import type { Clock } from "../board.ts";
import { BleStream, busyNotice, isPacketFrame } from "./ble-stream.ts";
import type { BleConnection, BlePeripheralDriver } from "./drivers.ts";

export interface BlePeripheralTiming {
  /** From connecting to the first packet of a session. */
  readonly handshakeMs: number;
  /** A session in which nothing was sent for so long has ended: a living one pings. */
  readonly silentMs: number;
  /** Nothing but pings for so long, while others wait: it is the next one's turn. */
  readonly idleMs: number;
  /** A waiting customer's notice has this long to arrive. */
  readonly noticeMs: number;
  /** An address that was sent away is not served again for so long. */
  readonly banMs: number;
}

export const defaultBleTiming: BlePeripheralTiming = {
  handshakeMs: 8_000,
  silentMs: 20_000,
  idleMs: 60_000,
  noticeMs: 1_500,
  banMs: 10_000,
};

export interface BlePeripheralOptions {
  readonly driver: BlePeripheralDriver;
  readonly clock: Pick<Clock, "nowMs" | "after">;
  /** As people see it in a list. */
  readonly name: string;
  readonly attach: (link: Link) => void;
  readonly timing?: BlePeripheralTiming;
  /** For the log. */
  readonly note?: (text: string) => void;
}

/** Customers who are being told to wait; more are cut off without a word. */
const MAX_WAITING = 2;
const MAX_BANNED = 8;
const CHECK_EVERY_MS = 500;
/** A ping, a pong and their wrapping, in bytes: a frame that is longer says something. */
const MAX_KEEP_ALIVE_BYTES = 40;
/** Bytes from a customer since our last packet to it: an honest one is answered long before. */
const MAX_UNANSWERED_BYTES = 32_768;

interface Customer {
  readonly link: BleStream;
  readonly address: string;
  readonly sinceMs: number;
  /** Of our last packet: the node makes one only where a session stands. */
  packetMs: number | undefined;
  /** Of our last packet that was no ping. */
  busyMs: number;
  unanswered: number;
}

export class BlePeripheral {
  private customer: Customer | undefined;
  private readonly waiting: BleStream[] = [];
  private readonly banned = new Map<string, number>();
  private readonly timing: BlePeripheralTiming;
  private wantedMs = Number.NEGATIVE_INFINITY;
  private isRunning = false;
  private cancel = () => {};

  constructor(private readonly options: BlePeripheralOptions) {
    this.timing = options.timing ?? defaultBleTiming;
  }

  /** The link of the customer who is served. */
  get linkName(): string | undefined {
    return this.customer?.link.name;
  }

  start(): void {
    const { driver, name } = this.options;
    this.isRunning = true;
    driver.onConnected = (connection) => this.connected(connection);
    driver.advertise(name);
    this.checkLater();
  }

  rename(name: string): void {
    if (this.isRunning) this.options.driver.advertise(name);
  }

  stop(): void {
    if (!this.isRunning) return;
    this.isRunning = false;
    this.cancel();
    this.options.driver.stopAdvertising();
    this.customer?.link.closeFor("the device is stopping");
    for (const link of [...this.waiting]) link.close();
  }

  private connected(connection: BleConnection): void {
    if (!this.isRunning) {
      connection.close();
      return;
    }
    const bannedUntilMs = this.banned.get(connection.address) ?? Number.NEGATIVE_INFINITY;
    if (this.customer || bannedUntilMs > this.options.clock.nowMs()) this.sendAway(connection);
    else this.serve(connection);
  }

  private serve(connection: BleConnection): void {
    const sinceMs = this.options.clock.nowMs();
    const link = new BleStream(connection);
    const { address } = connection;
    const customer: Customer = {
      link,
      address,
      sinceMs,
      packetMs: undefined,
      busyMs: sinceMs,
      unanswered: 0,
    };
    this.customer = customer;
    this.options.attach(this.watched(customer));
  }

  /** The link as the node sees it; what passes tells how the customer is doing. */
  private watched(customer: Customer): Link {
    const { link } = customer;
    const seen: Link = {
      name: link.name,
      kind: "stream",
      onBytes: () => {},
      onClosed: () => {},
      close: () => link.close(),
      send: (bytes) => {
        this.noteSent(customer, bytes);
        link.send(bytes);
      },
    };
    link.onClosed = (reason) => {
      if (this.customer === customer) this.customer = undefined;
      seen.onClosed(reason);
    };
    link.onBytes = (bytes) => {
      customer.unanswered += bytes.length;
      if (customer.unanswered > MAX_UNANSWERED_BYTES) this.dismiss("it floods");
      else seen.onBytes(bytes);
    };
    return seen;
  }

  private noteSent(customer: Customer, frame: Uint8Array): void {
    if (!isPacketFrame(frame)) return;
    const nowMs = this.options.clock.nowMs();
    customer.packetMs = nowMs;
    customer.unanswered = 0;
    if (frame.length > MAX_KEEP_ALIVE_BYTES) customer.busyMs = nowMs;
  }

  /** One customer is served: this one learns so, and has to come again. */
  private sendAway(connection: BleConnection): void {
    this.wantedMs = this.options.clock.nowMs();
    if (this.waiting.length >= MAX_WAITING) {
      connection.close();
      return;
    }
    const link = new BleStream(connection);
    this.waiting.push(link);
    const cancel = this.options.clock.after(this.timing.noticeMs, () => link.close());
    link.onClosed = () => {
      cancel();
      this.waiting.splice(this.waiting.indexOf(link), 1);
    };
    link.send(busyNotice());
  }

  private checkLater(): void {
    this.cancel = this.options.clock.after(CHECK_EVERY_MS, () => {
      this.check(this.options.clock.nowMs());
      if (this.isRunning) this.checkLater();
    });
  }

  private check(nowMs: number): void {
    for (const [address, untilMs] of [...this.banned]) {
      if (untilMs <= nowMs) this.banned.delete(address);
    }
    const { customer, timing } = this;
    if (!customer) return;
    const { packetMs, sinceMs, busyMs } = customer;
    if (packetMs === undefined) {
      if (nowMs - sinceMs >= timing.handshakeMs) this.dismiss("it began no session");
      return;
    }
    const isWanted = nowMs - this.wantedMs < timing.idleMs;
    if (nowMs - packetMs >= timing.silentMs) this.dismiss("its session has ended");
    else if (isWanted && nowMs - busyMs >= timing.idleMs) this.dismiss("others wait");
  }

  private dismiss(why: string): void {
    const { customer, banned } = this;
    if (!customer) return;
    if (banned.size >= MAX_BANNED) banned.clear();
    banned.set(customer.address, this.options.clock.nowMs() + this.timing.banMs);
    this.options.note?.(`ble ${customer.address} is sent away: ${why}`);
    customer.link.closeFor(why);
  }
}
