/** The parameters of each Bitcoin network that a header chain needs (Bitcoin Core's chainparams; BIP 94, BIP 325). */
import { fromHex } from "../primitives/bytes.ts";

export type NetworkName = "mainnet" | "testnet4" | "signet" | "regtest";

/** How `bits` follows from the headers before. */
export type RetargetRule =
  /** Every 2016 blocks from the time that the last 2015 intervals took. */
  | "every-2016"
  /** As above from the period's first bits, and single blocks of least difficulty after 20 minutes (BIP 94). */
  | "bip94"
  /** Never (regtest). */
  | "none";

export interface Network {
  readonly name: NetworkName;
  /** 80 bytes, hexadecimal. */
  readonly genesisHeader: string;
  /** The easiest target allowed, in compact form. */
  readonly powLimitBits: number;
  readonly retarget: RetargetRule;
  /** From these heights on a header's version must be at least this (BIP 34, 66, 65). */
  readonly versions: readonly { readonly fromHeight: number; readonly version: number }[];
}

export const RETARGET_BLOCKS = 2016;
export const TARGET_TIMESPAN_SECONDS = 1_209_600;

const MERKLE_ROOT = "3ba3edfd7a7b12b27ac72c3e67768f617fc81bc3888a51323a9fb8aa4b1e5e4a";
const NOTHING = "00".repeat(32);

export const MAINNET: Network = {
  name: "mainnet",
  genesisHeader: `01000000${NOTHING}${MERKLE_ROOT}29ab5f49ffff001d1dac2b7c`,
  powLimitBits: 0x1d00ffff,
  retarget: "every-2016",
  versions: [
    { fromHeight: 227_931, version: 2 },
    { fromHeight: 363_725, version: 3 },
    { fromHeight: 388_381, version: 4 },
  ],
};

export const TESTNET4: Network = {
  name: "testnet4",
  genesisHeader: `01000000${NOTHING}4e7b2b9128fe0291db0693af2ae418b767e657cd407e80cb1434221eaea7a07a046f3566ffff001dbb0c7817`,
  powLimitBits: 0x1d00ffff,
  retarget: "bip94",
  versions: [{ fromHeight: 1, version: 4 }],
};

/** The public signet. Its blocks are signed by the network's issuers (BIP 325) in their coinbase, which headers do not show. */
export const SIGNET: Network = {
  name: "signet",
  genesisHeader: `01000000${NOTHING}${MERKLE_ROOT}008f4d5fae77031e8ad22203`,
  powLimitBits: 0x1e0377ae,
  retarget: "every-2016",
  versions: [{ fromHeight: 1, version: 4 }],
};

export const REGTEST: Network = {
  name: "regtest",
  genesisHeader: `01000000${NOTHING}${MERKLE_ROOT}dae5494dffff7f2002000000`,
  powLimitBits: 0x207fffff,
  retarget: "none",
  versions: [{ fromHeight: 1, version: 4 }],
};

export function networkNamed(name: NetworkName): Network {
  switch (name) {
    case "mainnet":
      return MAINNET;
    case "testnet4":
      return TESTNET4;
    case "signet":
      return SIGNET;
    case "regtest":
      return REGTEST;
  }
}

export function genesisHeader(network: Network): Uint8Array {
  return fromHex(network.genesisHeader);
}
