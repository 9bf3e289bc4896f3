/** A gateway that is one of several processes on one database: its leases, its devices on the broker, its end when it loses them. */
import { type PublicKey, publicKey } from "../../core/primitives/brands.ts";
import { fromHex, toHex } from "../../core/primitives/bytes.ts";
import { topicName } from "../../core/transport/mqtt-topics.ts";
import type { GatewayOptions } from "../gateway.ts";
import type { PostgresStore } from "../store/postgres/postgres-store.ts";
import { DevicePlaces } from "../workers/device-places.ts";
import { EntrustedHtlcs } from "../workers/entrusted-htlcs.ts";
import { LeaseRunner } from "../workers/lease-runner.ts";
import type { GatewayService } from "./service.ts";

export class Sharing {
  readonly places: DevicePlaces;
  readonly runner: LeaseRunner;
  readonly entrusted: EntrustedHtlcs;
  readonly name: string;

  /** Undefined where this process has its records for itself. */
  static of(service: GatewayService, store: PostgresStore | undefined): Sharing | undefined {
    return store && !store.isSole ? new Sharing(service, store) : undefined;
  }

  private constructor(
    private readonly service: GatewayService,
    private readonly store: PostgresStore,
  ) {
    const { log } = service.options;
    this.name = store.leases.worker;
    this.places = new DevicePlaces({ store, nowMs: () => performance.now() });
    this.runner = new LeaseRunner({
      store,
      gateway: () => service.gateway?.shared,
      onLost: (reason) => service.loseAll(reason),
      onServed: (peer, isServed) => {
        this.places.served(peer, isServed);
        if (isServed) service.mqtt?.announce(topicName(toHex(peer)));
        else service.backups?.copies.left(toHex(peer));
        log.debug({ peer: toHex(peer), isServed }, "lease");
      },
      onComing: (peer, isComing) => this.places.comes(peer, isComing),
      onProblem: (text) => service.alarm(text),
    });
    this.entrusted = new EntrustedHtlcs({
      store,
      isServed: (peer) => this.runner.isServed(peer),
      onProblem: (text) => service.alarm(text),
    });
    this.runner.beginBeating();
    log.info({ worker: this.name, peers: store.leases.held().length }, "one of several processes");
  }

  get forGateway(): Required<Pick<GatewayOptions, "share">> {
    const { keyIndices } = this.store;
    const servesPeer = (peer: PublicKey) => this.runner.servesPeer(peer);
    return { share: { servesPeer, keyIndices, entrusting: this.entrusted } };
  }

  /** Of a peer that is to be called: two processes that call it would end each other's sessions. */
  mayCall(nodeId: string): boolean {
    return this.runner.servesPeer(publicKey(fromHex(nodeId)));
  }

  start(): void {
    this.entrusted.start();
    this.service.atStop("payments between processes", () => this.entrusted.stop());
    this.runner.start();
    this.service.atStop("leases", () => this.runner.stop());
  }
}
