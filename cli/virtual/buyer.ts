/** The buyer of a virtual fleet: comes to a machine, opens a channel where there is none, buys until it is enough or something jams, and leaves. */
import { join } from "node:path";
import type { ChannelRecord } from "../../core/channel/record.ts";
import type { Link } from "../../core/ports/link.ts";
import { type PublicKey, publicKey } from "../../core/primitives/brands.ts";
import { fromHex, toHex } from "../../core/primitives/bytes.ts";
import { chooseCrypto } from "../../gateway/crypto/choose.ts";
import { openLink } from "../../host-sim/links/open-link.ts";
import type { Machine, VirtualWorld } from "../../host-sim/virtual/virtual-world.ts";
import { DEFAULT_NETWORK } from "../owner/known-devices.ts";
import { PayerNode } from "../wallet/payer-node.ts";
import { channelFor, connected, type Notes } from "../wallet/purchase.ts";
import { openWallet } from "../wallet/wallet.ts";
import { openDoor } from "./door.ts";
import { Ledger } from "./ledger.ts";

/** One purchase that has ended. */
export interface Bought {
  readonly what: string;
  readonly delivered: boolean;
  readonly note: string;
  /** What the machine may keep of the money; the rest comes back. */
  readonly keptMsat: number;
}

/** At a machine, with a channel that can pay. */
export interface Counter {
  readonly payer: PayerNode;
  readonly machine: PublicKey;
  readonly out: Notes;
  /** One with so much to spend. */
  channel(amountMsat: number): Promise<ChannelRecord>;
}

/** Buys once. A purchase that does not begin throws before `begun` is called. */
export type Shopping = (counter: Counter, number: number, begun: () => void) => Promise<Bought>;

/** What the buyer knows about one machine. */
export class Account {
  purchases = 0;
  delivered = 0;
  refunded = 0;
  /** What machines may keep, by what they have said. */
  keptMsat = 0;
  readonly ledger = new Ledger();
  constructor(readonly machine: Machine) {}
}

export interface BuyerOptions {
  readonly world: VirtualWorld;
  readonly home: string;
  readonly shopping: Shopping;
  readonly out: Notes;
  onBought(account: Account, bought: Bought): void;
}

/** What a machine owes is sent as soon as it can be. */
const SETTLE_MS = 30_000;
const SYNC_MS = 10_000;

export class Buyer {
  private readonly crypto = chooseCrypto();
  private payer: PayerNode | undefined;

  constructor(private readonly options: BuyerOptions) {}

  /** One visit: up to `wanted` purchases in all, or until one was not delivered. */
  async visit(account: Account, wanted: number): Promise<void> {
    const { device } = account.machine;
    const door = await openDoor(account.machine, device.name);
    let uplink: Link | undefined;
    try {
      const { payer, link } = await this.arrive(account);
      uplink = link;
      payer.device.attach(door.link, publicKey(fromHex(device.nodeId)));
      await Promise.race([this.shop(account, payer, wanted), device.death]);
    } finally {
      await this.leave();
      uplink?.close();
      await door.leave();
    }
  }

  /** With a wallet, and the gateway at hand. */
  private async arrive({ machine, ledger }: Account) {
    const { world, home } = this.options;
    const machineId = publicKey(fromHex(machine.device.nodeId));
    const gateway = publicKey(fromHex(world.gatewayId));
    const wallet = await openWallet(this.crypto, join(home, "wallet"), DEFAULT_NETWORK);
    wallet.rememberGateway(world.gatewayId);
    const payer = await PayerNode.start(this.crypto, wallet, gateway);
    this.payer = payer;
    payer.on((told) => {
      if (told.type === "channel" && isWith(payer, machineId, told.id)) ledger.note(told.event);
    });
    const link = await openLink(world.buyerUplink(toHex(wallet.signer.nodeId)));
    payer.device.attach(link, gateway);
    return { payer, link };
  }

  private async shop(account: Account, payer: PayerNode, wanted: number): Promise<void> {
    const { world, shopping, onBought, out } = this.options;
    const { name, nodeId } = account.machine.device;
    const machine = publicKey(fromHex(nodeId));
    const gateway = publicKey(fromHex(world.gatewayId));
    let isSynced = false;
    payer.on((told) => {
      isSynced ||= told.type === "tip";
    });
    await connected(payer, gateway, "the gateway");
    await connected(payer, machine, name);
    // Blocks are read again after a start, and fundings proven anew: nothing can be paid in between.
    await payer.until(() => isSynced || undefined, SYNC_MS);
    const notes = { note: (text: string) => out.note(`${name}: ${text}`) };
    const funding = { out: notes, fundSat: undefined, gateway };
    const counter: Counter = {
      payer,
      machine,
      out: notes,
      channel: (amountMsat) => channelFor(payer, machine, amountMsat, funding),
    };
    while (account.purchases < wanted) {
      const bought = await shopping(counter, account.purchases, () => account.purchases++);
      if (bought.delivered) account.delivered++;
      else account.refunded++;
      account.keptMsat += bought.keptMsat;
      onBought(account, bought);
      if (!bought.delivered) break;
    }
    const isOver = () => isSquare(account) && isSettled(payer, machine);
    await payer.until(() => isOver() || undefined, SETTLE_MS);
  }

  /** Goes at once. */
  async leave(): Promise<void> {
    const { payer } = this;
    this.payer = undefined;
    await payer?.stop();
  }
}

function isWith(payer: PayerNode, machine: PublicKey, id: Uint8Array): boolean {
  return payer.channelsWith(machine).some(({ channelId }) => toHex(channelId) === toHex(id));
}

function isSquare({ ledger, keptMsat }: Account): boolean {
  return ledger.paidMsat - ledger.refundedMsat === keptMsat;
}

/** Nothing is on its way, in either direction. */
function isSettled(payer: PayerNode, machine: PublicKey): boolean {
  return payer
    .channelsWith(machine)
    .every(({ pending }) => Object.values(pending).every((updates) => updates.length === 0));
}
