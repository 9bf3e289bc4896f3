/** `picobolt restore-gateway`: what it takes; gateway/restore-command.ts does it. */
import type { Command } from "../command.ts";
import { seedOptions } from "../gateway/seed-access.ts";

export const restoreGateway: Command = {
  configure(parser) {
    seedOptions(parser)
      .option(
        "--from <file...>",
        "a snapshot (store.backup) and the stream beside it (store.stream), a backup of the channels (channels.backup), or s3: all that the bucket of the settings has",
      )
      .option(
        "--from-peer <node_id@host:port...>",
        "peers that had channels with this node: they keep a backup of the channels",
      )
      .option("--network <name>", "of the peers: mainnet, testnet4, signet or regtest");
  },
  examples: [
    "picobolt seed restore --data-dir ./new        # the words first",
    "picobolt restore-gateway --data-dir ./new --from /media/stick/store.backup /media/stick/channels.backup",
    "picobolt restore-gateway --data-dir ./new --network mainnet --from-peer 02ab…@peer.example:9735   # words alone",
    "picobolt restore-gateway --data-dir ./new --config gateway.toml --from s3",
  ],
  run: async (...given) => (await import("../gateway/restore-command.ts")).restoreCommand(...given),
};
