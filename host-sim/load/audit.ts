/** What is true at the end: every payment once on both sides, every channel with the same balances in both stores, from the gateway's own file. */
import { decodeRecord } from "../../core/channel/codec.ts";
import type { ChannelRecord } from "../../core/channel/record.ts";
import { SeedSigner } from "../../core/keys/seed-signer.ts";
import type { Crypto } from "../../core/ports/crypto.ts";
import { fromHex, toHex } from "../../core/primitives/bytes.ts";
import type { OpenedStore } from "../../gateway/store/open-store.ts";
import { PUSHED_MSAT } from "./fleet.ts";
import type { LoadDevice } from "./load-device.ts";
import type { LoadPayment, Payments } from "./payments.ts";

export interface Audit {
  readonly succeeded: number;
  readonly failed: number;
  /** Paid, and the payee never had it; or a balance that is too small for what was paid. */
  readonly lost: number;
  /** Came more often than it was paid; or a balance that is too large. */
  readonly doubled: number;
  /** Channels whose two sides tell different balances. */
  readonly disagreeing: number;
  readonly bytesPerChannel: number;
  readonly problems: readonly string[];
}

const MAX_PROBLEMS = 20;

/** The gateway has stopped, and nothing is under way. */
export async function audit(
  crypto: Crypto,
  devices: readonly LoadDevice[],
  payments: Payments,
  store: OpenedStore,
): Promise<Audit> {
  const problems: string[] = [];
  const problem = (text: string) => problems.length < MAX_PROBLEMS && problems.push(text);
  let lost = 0;
  let doubled = 0;
  let succeeded = 0;
  const expected = new Map<LoadDevice, number>();
  const move = (device: LoadDevice | undefined, msat: number) =>
    device && expected.set(device, (expected.get(device) ?? 0) + msat);
  const claimed = new Set<string>();
  for (const payment of payments.all.values()) {
    const isPaid = payment.tookMs !== undefined;
    const count = await creditsOf(payment, payments, store);
    if (payment.reference) claimed.add(payment.reference);
    if (isPaid) {
      succeeded++;
      move(payment.payer, -payment.sumMsat);
      move(payment.payee, payment.amountMsat);
    }
    if (count < (isPaid ? 1 : 0)) {
      lost++;
      problem(`a payment (${payment.kind}) was paid and did not arrive: ${payment.name}`);
    }
    if (count > (isPaid ? 1 : 0)) {
      doubled += count - (isPaid ? 1 : 0);
      problem(`a payment (${payment.kind}) arrived ${count} times: ${payment.name}`);
    }
  }
  for (const [reference, { count }] of payments.credits) {
    if (claimed.has(reference)) continue;
    doubled += count;
    problem(`nobody knows who paid ${reference}`);
  }
  const ours = await recordsOf(crypto, store);
  let disagreeing = 0;
  for (const device of devices) {
    const theirs = device.record;
    const record = ours.records.get(toHex(device.channelId ?? new Uint8Array(0)));
    const fault = theirs && record ? faultOf(theirs, record) : "a side has no record";
    if (fault || !theirs) {
      disagreeing++;
      problem(`device ${device.index}: ${fault}`);
      continue;
    }
    const start = theirs.terms.fundingSatoshis * 1_000 - PUSHED_MSAT;
    const difference = theirs.base.toLocalMsat - start - (expected.get(device) ?? 0);
    if (difference === 0) continue;
    if (difference < 0) lost++;
    else doubled++;
    problem(`device ${device.index} has ${difference} msat more than its payments make`);
  }
  const failed = payments.all.size - succeeded;
  const { bytesPerChannel } = ours;
  return { succeeded, failed, lost, doubled, disagreeing, bytesPerChannel, problems };
}

async function creditsOf(
  { kind, reference }: LoadPayment,
  payments: Payments,
  store: OpenedStore,
): Promise<number> {
  if (!reference) return 0;
  // A reference stands in the gateway's table once, whatever came: twice would show in the balances.
  if (kind === "up") return (await store.isCredited(fromHex(reference))) ? 1 : 0;
  return payments.credits.get(reference)?.count ?? 0;
}

function faultOf(theirs: ChannelRecord, ours: ChannelRecord): string | undefined {
  if (theirs.base.htlcs.length + ours.base.htlcs.length > 0) return "an HTLC has not ended";
  const { toLocalMsat, toRemoteMsat } = ours.base;
  const isSame =
    theirs.base.toLocalMsat === toRemoteMsat && theirs.base.toRemoteMsat === toLocalMsat;
  const numbers =
    theirs.localNumber === ours.remoteNumber && theirs.remoteNumber === ours.localNumber;
  return isSame && numbers
    ? undefined
    : `it has ${theirs.base.toLocalMsat} msat, the gateway says ${toRemoteMsat}`;
}

async function recordsOf(crypto: Crypto, store: OpenedStore) {
  // Whose keys they are is nothing to the balances.
  const { basepoints } = new SeedSigner(crypto, new Uint8Array(32).fill(1)).channel(0);
  const records = new Map<string, ChannelRecord>();
  let bytes = 0;
  for (const { channelId, record } of await store.load()) {
    if (!(record instanceof Uint8Array)) continue;
    bytes += record.length;
    records.set(
      toHex(channelId),
      decodeRecord(record, () => basepoints),
    );
  }
  return { records, bytesPerChannel: Math.round(bytes / Math.max(1, records.size)) };
}
