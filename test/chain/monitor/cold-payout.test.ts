/** Cold payouts: the device cannot spend them, the monitor names them, and the owner sweeps them with a PSBT. */
import { Psbt } from "bitcoinjs-lib";
import { describe, expect, it } from "vitest";
import {
  buildColdSweep,
  type OwnerKey,
  signColdSweep,
} from "../../../core/chain/monitor/cold-sweep.ts";
import type { ColdOutput } from "../../../core/chain/monitor/watched.ts";
import {
  derivePath,
  formatPublicKey,
  formatSecretKey,
  masterKey,
  parsePath,
  toExtendedPublicKey,
} from "../../../core/keys/bip32.ts";
import { blockHeight } from "../../../core/primitives/brands.ts";
import { toHex } from "../../../core/primitives/bytes.ts";
import { parseTransaction } from "../../../core/transactions/transaction.ts";
import { channelTypes, crypto } from "../../support/channel-pair.ts";
import { DELAY, FOUR_HTLCS, Peers, type State } from "./support/peers.ts";
import { Watcher } from "./support/watcher.ts";

const master = masterKey(crypto, new Uint8Array(32).fill(0x77));
const PATH = parsePath("m/84'/1'/0'");
const account = derivePath(crypto, master, PATH);
const accountKey = toExtendedPublicKey(crypto, account);
const OWNER: OwnerKey = {
  extendedPublicKey: formatPublicKey(crypto, accountKey, "testnet"),
  origin: {
    masterFingerprint: crypto
      .ripemd160(crypto.sha256(crypto.publicKeyOf(master.secretKey)))
      .slice(0, 4),
    path: PATH,
  },
};
const OWNER_SECRET = formatSecretKey(crypto, account, "testnet");
const STATE: State = { number: 3, aliceMsat: 400_000_000, htlcs: FOUR_HTLCS };
const home = Uint8Array.of(0, 20, ...new Uint8Array(20).fill(0x0c));

function given(channelType: (typeof channelTypes)[number]) {
  const peers = new Peers(channelType, { payoutKey: OWNER.extendedPublicKey });
  const preimages = FOUR_HTLCS.filter(({ byAlice }) => !byAlice).map(({ preimage }) => preimage);
  const watcher = new Watcher(peers, peers.record(STATE, { preimages }));
  return { peers, chain: peers.chain, watcher };
}

function coldOf(watcher: Watcher): readonly ColdOutput[] {
  return watcher.look().outputs.flatMap(({ cold }) => cold ?? []);
}

function sweepOptions(tipHeight: number) {
  return { payTo: home, feeratePerKw: 1000, tipHeight: blockHeight(tipHeight), owner: OWNER };
}

describe.each(channelTypes)("a cold payout of a channel with %s", (channelType) => {
  it("from the peer's commitment is named with a descriptor, and swept by the owner", () => {
    const { peers, chain, watcher } = given(channelType);
    chain.confirm(peers.signed("remote", STATE));
    expect(watcher.claims("sweep")).toEqual([]);
    const report = watcher.report("to-remote");
    expect(report.status).toBe("cold");
    const key = toHex(peers.alice.basepoints.paymentBasepoint);
    const expected =
      channelType === "anchors" ? `wsh(and_v(v:pk(${key}),older(1)))` : `wpkh(${key})`;
    expect(report.descriptor?.split("#")[0]).toBe(expected);

    const sweep = buildColdSweep(crypto, coldOf(watcher), sweepOptions(chain.tip));
    const { raw } = signColdSweep(crypto, sweep.psbt, OWNER_SECRET);
    chain.confirm(raw);
    expect(watcher.report("to-remote").status).toBe("claimed");
    expect(toHex(parseTransaction(raw).outputs[0]?.script as Uint8Array)).toBe(toHex(home));
  });

  it("from our own commitment and its second stages is swept after their delays", () => {
    const { chain, watcher } = given(channelType);
    chain.confirm(...watcher.closing().map(({ raw }) => raw));
    watcher.publish("htlc-success");
    const secondAt = chain.tip;
    const cold = coldOf(watcher);
    expect(cold).toHaveLength(3);
    expect(() => buildColdSweep(crypto, cold, sweepOptions(chain.tip))).toThrow(/delays still run/);

    const first = buildColdSweep(crypto, cold, sweepOptions(secondAt - 1 + DELAY.local - 1));
    expect([first.swept.length, first.locked.length]).toEqual([1, 2]);
    chain.mineTo(secondAt + DELAY.local - 1);
    const sweep = buildColdSweep(crypto, cold, sweepOptions(chain.tip));
    expect(sweep.locked).toEqual([]);
    const { raw } = signColdSweep(crypto, sweep.psbt, OWNER_SECRET);
    expect(chain.verdict(raw)).toBe("valid");
    chain.rewind(1);
    expect(chain.verdict(raw)).toBe("non-BIP68-final");
    chain.mine(1);
    chain.confirm(raw);
    expect(coldOf(watcher)).toEqual([]);
    watcher.settle();
    expect(watcher.report("to-local").status).toBe("claimed");
  });

  it("counts as resolved when the transaction that pays it is deep enough, not before", () => {
    const { peers, chain, watcher } = given(channelType);
    chain.confirm(peers.signed("remote", STATE));
    chain.mine(98);
    expect(watcher.report("to-remote").irrevocable).toBe(false);
    chain.mine(1);
    expect(watcher.report("to-remote").irrevocable).toBe(true);
  });

  it("is a PSBT that other software reads: amounts, scripts, and where the owner's keys are", () => {
    const { peers, chain, watcher } = given(channelType);
    chain.confirm(peers.signed("remote", STATE));
    const sweep = buildColdSweep(crypto, coldOf(watcher), sweepOptions(chain.tip));
    const [input] = Psbt.fromBuffer(Buffer.from(sweep.psbt)).data.inputs;
    const report = watcher.report("to-remote");
    expect(Number(input?.witnessUtxo?.value)).toBe(report.amount);
    const derivation = input?.bip32Derivation?.[0];
    expect(derivation?.path).toBe("m/84'/1'/0'/0/3");
    expect(toHex(derivation?.pubkey as Uint8Array)).toBe(
      toHex(peers.alice.basepoints.paymentBasepoint),
    );
    expect(toHex(derivation?.masterFingerprint as Uint8Array)).toBe(
      toHex(OWNER.origin?.masterFingerprint as Uint8Array),
    );
    expect(input?.witnessScript === undefined).toBe(channelType !== "anchors");
  });

  it("is not needed for penalties, which the device's own keys claim", () => {
    const { peers, chain, watcher } = given(channelType);
    const old = { ...STATE, number: 1, htlcs: [] };
    chain.confirm(peers.signed("remote", old));
    expect(watcher.look().ending).toBe("revoked");
    expect(watcher.publish("penalty")).toBe(1);
    expect(watcher.report("to-local").status).toBe("claimed");
    expect(watcher.report("to-remote").status).toBe("cold");
  });
});

describe("signing a cold sweep", () => {
  function psbt() {
    const { peers, chain, watcher } = given("anchors");
    chain.confirm(peers.signed("remote", STATE));
    return buildColdSweep(crypto, coldOf(watcher), sweepOptions(chain.tip)).psbt;
  }

  it("refuses a key that is not the owner's", () => {
    const stranger = formatSecretKey(crypto, masterKey(crypto, new Uint8Array(32).fill(5)));
    expect(() => signColdSweep(crypto, psbt(), stranger)).toThrow(/not the owner's key/);
  });

  it("refuses an output whose script does not hold the key", () => {
    const script = psbt();
    const key = given("anchors").peers.alice.basepoints.paymentBasepoint;
    const at = toHex(script).indexOf(`2521${toHex(key)}ad`) / 2;
    expect(at).toBeGreaterThan(0);
    script[at + 10] = (script[at + 10] as number) ^ 1;
    expect(() => signColdSweep(crypto, script, OWNER_SECRET)).toThrow(/does not hold this key/);
  });

  it("refuses bytes that are no PSBT, cut anywhere", () => {
    const bytes = psbt();
    expect(() => signColdSweep(crypto, new Uint8Array(10), OWNER_SECRET)).toThrow(
      /not a binary PSBT/,
    );
    for (let length = 0; length < bytes.length; length++) {
      expect(() => signColdSweep(crypto, bytes.slice(0, length), OWNER_SECRET)).toThrow();
    }
  });

  it("refuses to sweep what the fee would eat", () => {
    const { peers, chain, watcher } = given("anchors");
    chain.confirm(peers.signed("remote", STATE));
    const options = { ...sweepOptions(chain.tip), feeratePerKw: 1_000_000 };
    expect(() => buildColdSweep(crypto, coldOf(watcher), options)).toThrow(/would leave nothing/);
  });
});
