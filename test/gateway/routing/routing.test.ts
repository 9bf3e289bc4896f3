/** Blocks that come and go take channels out of the table; who is no gateway with a channel of ours is neither heard nor told. */
import { expect, it } from "vitest";
import type { Message } from "../../../core/messages/message.ts";
import type { Node } from "../../../core/node/node.ts";
import type { ChainSource } from "../../../core/ports/chain.ts";
import { blockHeight, channelId, type PublicKey } from "../../../core/primitives/brands.ts";
import { equal, toHex } from "../../../core/primitives/bytes.ts";
import { defaultForwardPolicy } from "../../../gateway/payments/forward-policy.ts";
import { Routing } from "../../../gateway/routing/routing.ts";
import { crypto } from "../../support/node-pair.ts";
import {
  announcement,
  channel,
  close,
  FakeChain,
  NOW,
  peerId,
  signerOf,
  update,
} from "./statements.ts";

const gateway = peerId("gateway");
const device = peerId("device");
const stranger = peerId("stranger");
const ab = channel("a", "b", 1);
const bc = channel("b", "c", 2);

/** Its node has a channel with the gateway and one with the device, both connected; the chain has what is announced. */
function start() {
  const chain = new FakeChain();
  for (const made of [ab, bc]) chain.fund(made);
  const sent: { readonly to: PublicKey; readonly message: Message }[] = [];
  const node = {
    get height() {
      return blockHeight(chain.height);
    },
    channels: (of?: PublicKey) =>
      of && !equal(of, stranger)
        ? [{ id: channelId(of.slice(1)), channel: { kind: "opening" } }]
        : [],
    contextOf: (id: Uint8Array) => ({ negotiated: { routingTable: equal(id, gateway.slice(1)) } }),
    sendService: (to: PublicKey, message: Message) => sent.push({ to, message }) > 0,
  } as unknown as Node;
  const routing = new Routing({
    crypto,
    signer: signerOf("self"),
    source: { ...chain.proving.source, watchOutpoint: () => {} } as unknown as ChainSource,
    policy: defaultForwardPolicy,
    node: () => node,
    nowSeconds: () => NOW,
    onAlarm: () => {},
  });
  for (const peer of [gateway, device, stranger]) routing.peer(peer, "connected");
  const hear = async (from: PublicKey, statement: Uint8Array) => {
    expect(routing.receive(from, { type: "routing", statement })).toBe(true);
    await routing.settled();
  };
  const block = async () => {
    routing.blockConnected({ height: blockHeight(chain.height), transactions: [] });
    await new Promise((done) => setImmediate(done));
  };
  return { chain, routing, sent, hear, block };
}

it("hears gateways with a channel alone, and lists what they told", async () => {
  const { routing, hear } = start();
  for (const from of [device, stranger]) await hear(from, announcement(ab));
  expect(routing.routes()).toEqual([]);
  await hear(gateway, announcement(ab));
  await hear(gateway, update(ab, 1, { feeBaseMsat: 7 }));
  expect(routing.routes()).toMatchObject([
    {
      shortChannelId: "101x1x1",
      capacitySat: 1_000_000,
      nodes: [toHex(ab.body.node0), toHex(ab.body.node1)],
      isOurs: false,
      ends: [{ nodeId: toHex(ab.body.node1), feeBaseMsat: 7, enabled: true, updated: NOW }],
    },
  ]);
  expect(
    routing.receive(gateway, { type: "error", channelId: channelId(new Uint8Array(32)), data: "" }),
  ).toBe(false);
});

it("tells a gateway that connects the whole table, and nobody else", async () => {
  const { routing, sent, hear } = start();
  await hear(gateway, announcement(ab));
  routing.peer(gateway, "disconnected");
  routing.peer(gateway, "connected");
  routing.tick(50);
  expect(sent).toEqual([
    { to: gateway, message: { type: "routing", statement: announcement(ab) } },
  ]);
});

it("keeps through a reorganisation what is still funded, and drops what is not", async () => {
  const { chain, routing, hear, block } = start();
  for (const made of [ab, bc]) await hear(gateway, announcement(made));
  chain.height = 100;
  routing.rewind(blockHeight(101));
  chain.spend(bc); // its funding is in no block of the new chain
  for (; chain.height < 110; chain.height++) await block();
  expect(routing.routes().map(({ outpoint }) => outpoint)).toEqual([`${toHex(ab.body.txid)}:1`]);
});

it("does not tell again of a channel that was closed, also while it is not spent yet", async () => {
  const { routing, hear } = start();
  await hear(gateway, announcement(ab));
  await hear(gateway, close(ab, 1));
  await hear(gateway, announcement(ab));
  expect(routing.routes()).toEqual([]);
});
