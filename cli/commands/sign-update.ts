/** `picobolt sign-update`: what it takes; owner/sign-update.ts does it. */
import type { Command } from "../command.ts";

export const signUpdate: Command = {
  configure(parser) {
    parser
      .option("--image <file>", "the program; without it the release key's public half is shown")
      .option("--model <board>", "the board that it is for")
      .option("--release <version>", "for people: 0.3.0")
      .option("--number <count>", "rises with each release: a device refuses a lower one")
      .option("--out <file>", "default: <model>-<release>.update")
      .option("--key <file>", "the release key (default: ~/.config/picobolt/release.key)")
      .option("--new-key", "make the release key first");
  },
  examples: [
    "picobolt sign-update --new-key",
    "picobolt sign-update --image picobolt.bin --model esp32c3 --release 0.3.0 --number 7",
  ],
  run: async (...given) => (await import("../owner/sign-update.ts")).signUpdate(...given),
};
