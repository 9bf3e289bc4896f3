/** One LDK node (rust-lightning in WebAssembly, npm `lightningdevkit`) on a chain that exists in memory alone: the peer of the bench. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import * as ldk from "lightningdevkit";
import { assert } from "../../core/primitives/errors.ts";

const FEERATE_PER_KW = 253;
const HEADER_BYTES = 80;
const MAX_DUST_MSAT = 5_000_000_000n;

export type LdkEvent = ldk.Event;

/** Loads the WebAssembly; once in a process. */
export async function loadLdk(): Promise<void> {
  const path = createRequire(import.meta.url).resolve("lightningdevkit/liblightningjs.wasm");
  const { log } = console;
  console.log = () => {}; // it prints a banner
  try {
    await ldk.initializeWasmFromBinary(readFileSync(path));
  } finally {
    console.log = log;
  }
}

/** Keeps nothing on disk: monitors are not even encoded, which is the best case for it. */
export class LdkNode {
  readonly manager: ldk.ChannelManager;
  readonly peers: ldk.PeerManager;
  readonly nodeId: Uint8Array;
  /** Replaced by what a measurement waits for. */
  onEvent: (event: LdkEvent) => void = () => {};
  private readonly monitor: ldk.ChainMonitor;
  private readonly handler: ldk.EventHandler;
  private happened = 0;
  private forwards = false;

  constructor(seedByte: number) {
    const seconds = 1_700_000_000n;
    const logger = ldk.Logger.new_impl({ log() {} });
    const fees = ldk.FeeEstimator.new_impl({ get_est_sat_per_1000_weight: () => FEERATE_PER_KW });
    const broadcaster = ldk.BroadcasterInterface.new_impl({ broadcast_transactions() {} });
    const completed = () => ldk.ChannelMonitorUpdateStatus.LDKChannelMonitorUpdateStatus_Completed;
    const persist = ldk.Persist.new_impl({
      persist_new_channel: completed,
      update_persisted_channel: completed,
      archive_persisted_channel() {},
    });
    const noFilter = ldk.Option_FilterZ.constructor_none();
    this.monitor = ldk.ChainMonitor.constructor_new(noFilter, broadcaster, logger, fees, persist);
    const keys = ldk.KeysManager.constructor_new(new Uint8Array(32).fill(seedByte), seconds, 0);
    const regtest = ldk.Network.LDKNetwork_Regtest;
    const graph = ldk.NetworkGraph.constructor_new(regtest, logger);
    const router = routerOf(graph, logger, keys);
    const best = ldk.BestBlock.constructor_from_network(regtest);
    this.manager = ldk.ChannelManager.constructor_new(
      fees,
      this.monitor.as_Watch(),
      broadcaster,
      router,
      ldk.DefaultMessageRouter.constructor_new(graph, keys.as_EntropySource()).as_MessageRouter(),
      logger,
      keys.as_EntropySource(),
      keys.as_NodeSigner(),
      keys.as_SignerProvider(),
      userConfig(),
      ldk.ChainParameters.constructor_new(regtest, best),
      Number(seconds),
    );
    this.nodeId = this.manager.get_our_node_id();
    const gossip = ldk.P2PGossipSync.constructor_new(
      graph,
      ldk.Option_UtxoLookupZ.constructor_none(),
      logger,
    );
    const ignoring = ldk.IgnoringMessageHandler.constructor_new();
    this.peers = ldk.PeerManager.constructor_new(
      this.manager.as_ChannelMessageHandler(),
      gossip.as_RoutingMessageHandler(),
      ignoring.as_OnionMessageHandler(),
      ignoring.as_CustomMessageHandler(),
      Number(seconds),
      new Uint8Array(32).fill(seedByte + 100),
      logger,
      keys.as_NodeSigner(),
    );
    this.handler = ldk.EventHandler.new_impl({
      handle_event: (event) => {
        this.handle(event);
        return ldk.Result_NoneReplayEventZ.constructor_ok();
      },
    });
  }

  /** Sends what waits and tells events; whether there was any. */
  work(): boolean {
    const before = this.happened;
    if (this.forwards) {
      this.forwards = false;
      this.manager.process_pending_htlc_forwards();
      this.happened++;
    }
    this.manager.as_EventsProvider().process_pending_events(this.handler);
    this.peers.process_events();
    return this.happened !== before;
  }

  /** A block with these transactions; headers are not checked by LDK, whoever calls it checks them. */
  connectBlock(height: number, transactions: readonly Uint8Array[]): void {
    const header = new Uint8Array(HEADER_BYTES);
    new DataView(header.buffer).setUint32(HEADER_BYTES - 4, height);
    const placed = () =>
      transactions.map((raw, i) => ldk.TwoTuple_usizeTransactionZ.constructor_new(i + 1, raw));
    for (const confirm of [this.manager.as_Confirm(), this.monitor.as_Confirm()]) {
      if (transactions.length > 0) confirm.transactions_confirmed(header, placed(), height);
      confirm.best_block_updated(header, height);
    }
  }

  open(nodeId: Uint8Array, satoshis: number): void {
    const none = null as unknown as ldk.ChannelId;
    const opened = this.manager.create_channel(
      nodeId,
      BigInt(satoshis),
      0n,
      7n,
      none,
      userConfig(),
    );
    assert(opened.is_ok(), "LDK opens a channel");
  }

  /** What `pay` takes. */
  invoice(msat: number): string {
    const made = ldk.UtilMethods.constructor_create_invoice_from_channelmanager(
      this.manager,
      ldk.Option_u64Z.constructor_some(BigInt(msat)),
      "bench",
      3_600,
      ldk.Option_u16Z.constructor_none(),
    );
    assert(made instanceof ldk.Result_Bolt11InvoiceSignOrCreationErrorZ_OK, "LDK makes an invoice");
    return made.res.to_str();
  }

  /** Everything of a payment that can be made before it is decided. */
  prepare(bolt11: string): LdkPayment {
    const invoice = ldk.Bolt11Invoice.constructor_from_str(bolt11);
    assert(invoice instanceof ldk.Result_Bolt11InvoiceParseOrSemanticErrorZ_OK, "it is one");
    const made = ldk.UtilMethods.constructor_payment_parameters_from_invoice(invoice.res);
    assert(made.is_ok(), "the invoice has an amount");
    const { res: terms } = made as unknown as { readonly res: LdkTerms };
    return { hash: terms.get_a(), fields: terms.get_b(), route: terms.get_c() };
  }

  pay({ hash, fields, route }: LdkPayment): void {
    const retry = ldk.Retry.constructor_attempts(0);
    const sent = this.manager.send_payment(hash, fields, hash, route, retry);
    if (sent instanceof ldk.Result_NoneRetryableSendFailureZ_Err) {
      throw new Error(`LDK does not send the payment: ${ldk.RetryableSendFailure[sent.err]}`);
    }
  }

  private handle(event: LdkEvent): void {
    this.happened++;
    if (event instanceof ldk.Event_PendingHTLCsForwardable) this.forwards = true;
    if (event instanceof ldk.Event_PaymentClaimable) {
      const preimage = event.purpose.preimage();
      assert(preimage instanceof ldk.Option_ThirtyTwoBytesZ_Some, "the payee made the preimage");
      this.manager.claim_funds(preimage.some);
    }
    this.onEvent(event);
  }
}

export interface LdkPayment {
  readonly hash: Uint8Array;
  readonly fields: ldk.RecipientOnionFields;
  readonly route: ldk.RouteParameters;
}

interface LdkTerms {
  get_a(): Uint8Array;
  get_b(): ldk.RecipientOnionFields;
  get_c(): ldk.RouteParameters;
}

function routerOf(graph: ldk.NetworkGraph, logger: ldk.Logger, keys: ldk.KeysManager): ldk.Router {
  const decay = ldk.ProbabilisticScoringDecayParameters.constructor_default();
  const scorer = ldk.ProbabilisticScorer.constructor_new(decay, graph, logger);
  const score = ldk.MultiThreadedLockableScore.constructor_new(scorer.as_Score());
  const fees = ldk.ProbabilisticScoringFeeParameters.constructor_default();
  const router = ldk.DefaultRouter.constructor_new(
    graph,
    logger,
    keys.as_EntropySource(),
    score.as_LockableScore(),
    fees,
  );
  return router.as_Router();
}

function userConfig(): ldk.UserConfig {
  const config = ldk.UserConfig.constructor_default();
  const handshake = config.get_channel_handshake_config();
  handshake.set_minimum_depth(1);
  handshake.set_announce_for_forwarding(false);
  handshake.set_max_inbound_htlc_value_in_flight_percent_of_channel(100);
  config.set_channel_handshake_config(handshake);
  const limits = config.get_channel_handshake_limits();
  limits.set_force_announced_channel_preference(false);
  config.set_channel_handshake_limits(limits);
  const channel = config.get_channel_config();
  // Its default leaves room for one HTLC at this feerate.
  const dust = ldk.MaxDustHTLCExposure.constructor_fixed_limit_msat(MAX_DUST_MSAT);
  channel.set_max_dust_htlc_exposure(dust);
  config.set_channel_config(channel);
  return config;
}
