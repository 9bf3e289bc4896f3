/** `picobolt seed`: what it takes; gateway/seed-command.ts does it. */
import { argumentOneOf, type Command } from "../command.ts";
import { seedOptions } from "../gateway/seed-access.ts";

export const seed: Command = {
  configure(parser) {
    parser.addArgument(
      argumentOneOf("<action>", "what is done", ["new", "words", "restore", "passphrase"]),
    );
    seedOptions(parser)
      .option("--plain", "do not encrypt it: whoever reads the file has the money")
      .option("--no-words", "with new: do not show the words now")
      .option(
        "--new-passphrase-file <file>",
        "with passphrase: holds the new one (else it is typed)",
      )
      .option(
        "--new-key-file <file>",
        "with passphrase: a key file takes its place; made if missing",
      );
  },
  examples: [
    "picobolt seed new",
    "picobolt seed words",
    "picobolt seed restore --data-dir /var/lib/picobolt --key-file /media/stick/key",
    "picobolt seed passphrase --new-key-file /media/stick/key",
  ],
  run: async (...given) => (await import("../gateway/seed-command.ts")).seedCommand(...given),
};
