/** `picobolt gateway`: what it takes to run a gateway; gateway/run-gateway.ts does it. */
import { type Command, oneOf, text } from "../command.ts";

export const gateway: Command = {
  streams: true,
  configure(parser) {
    parser
      .option("--config <file>", "a TOML file; variables of the environment come before it")
      .option("--print-config", "print a file with every setting, and run nothing")
      .option("--data-dir <folder>", "keys, records and macaroons (DATA_DIR)")
      .addOption(
        oneOf("--network <name>", "the chain (NETWORK)", [
          "mainnet",
          "testnet4",
          "signet",
          "regtest",
          "sim",
        ]),
      )
      .option("--port <number>", "of the API (PORT)")
      .option("--p2p-port <number>", "for peers over TCP (P2P_PORT)")
      .option("--set <name=value...>", "any other setting, by its name in the file");
  },
  examples: [
    "picobolt gateway",
    "picobolt gateway --print-config > picobolt.toml",
    "NETWORK=regtest BITCOIND_URL=http://127.0.0.1:18443 picobolt gateway --config picobolt.toml",
    "picobolt gateway --set mqtt.port=0 api.tls=off",
  ],
  run: async (context, _args, options) => {
    if (options.printConfig) {
      const { exampleToml } = await import("../../gateway/run/config.ts");
      context.out.line(exampleToml(), { toml: exampleToml() });
      return;
    }
    const { runGateway } = await import("../gateway/run-gateway.ts");
    await runGateway(context, {
      file: text(options, "config"),
      set: (options.set as readonly string[] | undefined) ?? [],
      words: {
        data_dir: text(options, "dataDir"),
        network: text(options, "network"),
        "api.port": text(options, "port"),
        "p2p.port": text(options, "p2pPort"),
      },
    });
  },
};
