/** device-trusts-nobody: a gateway that tells absurd feerates makes no device forget its money. */
import { expect, it } from "vitest";
import { devicePolicy } from "../../core/channel/policy.ts";
import { Peers, type State } from "../chain/monitor/support/peers.ts";
import { Watcher } from "../chain/monitor/support/watcher.ts";
import { Pair } from "../support/node-pair.ts";

const ABSURD = 4_000_000_000;
const STATE: State = { number: 6, aliceMsat: 60_000_000, htlcs: [] };

it("what is not worth the fee of the day is kept until it is, or is small", () => {
  const peers = new Peers("zero_fee_commitments");
  const record = peers.record(STATE);
  const at = (rate: number) =>
    new Watcher(peers, record, {
      feeratesPerKw: { now: rate, soon: rate, economy: rate },
      irrevocableDepth: 100,
    });
  peers.chain.confirm(peers.signed("remote", STATE));
  peers.chain.mine(150);
  expect(at(ABSURD).report("to-remote")).toMatchObject({ status: "abandoned", irrevocable: false });
  expect(at(ABSURD).look().complete).toBe(false);
  expect(at(500).report("to-remote").status).toBe("claimable");
});

it("no feerate beyond the policy is used", async () => {
  const pair = await Pair.make({ policyA: devicePolicy });
  const id = await pair.open({ pushMsat: 100_000_000 });
  pair.a.node.setFeerates({ now: ABSURD, soon: ABSURD, economy: 0 });
  const feerates = pair.a.node.contextOf(id)?.feerates;
  expect(feerates).toEqual({ now: 50_000, soon: 50_000, economy: 253 });
});
