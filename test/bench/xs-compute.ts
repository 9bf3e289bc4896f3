/** What one push costs a device's engine: steps of XS in the payee's node, its crypto being native as on a device. */
import { hostPolicy } from "../../core/channel/policy.ts";
import { SeedSigner } from "../../core/keys/seed-signer.ts";
import { Node } from "../../core/node/node.ts";
import type { Crypto } from "../../core/ports/crypto.ts";
import { p2wpkh } from "../../core/transactions/script.ts";
import { XsBridge } from "../../host-sim/xs/bridge.ts";
import { bundleXsScripts } from "../../host-sim/xs/bundle.ts";
import { ChannelLife } from "../../host-sim/xs/channel-life.ts";
import { inNode, inXs, type Machines, Player } from "../../host-sim/xs/player.ts";
import { FEATURES } from "./pair.ts";

const WARM_UP = 4;
const PUSHES = 16;

/** Exact and repeatable: an average only because commitment numbers differ in their bits. */
export async function xsPushCompute(crypto: Crypto): Promise<number> {
  const scripts = await bundleXsScripts();
  let compute = 0;
  const payeeMachines = inXs({
    crypto,
    provider: "host",
    onCompute: (_step, steps) => {
      compute += steps;
    },
    open: (host) => XsBridge.start({ scripts, host }),
  });
  const core = { Node, SeedSigner, devicePolicy: hostPolicy };
  const payer = player(crypto, "payer", 1, inNode(core, crypto)).player;
  const payee = player(crypto, "payee", 2, payeeMachines);
  const life = new ChannelLife(crypto, payer, payee.player, payee.nodeId);
  await life.begin("zero_fee_commitments");
  for (let i = 0; i < WARM_UP; i++) await life.push(payer, [1]);
  compute = 0;
  for (let i = 0; i < PUSHES; i++) await life.push(payer, [1]);
  const perPush = Math.round(compute / PUSHES);
  await life.end();
  return perPush;
}

function player(crypto: Crypto, name: string, seedByte: number, machines: Machines) {
  const seed = new Uint8Array(32).fill(seedByte);
  const { nodeId } = new SeedSigner(crypto, seed);
  const chainHash = new Uint8Array(32).fill(7);
  const payoutScript = p2wpkh(crypto, nodeId);
  const setup = { seed, features: FEATURES, chainHash, payoutScript, maxMessageBytes: 4096 };
  return { nodeId, player: new Player(name, machines, setup) };
}
