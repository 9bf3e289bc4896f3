/** The owner of a virtual fleet: claims each machine, looks after what jammed, and reads what the channels hold. */
import { randomBytes } from "node:crypto";
import { networkNamed } from "../../core/chain/networks.ts";
import { formatPublicKey, masterKey, toExtendedPublicKey } from "../../core/keys/bip32.ts";
import { publicKey, type SecretKey, secretKey } from "../../core/primitives/brands.ts";
import { fromHex } from "../../core/primitives/bytes.ts";
import { AdminClient, type ClaimRequest } from "../../gateway/admin/client.ts";
import type { PricedProduct } from "../../gateway/admin/longer-calls.ts";
import { chooseCrypto } from "../../gateway/crypto/choose.ts";
import type { Machine, VirtualWorld } from "../../host-sim/virtual/virtual-world.ts";
import { secretIn } from "../keys/home.ts";
import { DEFAULT_NETWORK, rememberDevice } from "../owner/known-devices.ts";
import { ownerKeyFile } from "../owner/owned-device.ts";
import { openDoor } from "./door.ts";

export interface FleetApp {
  readonly name: string;
  readonly products: readonly PricedProduct[];
  settingsOf(machine: string): ClaimRequest["appConfig"];
}

const CONNECT_MS = 25_000;

export class FleetOwner {
  private readonly crypto = chooseCrypto();
  private readonly secret: SecretKey;
  private readonly payout: string;

  /** `home`: where the other commands find the owner's key. */
  constructor(
    private readonly world: VirtualWorld,
    private readonly home: string,
    private readonly app: FleetApp,
  ) {
    const { crypto } = this;
    this.secret = secretKey(secretIn(ownerKeyFile(home)).secret);
    const master = masterKey(crypto, new Uint8Array(randomBytes(32)));
    this.payout = formatPublicKey(crypto, toExtendedPublicKey(crypto, master), "testnet");
  }

  async claim(machine: Machine): Promise<void> {
    const { world, app } = this;
    const { name, nodeId, claimCode } = machine.device;
    const appConfig = app.settingsOf(name);
    const mqtt = world.mqttSettings;
    // A new device advertises itself by its node id.
    await this.visit(machine, `picobolt-${nodeId.slice(2, 8)}`, async (client) => {
      await client.claim({
        name,
        payout: this.payout,
        gateway: fromHex(world.gatewayId),
        network: DEFAULT_NETWORK,
        app: app.name,
        ...(appConfig && { appConfig }),
        ...(mqtt && { mqtt: { ...mqtt } }),
        ...(machine.radioFolder !== undefined && { code: claimCode }),
      });
      if (app.products.length > 0) await client.setPrices(app.products);
    });
    rememberDevice(this.home, fromHex(nodeId), { name, network: DEFAULT_NETWORK });
  }

  /** Looked at: what jammed is for sale again. */
  async clear(machine: Machine): Promise<void> {
    await this.visit(machine, machine.device.name, async (client) => {
      await client.call("clear", {});
    });
  }

  /** In millisatoshi, over all of its channels. */
  async earned(machine: Machine): Promise<number> {
    return this.visit(machine, machine.device.name, async (client) =>
      (await client.channels()).reduce((sum, { localMsat }) => sum + localMsat, 0),
    );
  }

  private async visit<T>(
    machine: Machine,
    bleName: string,
    work: (client: AdminClient) => Promise<T>,
  ): Promise<T> {
    const door = await openDoor(machine, bleName);
    try {
      const calling = AdminClient.connect({
        crypto: this.crypto,
        entropy: { random: (length) => new Uint8Array(randomBytes(length)) },
        link: door.link,
        deviceId: publicKey(fromHex(machine.device.nodeId)),
        ownerSecret: this.secret,
        network: networkNamed(DEFAULT_NETWORK),
        timeoutMs: CONNECT_MS,
      });
      calling.catch(() => {}); // of a machine that has died in the meantime
      const client = await Promise.race([calling, machine.device.death]);
      try {
        return await Promise.race([work(client), machine.device.death]);
      } finally {
        client.close();
      }
    } finally {
      await door.leave();
    }
  }
}
