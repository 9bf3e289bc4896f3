/** What a device entrusted to its gateway goes on after the gateway was started again, though the device sleeps. */
import { afterEach, expect, it } from "vitest";
import { PayerApp } from "../../firmware/apps/payer.ts";
import { DeviceLab } from "../support/device-lab.ts";

let lab: DeviceLab;
afterEach(() => lab.close());

it("a closing that was asked for once is published until it is in a block, whoever sleeps or stops", async () => {
  lab = await DeviceLab.make();
  const alice = await lab.add("alice", () => new PayerApp());
  const bob = await lab.add("bob", () => new PayerApp());
  const connect = () => [lab.connect(alice), lab.connect(bob), lab.connect(alice, bob)];
  let cables = connect();
  await lab.flow();
  const id = await lab.open(alice, bob, 100_000);
  bob.device.node.command(id, { type: "forceClose" });
  await lab.flow();
  for (const cable of cables) lab.pull(cable);

  const entrusted = () => lab.gateway.publisher.queue().filter(({ isEntrusted }) => isEntrusted);
  const restart = async () => {
    await lab.stopGateway();
    await lab.startGateway();
    await lab.gateway.publisher.idle();
  };
  await restart();
  expect(entrusted()).toMatchObject([{ purpose: "commitment", channelId: id }]);
  await lab.mine(1);
  expect(entrusted()).toEqual([]);
  await restart();
  expect(entrusted()).toEqual([]); // it is in a block: nothing of it was kept

  cables = connect();
  for (let i = 0; i < 40 && bob.events("closed").length === 0; i++) await lab.mine(1);
  expect(bob.events("closed")).toHaveLength(1);
});
