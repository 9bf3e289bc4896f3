/** Compiles every module of a board with the SDK's xsc and links the frozen image with xsl, which needs no ESP-IDF. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import type { BoardTarget } from "./boards.ts";
import { CommandFailed, run } from "./run.ts";
import { IDF_VERSION, type Sdk } from "./sdk.ts";

/** Of ours, with those of the SDK that ours lead to; freeze-for-flash.mjs leaves a generator's prototype, the SDK two tables of TLS. */
const MAX_UNFROZEN = 5;

/** What the image holds that could be written, by its path from a module: each costs a word of RAM on the device. */
export function linkModules(board: BoardTarget, sdk: Sdk, output: string): readonly string[] {
  const folder = join(output, "tmp", board.platform, "release/picobolt");
  const image = join(folder, "mc.xs.c");
  rmSync(image, { force: true });
  const chip = basename(board.platform);
  const settings = join(folder, `xsProj-${chip}/build/config/sdkconfig.h`);
  if (!existsSync(settings)) {
    mkdirSync(join(settings, ".."), { recursive: true });
    writeFileSync(settings, "");
  }
  // The makefile asks ESP-IDF for its version before anything else; the linker needs nothing of it.
  const env = { ...sdk.env, IDF_PATH: sdk.env.IDF_PATH ?? versionAlone(output) };
  const words = ["-f", join(folder, "makefile"), "-o", settings, image];
  const said = run("make", words, { folder, env, quiet: true });
  const unfrozen = said
    .split("\n")
    .filter((line) => /warning: picobolt.*(not frozen|no const)/.test(line))
    .map((line) => line.replace(/^.*warning: /, ""));
  if (unfrozen.length <= MAX_UNFROZEN) return unfrozen;
  throw new CommandFailed(
    `${unfrozen.length} things in the image can be written, a word of RAM each; at most ${MAX_UNFROZEN} may be. ` +
      `Freeze them, or teach scripts/firmware/freeze-for-flash.mjs:\n${unfrozen.join("\n")}`,
  );
}

function versionAlone(output: string): string {
  const folder = join(output, "no-idf");
  if (existsSync(join(folder, ".git"))) return folder;
  mkdirSync(folder, { recursive: true });
  const git = (...words: string[]) => execFileSync("git", words, { cwd: folder, stdio: "ignore" });
  git("init", "-q");
  const who = ["-c", "user.name=none", "-c", "user.email=none"];
  git(...who, "commit", "-q", "--allow-empty", "-m", "no ESP-IDF");
  git("tag", `v${IDF_VERSION}`);
  return folder;
}
