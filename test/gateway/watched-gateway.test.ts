/** A gateway whose own channels are watched over by another one: what its devices revoke is with the tower, also after a restart. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { milliSatoshi, satoshi } from "../../core/primitives/brands.ts";
import { PayerApp } from "../../firmware/apps/payer.ts";
import { openSqliteStore } from "../../gateway/store/sqlite-store.ts";
import { DeviceLab } from "../support/device-lab.ts";
import { payment } from "../support/node-pair.ts";
import { TowerLab } from "../support/tower-lab.ts";

it("hands over what its devices revoke, and goes on after a restart", async () => {
  const folder = mkdtempSync(join(tmpdir(), "picobolt-watched-"));
  const watching = { tower: TowerLab.nodeId };
  const path = join(folder, "gateway.sqlite");
  const lab = new DeviceLab();
  lab.wallet = await lab.chain.wallet("gateway");
  lab.gatewayStore = openSqliteStore(path);
  await lab.startGateway({ watching });
  const tower = await TowerLab.start(lab.chain, join(folder, "tower.sqlite"));
  const flow = async () => {
    for (let i = 0; i < 6; i++) {
      await lab.flow(4);
      await tower.flow(3);
    }
  };
  const device = await lab.add("device", () => new PayerApp());
  lab.connect(device);
  tower.connect({ node: lab.gateway, tick: () => lab.nowMs });
  await flow();
  lab.gateway.node.open({
    remoteNodeId: device.id,
    channelType: "zero_fee_commitments",
    fundingSatoshis: satoshi(400_000),
    pushMsat: milliSatoshi(100_000_000), // a device without a balance has nothing to lose
    feeratePerKw: 0,
  });
  await flow();
  await lab.mine(3);
  await flow();
  const id = lab.gateway.node.channels()[0]?.id;
  if (!id) throw new Error(`no channel: ${lab.alarms.join("; ")}`);
  const pay = async () => {
    lab.gateway.node.command(id, { type: "push", payments: payment(1_000_000) });
    await flow();
  };
  await pay();
  await pay();
  const revoked = () => lab.gateway.node.record(id)?.remoteNumber ?? 0;
  expect(revoked()).toBeGreaterThanOrEqual(2);
  expect(lab.gateway.watching.protected?.protection()).toMatchObject({
    waitingStates: 0,
    lostStates: 0,
    unseenStates: 0,
  });
  expect(tower.gateway.watching.server?.totals().slots).toBe(revoked());

  tower.disconnect();
  await lab.stopGateway();
  lab.gatewayStore = openSqliteStore(path);
  await lab.startGateway({ watching });
  lab.connect(device);
  tower.connect({ node: lab.gateway, tick: () => lab.nowMs });
  await flow();
  await pay();

  expect(lab.gateway.watching.protected?.protection()).toMatchObject({
    waitingStates: 0,
    unseenStates: 0,
  });
  expect(tower.gateway.watching.server?.totals().slots).toBe(revoked());
  expect([...lab.alarms, ...tower.alarms]).toEqual([]);
  await tower.stop();
  await lab.close();
  rmSync(folder, { recursive: true });
});
