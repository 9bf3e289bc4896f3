/** `picobolt completion`: a script for the shell, made from the commands that there are. */
import { Argument } from "commander";
import type { Command } from "../command.ts";

const SHELLS = ["bash", "zsh", "fish"] as const;

export const completion: Command = {
  isPlain: true,
  configure(parser) {
    parser.addArgument(new Argument("<shell>", "the shell").choices(SHELLS));
  },
  examples: [
    "picobolt completion bash > ~/.local/share/bash-completion/completions/picobolt",
    "picobolt completion zsh > ~/.zsh/completions/_picobolt   # a folder of fpath",
    "picobolt completion fish > ~/.config/fish/completions/picobolt.fish",
  ],
  async run({ out }, [shell]) {
    const [{ treeOf }, { pathsOf }] = await Promise.all([
      import("../tree.ts"),
      import("../completion/words.ts"),
    ]);
    const paths = pathsOf(await treeOf(async () => {}));
    if (shell === "zsh") {
      out.text((await import("../completion/zsh.ts")).zshCompletion(paths).trimEnd());
    } else if (shell === "fish") {
      out.text((await import("../completion/fish.ts")).fishCompletion(paths).trimEnd());
    } else out.text((await import("../completion/bash.ts")).bashCompletion(paths).trimEnd());
  },
};
