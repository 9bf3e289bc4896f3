/** The bench's peer: two LDK nodes in this process that pay each other by HTLC, one payment at a time and many at once. */
import * as ldk from "lightningdevkit";
import type { Crypto } from "../../core/ports/crypto.ts";
import { assert } from "../../core/primitives/errors.ts";
import { LdkNode, type LdkPayment, loadLdk } from "./ldk-node.ts";
import { FUNDING_SATOSHIS, fundingOf } from "./pair.ts";
import { HTLC_MSAT } from "./payments.ts";

/** HTLCs in flight: LDK takes fifty of a peer by default. */
export const LDK_AT_ONCE = 50;
const BLOCKS = 6;

interface Packet {
  readonly to: LdkNode;
  readonly descriptor: ldk.SocketDescriptor;
  readonly bytes: Uint8Array;
}

export class LdkPair {
  private readonly queue: Packet[] = [];
  private constructor(
    readonly payer: LdkNode,
    readonly payee: LdkNode,
  ) {}

  static async open(crypto: Crypto): Promise<LdkPair> {
    await loadLdk();
    const pair = new LdkPair(new LdkNode(1), new LdkNode(2));
    pair.connect();
    pair.fund(crypto);
    return pair;
  }

  /** Until nobody has anything more to say: every commitment dance has ended. */
  settle(): void {
    for (let more = true; more; ) {
      more = this.deliver();
      for (const node of [this.payer, this.payee]) more = node.work() || more;
      more = this.queue.length > 0 || more;
    }
  }

  /** Pays all of them; the payer knows every preimage and no HTLC is left. */
  async pay(payments: readonly LdkPayment[]): Promise<void> {
    let sent = 0;
    let claimed = 0;
    this.payer.onEvent = (event) => {
      if (event instanceof ldk.Event_PaymentSent) sent++;
    };
    this.payee.onEvent = (event) => {
      if (event instanceof ldk.Event_PaymentClaimed) claimed++;
    };
    for (const payment of payments) this.payer.pay(payment);
    this.settle();
    assert(sent === payments.length && claimed === sent, "LDK paid everything");
    // Its objects are freed between turns of the event loop.
    await new Promise(setImmediate);
  }

  purse(count: number): readonly LdkPayment[] {
    return Array.from({ length: count }, () => this.payer.prepare(this.payee.invoice(HTLC_MSAT)));
  }

  private connect(): void {
    const { payer, payee } = this;
    const none = ldk.Option_SocketAddressZ.constructor_none;
    const ends: ldk.SocketDescriptor[] = [];
    const end = (id: bigint, to: LdkNode) =>
      ldk.SocketDescriptor.new_impl({
        send_data: (bytes) => {
          const descriptor = ends[id === 1n ? 1 : 0] as ldk.SocketDescriptor;
          if (bytes.length > 0) this.queue.push({ to, descriptor, bytes });
          return bytes.length;
        },
        disconnect_socket() {
          throw new Error("LDK closed the connection");
        },
        eq: (other) => other.hash() === id,
        hash: () => id,
      });
    ends.push(end(1n, payee), end(2n, payer));
    const [ours, theirs] = ends as [ldk.SocketDescriptor, ldk.SocketDescriptor];
    assert(payee.peers.new_inbound_connection(theirs, none()).is_ok(), "LDK takes connections");
    const first = payer.peers.new_outbound_connection(payee.nodeId, ours, none());
    assert(first instanceof ldk.Result_CVec_u8ZPeerHandleErrorZ_OK, "LDK connects");
    this.queue.push({ to: payee, descriptor: theirs, bytes: first.res });
    this.settle();
  }

  private deliver(): boolean {
    const now = this.queue.splice(0);
    for (const { to, descriptor, bytes } of now) {
      assert(to.peers.read_event(descriptor, bytes).is_ok(), "LDK reads what its peer sent");
    }
    return now.length > 0;
  }

  private fund(crypto: Crypto): void {
    const { payer, payee } = this;
    let raw: Uint8Array | undefined;
    let ready = 0;
    payer.onEvent = (event) => {
      if (event instanceof ldk.Event_ChannelReady) ready++;
      if (!(event instanceof ldk.Event_FundingGenerationReady)) return;
      raw = fundingOf(crypto, event.output_script, Number(event.channel_value_satoshis)).raw;
      const { temporary_channel_id: id, counterparty_node_id: nodeId } = event;
      const given = payer.manager.funding_transaction_generated(id, nodeId, raw);
      assert(given.is_ok(), "LDK takes the funding");
    };
    payer.open(payee.nodeId, FUNDING_SATOSHIS);
    this.settle();
    assert(raw !== undefined, "LDK asked for the funding");
    for (let height = 1; height <= BLOCKS; height++) {
      for (const node of [payer, payee]) node.connectBlock(height, height === 1 ? [raw] : []);
    }
    this.settle();
    assert(ready === 1, "LDK's channel is ready");
  }
}
