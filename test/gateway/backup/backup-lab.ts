/** Two gateways on a real Bitcoin node, one of which is lost and comes back; its peer is bob. */
import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "vitest";
import { nobleCrypto } from "../../../core/crypto/noble.ts";
import { channelId } from "../../../core/primitives/brands.ts";
import { fromHex } from "../../../core/primitives/bytes.ts";
import { parseTransaction, transactionId } from "../../../core/transactions/transaction.ts";
import { type RestoreOptions, restoreGateway } from "../../../gateway/backup/restore.ts";
import { toDisplay } from "../../../gateway/chain/bitcoind/units.ts";
import type { GatewayEvent } from "../../../gateway/run/event-hub.ts";
import type { SettingName } from "../../../gateway/run/settings.ts";
import { openSeedFile } from "../../../gateway/secrets/seed-file.ts";
import { startRegtestLab } from "../../../host-sim/chain/bitcoind-lab.ts";
import type { ChainLab } from "../../../host-sim/chain/lab.ts";
import { ApiLab } from "../api/api-lab.ts";

type Settings = Readonly<Partial<Record<SettingName, string>>>;

const crypto = nobleCrypto();

export class BackupLab {
  readonly root = mkdtempSync(join(tmpdir(), "picobolt-backup-"));
  bob!: ApiLab;
  private keys = 0;

  private constructor(readonly chain: ChainLab) {}

  static async start(): Promise<BackupLab> {
    const chain = await startRegtestLab();
    for (const name of ["alice", "bob"]) await chain.wallet(name);
    const lab = new BackupLab(chain);
    lab.bob = await lab.started("bob", "bob");
    return lab;
  }

  async stop(): Promise<void> {
    await this.bob.stop();
    await this.chain.close();
    rmSync(this.root, { recursive: true });
  }

  /** Of the node, as the settings say it. */
  get chainSettings(): Settings {
    const { rpcPort, cookieFile } = this.chain.connection as NonNullable<ChainLab["connection"]>;
    return {
      network: "regtest",
      "bitcoind.url": `http://127.0.0.1:${rpcPort}`,
      "bitcoind.cookie_file": cookieFile,
    };
  }

  started(wallet: string, folder: string, more: Settings = {}): Promise<ApiLab> {
    const settings = { ...this.chainSettings, "bitcoind.wallet": wallet, ...more };
    return ApiLab.start({ folder: join(this.root, folder), settings });
  }

  get bobsAddress(): { readonly nodeId: string; readonly host: string; readonly port: number } {
    const { nodeId, peers } = this.bob.service;
    return { nodeId, host: "127.0.0.1", port: peers?.port as number };
  }

  dial(from: ApiLab): void {
    from.service.dialers.dial(this.bobsAddress);
  }

  async pay(from: ApiLab, id: string, amount_msat: number): Promise<void> {
    const path = `/api/channels/${id}/payments`;
    const after = Number(balances(from, id).remote) + amount_msat;
    const sent = await from.call("POST", path, {
      body: { amount_msat },
      key: `pay ${++this.keys}`,
    });
    expect(sent, JSON.stringify(sent.body)).toMatchObject({ status: 200 });
    await until(
      () => balances(from, id).remote === after && balances(this.bob, id).local === after,
    );
  }

  /** A channel of 500 000 sat with bob, who was given 100 000. */
  async opened(alice: ApiLab): Promise<string> {
    const { nodeId } = this.bob.service;
    const isConnected = () => alice.service.peerBook.get(nodeId)?.isConnected === true;
    if (!isConnected()) this.dial(alice);
    await until(isConnected);
    const body = { peer_node_id: nodeId, capacity: 500_000, push: 100_000 };
    const answer = await alice.call("POST", "/api/channels", { body, key: `open ${++this.keys}` });
    expect(answer, JSON.stringify(answer.body)).toMatchObject({ status: 200 });
    const id = String(answer.body.channel_id);
    await until(async () => (await this.chain.mempool()).length > 0);
    await until(async () => {
      await this.chain.mine(1);
      return record(alice, id)?.phase === "normal" && record(this.bob, id)?.phase === "normal";
    });
    return id;
  }

  /** The seed alone, as from its words; the rest of the old folder is gone. */
  async seedOnly(from: string, into: string) {
    mkdirSync(join(this.root, into), { mode: 0o700 });
    copyFileSync(join(this.root, from, "seed"), join(this.root, into, "seed"));
    rmSync(join(this.root, from), { recursive: true });
    const { secret } = await openSeedFile(join(this.root, into, "seed"), { env: {} });
    return secret;
  }

  async restored(
    into: string,
    given: Pick<RestoreOptions, "secret" | "fromPeers"> & Partial<RestoreOptions>,
  ) {
    const storePath = (network: string) => join(this.root, into, `${network}.sqlite`);
    return restoreGateway({ crypto, files: [], storePath, ...given });
  }

  /** Bob's commitment ended the channel, and alice's wallet has what was hers in the end. */
  async paidOut(alice: ApiLab, id: string, expectedSat: number): Promise<void> {
    const events = followed(alice);
    await until(() => record(this.bob, id)?.phase === "force-closing");
    // Bob may be done with it first.
    let raw: Uint8Array | undefined;
    await until(async () => {
      await this.chain.mine(1);
      raw ??= record(this.bob, id)?.facts[0]?.raw;
      return events.some(({ type, event }) => type === "channel" && isClosed(event));
    });
    const closing = parseTransaction(raw as unknown as Uint8Array);
    const ours = await this.chain.sumOfScripts([alice.service.gateway.payout]);
    expect(ours).toBeGreaterThan(expectedSat - 2_000);
    expect(ours).toBeLessThanOrEqual(expectedSat);
    const published = JSON.stringify(events.filter(({ type }) => type === "published"));
    expect(published).toContain("sweep");
    expect(published).not.toContain('"commitment"');
    expect(published).not.toContain(toDisplay(transactionId(crypto, closing)));
  }
}

export async function until(isTrue: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await isTrue())) await new Promise((wake) => setTimeout(wake, 10));
}

export function record(lab: ApiLab, id: string) {
  return lab.service.gateway.node.record(channelId(fromHex(id)));
}

export function balances(lab: ApiLab, id: string) {
  const base = record(lab, id)?.base;
  return { local: base?.toLocalMsat, remote: base?.toRemoteMsat };
}

/** Its channels are in their backup as they stay: open, funded, and with an address of each peer. */
export function isBackedUp({ service }: ApiLab): boolean {
  const keeper = service.backups?.channels;
  const isWhole = keeper?.channels.every(({ stage }) => /^open true \S/.test(stage));
  return isWhole === true && keeper?.isCurrent === true;
}

export function followed(lab: ApiLab): GatewayEvent[] {
  const events: GatewayEvent[] = [];
  lab.service.events.follow(({ event }) => events.push(event));
  return events;
}

export function alarms(events: readonly GatewayEvent[]): string {
  return events.flatMap((event) => (event.type === "alarm" ? [String(event.text)] : [])).join("\n");
}

const isClosed = (event: unknown) => (event as { type: string }).type === "closed";
