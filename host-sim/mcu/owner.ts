/** The owner of an emulated microcontroller, on its cable: asks who it is, claims it, and reads how it stands (gateway/admin/client.ts). */
import { randomBytes } from "node:crypto";
import { REGTEST } from "../../core/chain/networks.ts";
import { formatPublicKey, masterKey, toExtendedPublicKey } from "../../core/keys/bip32.ts";
import type { PlainObject } from "../../core/messages/admin-values.ts";
import type { Link } from "../../core/ports/link.ts";
import { type PublicKey, type SecretKey, secretKey } from "../../core/primitives/brands.ts";
import { type IdentityCard, IdentityQuestion } from "../../core/transport/identity.ts";
import { AdminClient, type ClaimRequest } from "../../gateway/admin/client.ts";
import { chooseCrypto } from "../../gateway/crypto/choose.ts";

const ASK_MS = 50;
const CARD_TIMEOUT_MS = 30_000;
const REQUEST_TIMEOUT_MS = 30_000;

/** Sold by the claimed machine; on its motor 1. */
export const PRODUCT = { id: 1, name: "tea", priceMsat: 900_000 } as const;

/** Of the machine at the other end. Throws when it stays silent. */
export function cardOn(link: Link): Promise<IdentityCard> {
  return new Promise((resolve, reject) => {
    const question = new IdentityQuestion(link, (card) => {
      clearInterval(timer);
      resolve(card);
    });
    const startedMs = Date.now();
    const timer = setInterval(() => {
      question.tick(Date.now());
      if (Date.now() - startedMs < CARD_TIMEOUT_MS) return;
      clearInterval(timer);
      reject(new Error(`the machine did not say who it is within ${CARD_TIMEOUT_MS / 1000} s`));
    }, ASK_MS);
    link.onClosed = () => {
      clearInterval(timer);
      reject(new Error("the machine was switched off while it was asked who it is"));
    };
  });
}

export class McuOwner {
  private readonly crypto = chooseCrypto();
  private readonly secret: SecretKey = secretKey(new Uint8Array(randomBytes(32)));
  private readonly request: ClaimRequest;

  constructor(gateway: PublicKey) {
    const seed = new Uint8Array(randomBytes(32));
    const payout = toExtendedPublicKey(this.crypto, masterKey(this.crypto, seed));
    this.request = {
      name: "tea machine",
      payout: formatPublicKey(this.crypto, payout, "testnet"),
      gateway,
      network: "regtest",
      app: "vending",
      appConfig: { machine: "mcu", products: [{ ...PRODUCT }] },
      policy: { maxChannels: 2, minimumDepth: 3 },
    };
  }

  get nodeId(): PublicKey {
    return this.crypto.publicKeyOf(this.secret);
  }

  claim(link: Link, deviceId: PublicKey): Promise<PlainObject> {
    return this.session(link, deviceId, (client) => client.claim(this.request));
  }

  info(link: Link, deviceId: PublicKey): Promise<PlainObject> {
    return this.session(link, deviceId, (client) => client.info());
  }

  /** One session; afterwards the link is anybody's. */
  async session<T>(
    link: Link,
    deviceId: PublicKey,
    work: (client: AdminClient) => Promise<T>,
  ): Promise<T> {
    const client = await AdminClient.connect({
      crypto: this.crypto,
      entropy: { random: (length) => new Uint8Array(randomBytes(length)) },
      link,
      deviceId,
      ownerSecret: this.secret,
      network: REGTEST,
      timeoutMs: REQUEST_TIMEOUT_MS,
    });
    try {
      return await work(client);
    } finally {
      client.close();
    }
  }
}
