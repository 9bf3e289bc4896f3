/** An owner opens and closes a device's channel with a real gateway on the simulated chain; what must not happen while it is open is refused. */
import { afterEach, expect, it } from "vitest";
import type { Link } from "../../core/ports/link.ts";
import { toHex } from "../../core/primitives/bytes.ts";
import { AdminRefusal } from "../../gateway/admin/client.ts";
import { DeviceLab } from "../support/device-lab.ts";
import {
  claimRequest,
  entropy,
  newOwner,
  ProgramLab,
  payoutKey,
  until,
} from "../support/program-lab.ts";

let lab: ProgramLab;
let world: DeviceLab;
let timer: ReturnType<typeof setInterval>;
afterEach(async () => {
  clearInterval(timer);
  lab.stop();
  await world.close();
});

it("a channel is opened once for one key, keeps keys and payout while it lasts, and is closed to the owner", async () => {
  world = await DeviceLab.make();
  lab = await ProgramLab.start({ cables: 2 });
  const client = await lab.owner(newOwner(), 0);
  const zeroConf = { zeroConf: true, minimumDepth: 1 };
  await client.claim(claimRequest({ gateway: world.gatewayId, policy: zeroConf }));
  await until(() => lab.program.device !== undefined);
  // The gateway calls the device, over the other cable.
  world.gateway.attach(lab.board.ends[1]?.link as Link, lab.program.nodeId);
  timer = setInterval(() => {
    world.nowMs += 50;
    world.gateway.tick(world.nowMs);
  }, 10);
  await until(() => lab.program.device?.node.isConnected(world.gatewayId) === true);

  const key = entropy.random(16);
  const request = { amountSat: 200_000, key };
  expect(await client.open(request)).toMatchObject({ known: false });
  expect(await client.open(request)).toEqual({ known: true });
  const live = () =>
    lab.program.device?.node.channels().filter(({ channel }) => channel.kind === "live") ?? [];
  await until(() => live().length === 1);
  for (let i = 0; i < 4; i++) {
    await world.chain.mine(1);
    await new Promise((resolve) => setTimeout(resolve, 150));
  }
  const isNormal = () => {
    const [one] = live();
    return one?.channel.kind === "live" && one.channel.record.phase === "normal";
  };
  await until(() => isNormal() && lab.program.device?.node.isIdle === true);
  const [channel] = await client.channels();
  expect(channel).toMatchObject({ phase: "normal", capacitySat: 200_000, localMsat: 200_000_000 });
  expect(await client.info()).toMatchObject({ gatewayConnected: true, channels: { count: 1 } });

  for (const refused of [
    client.setSettings({ payout: payoutKey() }),
    client.setSettings({ gateway: newOwner().nodeId }),
    client.call("release"),
  ]) {
    const cause = await refused.catch((thrown: unknown) => thrown);
    expect(cause).toBeInstanceOf(AdminRefusal);
    expect((cause as AdminRefusal).code).toBe("channels-open");
  }
  // Rule `reset-keeps-channels`
  lab.board.levels.set("button", true);
  await new Promise((resolve) => setTimeout(resolve, 120));
  lab.board.aheadMs += 10_000;
  await until(() => lab.alarms.some((text) => /factory reset refused/.test(text)));
  lab.board.levels.set("button", false);
  expect(lab.board.restarts).toBe(0);

  await client.closeChannel(channel?.id as Uint8Array);
  await client.closeChannel(channel?.id as Uint8Array);
  await until(() => {
    const [one] = live();
    return one?.channel.kind === "live" && one.channel.record.mutualCloses.length > 0;
  });
  const [closing] = live();
  const record = closing?.channel.kind === "live" ? closing.channel.record : undefined;
  const script = record?.localShutdownScript as Uint8Array;
  expect(toHex(record?.mutualCloses[0] as Uint8Array)).toContain(toHex(script));
});
