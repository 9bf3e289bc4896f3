/** The whole firmware in a real image of the Moddable SDK, on ptys: claimed, asked, paid, killed, paid again, by the command as at a board. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { SdkMachine } from "./sdk-machine.ts";

const hasSdk = Boolean(process.env.MODDABLE);
let machine: SdkMachine;

describe.skipIf(!hasSdk)("a machine on the Moddable SDK (needs MODDABLE)", () => {
  beforeAll(async () => {
    machine = await SdkMachine.build();
    machine.switchOn();
  }, 300_000);
  afterAll(() => machine?.close());
  beforeEach(({ onTestFailed }) => onTestFailed(() => console.error(machine.story)));

  it("says who it is, is claimed with its prices, and by nobody else afterwards", async () => {
    const { json } = await machine.devices();
    expect(json[0]).toMatchObject({ answers: true, model: "host", claimed: false });
    const prices = join(machine.folder, "prices.csv");
    writeFileSync(prices, "number,name,sat\n1,espresso,1500\n2,tea,900\n");
    const words = [
      ...["claim", "--name", "coffee", "--payout", machine.payout],
      ...["--gateway", machine.gatewayId, "--app", "vending", "--price-list", prices],
    ];
    const claimed = await machine.command(...words, "--network", "regtest");
    expect(claimed.stderr).not.toContain("error");
    expect(claimed.last).toMatchObject({ ok: true, name: "coffee", products: 2 });
    expect((await machine.command(...words)).stderr).toContain("has an owner already");
    await machine.joinGateway(json[0]?.nodeId as string);
  });

  it("tells its owner how it stands: the app, and memory as of a board", async () => {
    const { last } = await machine.command("info");
    expect(last).toMatchObject({ name: "coffee", app: { name: "vending", ready: true } });
    expect((last.memory as { usedBytes: number }).usedBytes).toBeLessThan(320 * 1024);
  });

  it("is paid: the channel is funded, the motor turns, and the product is past the sensor", async () => {
    const gateway = ["--gateway", machine.gatewayLink];
    const buying = machine.running("pay", "--product", "1", ...gateway);
    await buying.says("0 of 3 confirmations", 120_000);
    await machine.funded();
    await machine.mine(4);
    const { last, stderr } = await buying.done;
    expect(stderr).toContain("espresso: delivered");
    expect(last).toMatchObject({ delivered: true, priceMsat: 1_500_000 });
    expect(machine.lines).toContain("pin motor1 1");
  });

  it("is killed; it comes back as its owner's, and is paid on the same channel", async () => {
    expect(await machine.kill()).toBe("SIGKILL");
    machine.switchOn();
    const { last } = await machine.command("pay", "--product", "2");
    expect(last).toMatchObject({ delivered: true, product: 2, priceMsat: 900_000 });
    const { last: told } = await machine.command("channels");
    expect(told.channels).toMatchObject([{ state: "normal", local_balance_msat: 2_400_000 }]);
  });

  it("gives the money back where the motor jams", async () => {
    machine.isJammed = true;
    const { code, stderr } = await machine.command("pay", "--product", "2");
    expect(stderr).toContain("tea was not delivered");
    expect(code).toBe(1);
    machine.isJammed = false;
  });

  it("starts anew when its owner says so, and knows why", async () => {
    const ended = machine.ended();
    expect((await machine.command("reboot")).code).toBe(0);
    expect(await ended).toBe("75");
    machine.switchOn();
    const { json } = await machine.command("logs");
    expect(JSON.stringify(json)).toContain("started after: restart");
  });
});
