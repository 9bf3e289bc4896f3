/** The TypeScript client against real gateways over TLS of their own authority; and changes as they happen. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import WebSocket from "ws";
import { PicoboltClient } from "../../../client/client.ts";
import { GatewayProblem, GatewayUnreachable } from "../../../client/errors.ts";
import type { GatewayEvent } from "../../../client/events.ts";
import { macaroonText } from "../../../gateway/auth/macaroon.ts";
import { PATIENT } from "../../support/patience.ts";
import { ApiLab } from "./api-lab.ts";

let alice: ApiLab;
let bob: ApiLab;
let client: PicoboltClient;
let payee: PicoboltClient;

const TLS = { settings: { "api.tls": "auto" } } as const;
const accessTo = (lab: ApiLab) => ({
  url: lab.url,
  macaroon: lab.macaroon("admin"),
  ca: readFileSync(join(lab.folder, "ca.pem"), "utf8"),
});

beforeAll(async () => {
  alice = await ApiLab.start(TLS);
  bob = await ApiLab.start({ ...TLS, lab: alice.lab });
  client = await PicoboltClient.connect(accessTo(alice));
  payee = await PicoboltClient.connect(accessTo(bob));
});
afterAll(async () => {
  await Promise.all([alice.stop(), bob.stop()]);
});

test("a gateway whose authority is not known is not spoken to, nor one that is not there", async () => {
  const { ca: _, ...stranger } = accessTo(alice);
  await expect(PicoboltClient.connect(stranger)).rejects.toThrow(/ca\.pem/);
  const nobody = PicoboltClient.connect({ ...stranger, url: "https://127.0.0.1:1" });
  await expect(nobody).rejects.toThrow(GatewayUnreachable);
});

test("from nothing to a paid invoice and a closed channel", async () => {
  const { addresses, node_id: peer_node_id } = payee.info;
  await client.connectPeer(addresses[0] as string);
  const stop = new AbortController();
  const isReady = await readyChannel(client, stop);
  const channel = await client.openChannel({ peer_node_id, capacity: 300_000 });
  await expect.poll(() => alice.lab.mempool(), PATIENT).toHaveLength(1);
  await alice.lab.mine(3);
  expect(await isReady()).toBe(channel.channel_id);
  for (const side of [client, payee]) {
    await expect
      .poll(async () => (await side.listChannels({ state: "normal" })).length, PATIENT)
      .toBe(1);
  }

  const invoice = await payee.createInvoice({ amount: 5_000, memo: "coffee" });
  const paid = payee.waitForInvoicePayment(invoice.payment_hash);
  const payment = await client.payInvoice(invoice.invoice);
  expect(payment).toMatchObject({ status: "succeeded", amount_msat: 5_000_000 });
  expect(await paid).toMatchObject({ state: "paid", received_msat: 5_000_000 });
  expect((await client.closeChannel(channel.channel_id)).state).toBe("closing");
});

/** When it resolves the events are followed; the rest waits for the channel. */
async function readyChannel(
  of: PicoboltClient,
  stop: AbortController,
): Promise<() => Promise<unknown>> {
  let onOpen = () => {};
  const opened = new Promise<void>((resolve) => {
    onOpen = resolve;
  });
  const told = (async () => {
    for await (const { event } of of.events({ signal: stop.signal, onOpen })) {
      if ((event.event as { type?: string } | undefined)?.type !== "ready") continue;
      stop.abort();
      return event.channel_id;
    }
    return undefined;
  })();
  await Promise.race([opened, told]);
  return () => told;
}

test("a refusal is a problem with its name, status and fields", async () => {
  const wrong = client.openChannel({ peer_node_id: "02", capacity: 1 });
  await expect(wrong).rejects.toBeInstanceOf(GatewayProblem);
  await expect(wrong).rejects.toMatchObject({
    problem: "invalid-request",
    status: 400,
    errors: [{ pointer: "/peer_node_id" }],
  });
});

describe("changes", () => {
  const block = async (lab: ApiLab) => lab.lab.mine(1);

  async function take(of: PicoboltClient, count: number, after?: string): Promise<GatewayEvent[]> {
    const taken: GatewayEvent[] = [];
    const stop = new AbortController();
    const options = { signal: stop.signal, ...(after !== undefined && { after }) };
    let mined = Promise.resolve();
    const onOpen = () => {
      mined = block(alice);
    };
    for await (const one of of.events({ ...options, onOpen })) {
      taken.push(one);
      if (taken.length === count) break;
    }
    stop.abort();
    await mined; // or the next test would hear of it
    return taken;
  }

  test("are resumed after the last one seen: none missing, none twice", async () => {
    const [first] = await take(client, 1);
    await block(alice);
    await block(alice);
    const missed = await take(client, 2, first?.id);
    const [run, number] = String(first?.id).split("-");
    expect(missed.map(({ id }) => id)).toEqual([
      `${run}-${Number(number) + 1}`,
      expect.any(String),
    ]);
    expect(missed.every(({ event }) => event.type !== "missed")).toBe(true);
  });

  test("what is kept no more, or is of an earlier run, is told to be missing", async () => {
    const [told] = await take(client, 1, "00000000-5");
    expect(told?.event.type).toBe("missed");
  });

  test("end when the macaroon is revoked", async () => {
    const { authority } = alice.service.api as NonNullable<typeof alice.service.api>;
    const macaroon = macaroonText(authority.bake("watcher", ["method = read"]));
    let isRevoked = false;
    const watcher = await PicoboltClient.connect({ ...accessTo(alice), macaroon });
    const following = (async () => {
      for await (const { event } of watcher.events({ onOpen: () => void block(alice) })) {
        if (event.type !== "block") continue;
        // The one that is mined after the revocation is not told.
        expect(isRevoked).toBe(false);
        authority.revoke("watcher");
        isRevoked = true;
        await block(alice);
      }
    })();
    await expect(following).rejects.toThrow(/revoked/);
  });

  test("over a WebSocket too, which is closed with a stale macaroon and not opened without one", async () => {
    const { authority } = alice.service.api as NonNullable<typeof alice.service.api>;
    const macaroon = macaroonText(authority.bake("socket"));
    const url = `${alice.url.replace("https", "wss")}/api/events/ws`;
    const { ca } = accessTo(alice);
    const socket = new WebSocket(url, { ca, headers: { authorization: `Macaroon ${macaroon}` } });
    const closed = new Promise<number>((resolve) => socket.once("close", resolve));
    const heard: string[] = [];
    socket.on("message", (data) => heard.push(String(data)));
    await new Promise<void>((opened) => socket.once("open", () => opened()));
    // Open at our end: the gateway's may follow a moment later.
    while (heard.length === 0) {
      await block(alice);
      await new Promise((wake) => setTimeout(wake, 20));
    }
    expect(JSON.parse(String(heard[0]))).toMatchObject({ event: { type: expect.any(String) } });
    authority.revoke("socket");
    await block(alice);
    expect(await closed).toBe(1008);
    const stranger = new WebSocket(url, { ca });
    const status = await new Promise((resolve) => {
      stranger.once("unexpected-response", (_, response) => resolve(response.statusCode));
      stranger.once("error", () => {});
    });
    expect(status).toBe(401);
    stranger.terminate();
  });
});
