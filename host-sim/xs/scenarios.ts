/** Work that Node and XS do alike, on the same core: each scenario takes a crypto provider and returns bytes to compare. */
import { commitmentKeys } from "../../core/keys/derivation.ts";
import { SeedSigner } from "../../core/keys/seed-signer.ts";
import {
  emptySecretStore,
  encodeSecretStore,
  insertSecret,
  lookupSecret,
  SecretGenerator,
} from "../../core/keys/shachain.ts";
import { utf8 } from "../../core/payments/invoice/invoice.ts";
import { parseInvoice } from "../../core/payments/invoice/parse-invoice.ts";
import { writeInvoice } from "../../core/payments/invoice/write-invoice.ts";
import type { Crypto } from "../../core/ports/crypto.ts";
import {
  blockHeight,
  commitmentNumber,
  milliSatoshi,
  type PaymentHash,
  paymentHash,
  preimage,
  satoshi,
  txid,
} from "../../core/primitives/brands.ts";
import { ascii } from "../../core/primitives/bytes.ts";
import { buildCommitment, finalizeCommitment } from "../../core/transactions/commitment.ts";
import { finalizeHtlcTransaction, type HtlcTransaction } from "../../core/transactions/htlc.ts";
import type {
  ChannelType,
  CommitmentHtlc,
  CommitmentSpec,
  CommitmentTerms,
} from "../../core/transactions/terms.ts";
import { serializeTransaction } from "../../core/transactions/transaction.ts";

export type Scenario = (crypto: Crypto) => readonly Uint8Array[];

export const scenarios: Readonly<Record<string, Scenario>> = {
  shachain,
  "commitment-zero-fee": (crypto) => commitment(crypto, "zero_fee_commitments"),
  "commitment-anchors": (crypto) => commitment(crypto, "anchors"),
  "commitment-static-remotekey": (crypto) => commitment(crypto, "static_remotekey"),
  invoice,
};

const SECRETS = 40;
const FUNDING_SATOSHIS = 1_000_000;

/** A device's invoice, and who it is by as a payer finds out. */
function invoice(crypto: Crypto): readonly Uint8Array[] {
  const payee = new SeedSigner(crypto, new Uint8Array(32).fill(3));
  const text = writeInvoice(crypto, payee, {
    network: "regtest",
    amountMsat: milliSatoshi(1_234),
    timestamp: 1_800_000_000,
    paymentHash: paymentHash(new Uint8Array(32).fill(4)),
    paymentSecret: new Uint8Array(32).fill(5),
    description: "1 kaffee für 日本 🥤",
    minFinalCltvExpiryDelta: 20,
  });
  const read = parseInvoice(crypto, text);
  return [ascii(text), read.payee, crypto.sha256(utf8(read.description as string))];
}

/** Our secrets, and the peer's store of them growing one by one. */
function shachain(crypto: Crypto): readonly Uint8Array[] {
  const generator = new SecretGenerator(crypto, new Uint8Array(32).fill(0x5a));
  let store = emptySecretStore();
  for (let number = 0; number < SECRETS; number++) {
    const secret = generator.secret(commitmentNumber(number));
    store = insertSecret(crypto, store, commitmentNumber(number), secret);
  }
  const found = lookupSecret(crypto, store, commitmentNumber(SECRETS / 2)) ?? new Uint8Array();
  return [encodeSecretStore(store), found];
}

/** A signed commitment with two HTLCs each way and one that is trimmed, and its signed HTLC transactions. */
function commitment(crypto: Crypto, channelType: ChannelType): readonly Uint8Array[] {
  const alice = new SeedSigner(crypto, new Uint8Array(32).fill(1)).channel(0);
  const bob = new SeedSigner(crypto, new Uint8Array(32).fill(2)).channel(0);
  const number = commitmentNumber(42);
  const perCommitmentPoint = alice.perCommitmentPoint(number);
  const terms: CommitmentTerms = {
    channelType,
    fundingOutpoint: { txid: txid(new Uint8Array(32).fill(0xf0)), vout: 1 },
    fundingSatoshis: satoshi(FUNDING_SATOSHIS),
    broadcasterIsOpener: true,
    broadcaster: alice.basepoints,
    countersignatory: bob.basepoints,
    dustLimitSatoshis: satoshi(354),
    toSelfDelay: 144,
  };
  const keys = commitmentKeys(crypto, {
    broadcaster: terms.broadcaster,
    countersignatory: terms.countersignatory,
    perCommitmentPoint,
  });
  const feeratePerKw = channelType === "zero_fee_commitments" ? 0 : 1000;
  const built = buildCommitment(crypto, terms, keys, specOf(crypto, number, feeratePerKw));
  alice.stored({ localNumber: number, remoteNumber: 0, outdated: false });
  const signed = finalizeCommitment(built, terms, {
    broadcaster: alice.signLocalCommitment(number, built.sighash),
    countersignatory: bob.signRemoteCommitment(number, built.sighash),
  });
  const finish = (unsigned: HtlcTransaction) => {
    const { htlc, sighash } = unsigned;
    return finalizeHtlcTransaction(unsigned, {
      broadcaster: alice.signClaim({ role: "htlc", perCommitmentPoint }, sighash),
      countersignatory: bob.signRemoteHtlc(perCommitmentPoint, sighash),
      ...(htlc.offered ? {} : { preimage: preimageOf(htlc.id) }),
    });
  };
  const transactions = [signed, ...built.htlcs.map(finish)];
  return transactions.map((transaction) => serializeTransaction(transaction));
}

function specOf(
  crypto: Crypto,
  number: CommitmentSpec["number"],
  feeratePerKw: number,
): CommitmentSpec {
  const amounts = [20_000_000, 30_000_500, 40_000_000, 50_000_999, 100_000];
  const htlcs = amounts.map(
    (amountMsat, id): CommitmentHtlc => ({
      offered: id % 2 === 0,
      id,
      amountMsat: milliSatoshi(amountMsat),
      paymentHash: crypto.sha256(preimageOf(id)) as PaymentHash,
      cltvExpiry: blockHeight(800_000 + id),
    }),
  );
  const inHtlcs = amounts.reduce((sum, amount) => sum + amount, 0);
  const toBroadcasterMsat = milliSatoshi(600_000_123);
  return {
    number,
    toBroadcasterMsat,
    toCountersignatoryMsat: milliSatoshi(FUNDING_SATOSHIS * 1000 - inHtlcs - toBroadcasterMsat),
    feeratePerKw,
    htlcs,
  };
}

function preimageOf(id: number): ReturnType<typeof preimage> {
  return preimage(new Uint8Array(32).fill(id));
}
