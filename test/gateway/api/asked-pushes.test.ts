/** A push that is asked for again while nobody knows yet whether it was stored: never given twice, and never called unpaid. */
import { expect, it } from "vitest";
import type { Command } from "../../../core/channel/inputs.ts";
import type { ChannelId } from "../../../core/primitives/brands.ts";
import { toHex } from "../../../core/primitives/bytes.ts";
import type { ApiHost } from "../../../gateway/api/host.ts";
import type { Call } from "../../../gateway/api/operation.ts";
import { channelPaymentOperations } from "../../../gateway/api/operations/channel-payments.ts";
import { EventHub } from "../../../gateway/run/event-hub.ts";
import { open } from "../../support/commands.ts";

const ID = new Uint8Array(32).fill(7);
const REFERENCE = toHex(ID.slice(0, 16));

/** A channel whose store takes its time: what it was told to do it does when the test says so. */
async function makeLab() {
  const { pair, id } = await open({});
  const { node } = pair.a;
  const events = new EventHub();
  const given: Command[] = [];
  const lab = { given, isStored: false, isConnected: true };
  const host = {
    events,
    store: { isDebited: () => lab.isStored },
    gateway: {
      node: {
        record: (of: ChannelId) => node.record(of),
        channels: () => node.channels(),
        isConnected: () => lab.isConnected,
        command: (_: ChannelId, command: Command) => given.push(command) > 0,
      },
    },
  } as unknown as ApiHost;
  const [operation] = channelPaymentOperations(host);
  /** The caller waits for the answer, or has gone at once. */
  const pay = (waits: boolean) => {
    const gone = new AbortController();
    const once = { id: ID, noted: undefined, note: async () => {}, leaveOpen: () => {} };
    const grant = { spend: async () => undefined };
    const call = { once, grant, signal: gone.signal } as unknown as Call;
    const input = { channel_id: toHex(id), amount: 1 };
    const answer = operation?.run(input as never, call) as Promise<{ state: string }>;
    if (!waits) setImmediate(() => gone.abort());
    return answer;
  };
  const tell = (event: object) =>
    events.emit({ type: "channel", channel_id: toHex(id), event: event as never });
  const committed = () => {
    lab.isStored = true;
    tell({ type: "pushCommitted", payments: [{ reference: REFERENCE, amountMsat: 1_000 }] });
  };
  const rejected = () => {
    const command = { type: "push", payments: `${REFERENCE}00000000000003e8` };
    tell({ type: "rejected", reason: "the link was lost: nothing was paid", command });
  };
  return Object.assign(lab, { pay, tell, committed, rejected });
}

it("is not given again while the first try has no answer, and not called unpaid when the peer has gone", async () => {
  const lab = await makeLab();
  expect(await lab.pay(false)).toMatchObject({ state: "pending" });
  lab.isConnected = false;
  expect(await lab.pay(false)).toMatchObject({ state: "pending" });
  expect(lab.given).toHaveLength(1);

  lab.committed();
  expect(await lab.pay(true)).toMatchObject({ state: "succeeded" });
  expect(lab.given).toHaveLength(1);
});

it("is refused once its channel has refused it, and may be asked for anew", async () => {
  const lab = await makeLab();
  const first = lab.pay(true);
  await new Promise((wake) => setImmediate(wake));
  lab.rejected();
  await expect(first).rejects.toThrow(/nothing was paid: the link was lost/);
  lab.isConnected = false;
  await expect(lab.pay(true)).rejects.toThrow(/is away: nothing was paid/);
  lab.isConnected = true;
  expect(await lab.pay(false)).toMatchObject({ state: "pending" });
  expect(lab.given).toHaveLength(2);
});

it("that was made is not refused for having been made", async () => {
  const lab = await makeLab();
  const first = lab.pay(true);
  await new Promise((wake) => setImmediate(wake));
  lab.isStored = true;
  lab.rejected();
  expect(await first).toMatchObject({ state: "succeeded" });
});
