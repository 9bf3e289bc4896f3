/** What a device's program takes from the core: the entry of its bundle. Only bundles import it; code imports the files themselves. */
export { MAINNET, REGTEST, SIGNET, TESTNET4 } from "../core/chain/networks.ts";
export { devicePolicy } from "../core/channel/policy.ts";
export { SeedSigner } from "../core/keys/seed-signer.ts";
export { MemoryStore } from "../core/node/memory-store.ts";
export { Node } from "../core/node/node.ts";
