/** Finds the Moddable SDK of MODDABLE and its tools, and says what to do where it is missing or of another version. */
import { existsSync, readFileSync } from "node:fs";
import { delimiter, isAbsolute, join } from "node:path";
import { CommandFailed } from "./run.ts";

export const SDK_VERSION = "8.2";
export const IDF_VERSION = "6.0";
export const TYPESCRIPT_VERSION = "6.0.3";

export const SDK_HELP = `How to install the Moddable SDK ${SDK_VERSION} (for boards also ESP-IDF ${IDF_VERSION}; TypeScript ${TYPESCRIPT_VERSION} comes with npm ci):

  with xs-dev:  npm install -g xs-dev
                xs-dev setup
                xs-dev setup --device esp32
  by hand:      apt install build-essential pkg-config libglib2.0-dev   (libgtk-3-dev for its simulator, not needed here)
                git clone https://github.com/Moddable-OpenSource/moddable   (a release ${SDK_VERSION}.x)
                export MODDABLE=<that folder>
                cd $MODDABLE/build/makefiles/lin
                export XS_DIR=$MODDABLE/xs BUILD_DIR=$MODDABLE/build
                make GOAL=release -f $XS_DIR/makefiles/lin/xsc.mk
                make GOAL=release -f $XS_DIR/makefiles/lin/xsid.mk
                make GOAL=release -f $XS_DIR/makefiles/lin/xsl.mk
                PATH=$BUILD_DIR/bin/lin/release:$PATH make GOAL=release -f tools.mk
  ESP-IDF:      git clone -b v${IDF_VERSION} --recursive https://github.com/espressif/esp-idf
                ./install.sh esp32,esp32s3,esp32c3 && . ./export.sh`;

export interface Sdk {
  readonly folder: string;
  readonly version: string;
  /** Of this process, with the SDK's tools on the path. */
  readonly env: NodeJS.ProcessEnv;
  tool(name: string): string;
}

export function checkSdk(env: NodeJS.ProcessEnv): Sdk {
  const folder = env.MODDABLE;
  if (!folder) throw new CommandFailed("MODDABLE is not set: no Moddable SDK.", true);
  if (!isAbsolute(folder)) {
    throw new CommandFailed(`MODDABLE must be an absolute path, it is ${folder}`);
  }
  const version = versionOf(folder);
  if (!version.startsWith(`${SDK_VERSION}.`)) {
    throw new CommandFailed(`${folder} is version ${version}, needed is ${SDK_VERSION}.x`, true);
  }
  const system = process.platform === "darwin" ? "mac" : "lin";
  const tools = join(folder, "build/bin", system, "release");
  const missing = ["mcconfig", "xsc", "xsl", "xsid"].filter(
    (tool) => !existsSync(join(tools, tool)),
  );
  if (missing.length > 0) {
    throw new CommandFailed(`${folder} is not built, it lacks: ${missing.join(", ")}`, true);
  }
  const path = `${tools}${delimiter}${env.PATH ?? ""}`;
  return { folder, version, env: { ...env, PATH: path }, tool: (name) => join(tools, name) };
}

function versionOf(folder: string): string {
  try {
    return readFileSync(join(folder, "tools/VERSION"), "utf8").trim();
  } catch {
    throw new CommandFailed(`MODDABLE names ${folder}, which is no Moddable SDK`, true);
  }
}
