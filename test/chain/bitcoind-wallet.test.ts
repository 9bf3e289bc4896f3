/** The node's wallet where it is no plain wallet: locked, paid to taproot, its keys in a hardware signer. */
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { satoshi } from "../../core/primitives/brands.ts";
import { fromHex, toHex } from "../../core/primitives/bytes.ts";
import { parseTransaction, serializeTransaction } from "../../core/transactions/transaction.ts";
import { type RegtestNode, startRegtest } from "../../gateway/chain/bitcoind/node-process.ts";
import type { BitcoindRpc } from "../../gateway/chain/bitcoind/rpc.ts";
import { BitcoindWallet } from "../../gateway/chain/bitcoind/wallet.ts";
import { bitcoindAbsence } from "../support/chain-lab.ts";
import * as s from "./lab-scripts.ts";

const SIGNER = fileURLToPath(new URL("../support/external-signer.mjs", import.meta.url));
const START_TIMEOUT_MS = 330_000;
const RATE = 1000;
const NOBODY = fromHex(`0014${"77".repeat(20)}`);
const absence = bitcoindAbsence();
const title = absence === undefined ? "" : ` (${absence})`;

describe.skipIf(absence !== undefined)(`the node's wallet${title}`, () => {
  let folder: string;
  let node: RegtestNode;
  let rpc: BitcoindRpc;
  let minerAddress: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "picobolt-signer-"));
    const command = join(folder, "signer");
    node = await startRegtest({ extraArguments: [`-signer=${command}`] });
    const where = `${node.rpcPort} ${node.cookieFile} keys`;
    const words = `PICOBOLT_SIGNER='${where}' exec '${process.execPath}' '${SIGNER}' "$@"`;
    await writeFile(command, `#!/bin/sh\n${words}\n`);
    await chmod(command, 0o755);
    rpc = node.connect();
    await rpc.call("createwallet", "miner");
    minerAddress = await rpc.wallet("miner").call("getnewaddress", "", "bech32");
    await rpc.call("generatetoaddress", 110, minerAddress);
  }, START_TIMEOUT_MS);

  afterAll(async () => {
    rpc?.close();
    await node?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  async function pay(address: string, btc = 1): Promise<void> {
    await rpc.wallet("miner").call("sendtoaddress", address, btc);
    await rpc.call("generatetoaddress", 1, minerAddress);
    await rpc.call("syncwithvalidationinterfacequeue");
  }

  /** A commitment that pays no fee, and its child: accepted as a package, and mined. */
  async function bumpsAnAnchor(wallet: BitcoindWallet, seed: number): Promise<void> {
    const script = s.keyScript(seed);
    const miner = await BitcoindWallet.open(rpc, "miner");
    const funding = await miner.fund([{ script: s.wsh(script), amount: satoshi(100_000) }], RATE);
    await mined(funding);
    const { outpoint, output } = s.outputOf(funding, s.wsh(script));
    const outputs = [
      [NOBODY, 99_760],
      [s.P2A, 240],
    ] as const;
    const commitment = s.transaction([{ outpoint }], outputs, { version: 3 });
    const parent = serializeTransaction(s.sign(commitment, 0, { script, seed, spent: output }));
    const anchor = s.outputOf(parent, s.P2A);
    const child = await wallet.fundChild({
      parents: [parent],
      parentsFee: satoshi(0),
      anchor: anchor.outpoint,
      anchorOutput: anchor.output,
      version: 3,
      feeratePerKw: RATE,
    });
    expect(parseTransaction(child).version).toBe(3);
    const answer = await rpc.call("submitpackage", [parent, child].map(toHex));
    expect(answer).toMatchObject({ package_msg: "success" });
    await rpc.call("generatetoaddress", 1, minerAddress);
  }

  async function mined(raw: Uint8Array): Promise<void> {
    await rpc.call("sendrawtransaction", toHex(raw));
    await rpc.call("generatetoaddress", 1, minerAddress);
    await rpc.call("syncwithvalidationinterfacequeue");
  }

  it("is loaded again where the node was restarted, and nobody loaded it", async () => {
    const wallet = await BitcoindWallet.open(rpc, "miner");
    const [before] = [await wallet.balance(), await rpc.call("unloadwallet", "miner")];
    const [after, coins] = await Promise.all([wallet.balance(), wallet.freeCoins()]);
    expect(after).toBe(before);
    expect(coins).toBeGreaterThan(0);
  });

  it("says that it is locked, and keeps no coin set aside for what it could not sign", async () => {
    await rpc.call("createwallet", "locked", false, false, "a passphrase");
    const wallet = await BitcoindWallet.open(rpc, "locked");
    const own = rpc.wallet("locked");
    await pay(await own.call("getnewaddress", "", "bech32"));
    const output = { script: NOBODY, amount: satoshi(50_000) };
    await expect(wallet.fund([output], RATE)).rejects.toThrow(/passphrase|locked/);
    expect(await own.call("listlockunspent")).toEqual([]);
    await own.call("walletpassphrase", "a passphrase", 60);
    await mined(await wallet.fund([output], RATE));
  });

  it("pays for an anchor's child with a taproot coin, which signs for what every input spends", async () => {
    const wallet = await BitcoindWallet.open(rpc, "taproot");
    await pay(await rpc.wallet("taproot").call("getnewaddress", "", "bech32m"));
    await bumpsAnAnchor(wallet, 2);
  });

  it("refuses to fund a channel with coins that are not segwit", async () => {
    const wallet = await BitcoindWallet.open(rpc, "legacy");
    await pay(await rpc.wallet("legacy").call("getnewaddress", "", "legacy"));
    const output = { script: NOBODY, amount: satoshi(50_000) };
    await expect(wallet.fund([output], RATE)).rejects.toThrow("not segwit");
    expect(await rpc.wallet("legacy").call("listlockunspent")).toEqual([]);
  });

  it("funds, bumps and adds fees with keys that only a hardware signer holds", async () => {
    await rpc.call("createwallet", "keys");
    await rpc.call("createwallet", "hardware", true, false, "", false, true, null, true);
    const info = await rpc.wallet("hardware").call("getwalletinfo");
    expect(info).toMatchObject({ private_keys_enabled: false, external_signer: true });
    const wallet = await BitcoindWallet.open(rpc, "hardware");
    const own = rpc.wallet("hardware");
    await pay(await own.call("getnewaddress", "", "bech32"), 2);
    await pay(await own.call("getnewaddress", "", "bech32"), 2);

    const script = s.keyScript(9);
    const funding = await wallet.fund([{ script: s.wsh(script), amount: satoshi(70_000) }], RATE);
    await mined(funding);

    await bumpsAnAnchor(wallet, 3);

    const { outpoint, output } = s.outputOf(funding, s.wsh(script));
    const bare = s.sign(s.transaction([{ outpoint }], [[NOBODY, 70_000]]), 0, {
      script,
      seed: 9,
      spent: output,
      type: s.SINGLE_ANYONECANPAY,
    });
    await mined(await wallet.addFee(serializeTransaction(bare), [output], RATE));
  });
});
