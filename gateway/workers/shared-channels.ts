/** A gateway's channels, of which some come from other processes and some go to them (gateway/workers/lease-runner.ts). */
import type { Node } from "../../core/node/node.ts";
import type { BlockHeight, ChannelId, PublicKey } from "../../core/primitives/brands.ts";
import { equal, toHex } from "../../core/primitives/bytes.ts";
import type { PeerStorage } from "../backup/peer-storage.ts";
import type { ChainFollowing, Newcomers } from "../chain/follow.ts";
import type { Entrusting } from "../payments/attempts.ts";
import type { Payments } from "../payments/payments.ts";
import type { ChainService } from "../service/chain-service.ts";
import type { FundingService } from "../service/funding-service.ts";
import type { Adopted, SharingGateway } from "./lease-runner.ts";

export interface SharedChannelsOptions {
  node(): Node;
  readonly payments: Payments | undefined;
  readonly chainService: ChainService;
  readonly fundingService: FundingService;
  readonly storage: Pick<PeerStorage, "handOver">;
  following(): ChainFollowing | undefined;
  readonly entrusting: Entrusting | undefined;
}

export class SharedChannels implements SharingGateway {
  /** Of peers that go, by hexadecimal node id. */
  private readonly leaving = new Map<string, readonly ChannelId[]>();

  constructor(private readonly options: SharedChannelsOptions) {}

  get height(): BlockHeight {
    return this.options.node().height;
  }

  async adopt({ peers, channels, fromHeight, heldFundings }: Adopted): Promise<void> {
    const { node, payments, chainService, fundingService, following } = this.options;
    await chainService.takeOver(peers);
    const ids = channels.map(({ channelId }) => channelId);
    const newcomers: Newcomers = {
      ids,
      from: fromHeight,
      begin: async () => {
        node().adopt(channels, fromHeight);
        await payments?.adopt(ids);
      },
      replayed: (transactions) => chainService.replayed(transactions),
    };
    if (ids.length > 0) await following()?.adopt(newcomers);
    const isOurs = (device: PublicKey) => peers.some((peer) => equal(peer, device));
    await fundingService.takeOver(heldFundings, isOurs);
  }

  release(peer: PublicKey): boolean {
    const { node, payments } = this.options;
    const ids = node()
      .channels(peer)
      .map(({ id }) => id);
    const key = toHex(peer);
    this.leaving.set(key, [...(this.leaving.get(key) ?? []), ...ids]);
    payments?.leave(ids);
    return node().release(peer);
  }

  async handOver(peer: PublicKey): Promise<void> {
    const { payments, chainService, storage } = this.options;
    const key = toHex(peer);
    chainService.drop(peer);
    await storage.handOver(peer);
    await payments?.handOver(this.leaving.get(key) ?? []);
    this.leaving.delete(key);
  }

  halt(): void {
    this.options.payments?.halt();
  }

  lookAround(): void {
    this.options.entrusting?.look();
  }

  isNeeded(peer: PublicKey): boolean {
    const { node, chainService } = this.options;
    const isThere = node().isConnected(peer) || chainService.isWatching(peer);
    return isThere || node().channels(peer).length > 0;
  }
}
