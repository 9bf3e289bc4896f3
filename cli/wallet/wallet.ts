/** A payer's wallet: a folder with a seed, what it is for, and a store of its channels; one program uses it at a time. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { NetworkName } from "../../core/chain/networks.ts";
import { deriveSecretAt, HARDENED, masterKey } from "../../core/keys/bip32.ts";
import { SeedSigner } from "../../core/keys/seed-signer.ts";
import type { Crypto } from "../../core/ports/crypto.ts";
import type { Store } from "../../core/ports/store.ts";
import { p2wpkh } from "../../core/transactions/script.ts";
import type { Ledger } from "../../gateway/payments/ledger.ts";
import { EXIT, Failure, messageOf } from "../failure.ts";
import { makePrivateFolder, secretIn } from "../keys/home.ts";
import { DEFAULT_NETWORK, networkOf } from "../owner/known-devices.ts";

export interface Wallet {
  readonly folder: string;
  readonly signer: SeedSigner;
  readonly store: Store;
  /** Invoices that it pays; in the file of the store, and in its transactions. */
  readonly ledger: Ledger;
  readonly payoutScript: Uint8Array;
  readonly network: NetworkName;
  /** Node id of the gateway that funds its channels; absent until one was used. */
  readonly gateway?: string;
  readonly isNew: boolean;
  rememberGateway(nodeId: string): void;
}

interface Settings {
  readonly version: 1;
  readonly network: NetworkName;
  readonly gateway?: string;
}

/** m/84'/1'/0'/0/0: where its channels pay to when they end. */
const PAYOUT_PATH = [84 + HARDENED, 1 + HARDENED, HARDENED, 0, 0];

/** Makes the wallet where the folder holds none, for `network`. */
export async function openWallet(
  crypto: Crypto,
  folder: string,
  network: string | undefined,
): Promise<Wallet> {
  makePrivateFolder(folder);
  const { secret: seed, isNew } = secretIn(join(folder, "seed"));
  const file = join(folder, "wallet.json");
  const settings = existsSync(file) ? readSettings(file) : firstSettings(network);
  if (network !== undefined && network !== settings.network) {
    throw new Failure(
      `the wallet ${folder} is for ${settings.network}, not for ${network}; use another --wallet`,
      EXIT.refused,
    );
  }
  const save = (kept: Settings) => writeFileSync(file, `${JSON.stringify(kept, undefined, 2)}\n`);
  save(settings);
  const payout = crypto.publicKeyOf(deriveSecretAt(crypto, masterKey(crypto, seed), PAYOUT_PATH));
  return {
    folder,
    signer: new SeedSigner(crypto, seed),
    ...(await openStore(join(folder, "channels.sqlite"))),
    payoutScript: p2wpkh(crypto, payout),
    network: settings.network,
    ...(settings.gateway && { gateway: settings.gateway }),
    isNew,
    rememberGateway: (gateway) => save({ ...settings, gateway }),
  };
}

function firstSettings(network: string = DEFAULT_NETWORK): Settings {
  return { version: 1, network: networkOf(network) };
}

function readSettings(file: string): Settings {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as Settings;
  } catch (cause) {
    throw new Failure(`${file} cannot be read (${messageOf(cause)}); restore it from a backup`);
  }
}

async function openStore(path: string): Promise<Pick<Wallet, "store" | "ledger">> {
  try {
    const { openSqliteStore } = await import("../../gateway/store/sqlite-store.ts");
    const { SqliteLedger } = await import("../../gateway/store/sqlite-ledger.ts");
    const store = openSqliteStore(path);
    return { store, ledger: new SqliteLedger(store) };
  } catch (cause) {
    const isInUse = /in use|locked|busy/i.test(messageOf(cause));
    if (!isInUse) throw cause;
    throw new Failure(`the wallet ${path} is in use by another program; let that one end first`);
  }
}
