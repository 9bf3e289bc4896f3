/** A gateway of one process on PostgreSQL does all that one on SQLite does: settlement, the fleet, and a watchtower. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startRegtestLab } from "../../../host-sim/chain/bitcoind-lab.ts";
import type { ChainLab } from "../../../host-sim/chain/lab.ts";
import { TestPostgres } from "../../../host-sim/postgres/postgres-server.ts";
import { bitcoindAbsence } from "../../support/chain-lab.ts";
import { ApiLab } from "../api/api-lab.ts";

const absence = bitcoindAbsence();

describe.skipIf(absence !== undefined)(`on PostgreSQL (${absence ?? "bitcoind"})`, () => {
  let chain: ChainLab;
  let postgres: TestPostgres;
  let gateway: ApiLab;

  beforeAll(async () => {
    [chain, postgres] = await Promise.all([startRegtestLab(), TestPostgres.start()]);
    const { rpcPort, cookieFile } = chain.connection ?? { rpcPort: 0, cookieFile: "" };
    gateway = await ApiLab.start({
      settings: {
        network: "regtest",
        database_url: await postgres.database(),
        "bitcoind.url": `http://127.0.0.1:${rpcPort}`,
        "bitcoind.cookie_file": cookieFile,
        "settlement.reserve_sat": "700000",
      },
    });
  });
  afterAll(async () => {
    await gateway?.stop();
    await chain?.close();
    await postgres?.close();
  });

  test("settles, has a fleet, and watches for others with a file of its own", async () => {
    const settlement = await gateway.call("GET", "/api/settlement");
    expect(settlement).toMatchObject({ status: 200, body: { queue: [], automatic: ["sweep"] } });
    expect((await gateway.call("GET", "/api/settlement/income")).status).toBe(200);
    expect((await gateway.call("GET", "/api/devices")).body).toEqual({ devices: [] });
    const { server } = (await gateway.call("GET", "/api/tower")).body;
    expect(server).toMatchObject({ clients: 0, slots: 0 });
    expect(existsSync(join(gateway.folder, "regtest.tower.sqlite"))).toBe(true);
    expect(existsSync(join(gateway.folder, "regtest.sqlite"))).toBe(false);
  });
});
