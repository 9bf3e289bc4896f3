/** bounded: any service message at any time, from the gateway, a peer or a stranger, breaks no device and no gateway. */
import fc from "fast-check";
import { expect, it } from "vitest";
import type { Message } from "../../core/messages/message.ts";
import { serviceMessages } from "../../core/messages/service.ts";
import { milliSatoshi, type PublicKey } from "../../core/primitives/brands.ts";
import { ProtocolViolation } from "../../core/primitives/errors.ts";
import { PayerApp } from "../../firmware/apps/payer.ts";
import { VendingApp } from "../../firmware/apps/vending.ts";
import { DeviceLab, say } from "../support/device-lab.ts";
import { validFields } from "../support/message-values.ts";

const anyMessage = fc.oneof(
  ...serviceMessages.map(({ name, fields }) =>
    validFields(fields).map((values) => ({ type: name, ...values }) as unknown as Message),
  ),
);

it("leaves every channel and session as it was", async () => {
  const lab = await DeviceLab.make();
  const payer = await lab.add("payer", () => new PayerApp());
  const tea = { id: 1, name: "tea", priceMsat: milliSatoshi(900_000) };
  const deliver = async () => {};
  const app = () => new VendingApp({ machine: "kiosk", products: [tea], delivery: { deliver } });
  const machine = await lab.add("machine", app);
  lab.connect(payer);
  lab.connect(machine);
  lab.connect(payer, machine);
  await lab.flow();
  const id = await lab.open(payer, machine);
  const before = machine.device.node.record(id)?.base;
  const calm = (work: () => void) => {
    try {
      work();
    } catch (cause) {
      if (!(cause instanceof ProtocolViolation)) throw cause; // that one ends the session, in words
    }
  };
  const onService = (
    lab.gateway.node as unknown as {
      options: { events: { onServiceMessage(peer: PublicKey, message: Message): void } };
    }
  ).options.events.onServiceMessage;
  const messages = fc.sample(anyMessage, { numRuns: 1500, seed: 7 });
  for (const [i, message] of messages.entries()) {
    for (const device of [payer, machine]) {
      for (const from of [lab.gatewayId, payer.id, machine.id]) {
        calm(() => say(device, from, message));
      }
    }
    // Coins that a device may have are not what this is about.
    if (message.type !== "funding_request") calm(() => onService(payer.id, message));
    if (i % 100 === 0) await lab.flow(2);
  }
  await lab.flow();
  expect(machine.device.node.record(id)?.base).toEqual(before);
  expect(payer.device.node.record(id)?.phase).toBe("normal");
  let outcome: { delivered: boolean } | undefined;
  payer.payer.onMessage(machine.id, {
    type: "price_list",
    machine: "kiosk",
    ready: true,
    products: [{ ...tea, ready: true }],
    version: 1,
    page: 0,
    pages: 1,
    total: 1,
    note: undefined,
    request: undefined,
  });
  void payer.payer.buy(id, tea.id).then((end) => {
    outcome = end;
  });
  await lab.flow(40);
  expect(outcome).toMatchObject({ delivered: true });
  await lab.close();
});
