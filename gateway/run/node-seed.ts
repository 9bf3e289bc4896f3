/** The seed of the gateway's node: opened, or made at the first start and locked as the configuration asks. */
import { existsSync, readFileSync } from "node:fs";
import { NodeSecret } from "../secrets/node-secret.ts";
import { createSeedFile, openSeedFile, plainWarning, type SeedLock } from "../secrets/seed-file.ts";
import { givenPassphrase, readKeyFile, type UnlockSources } from "../secrets/unlock.ts";
import type { Config } from "./settings.ts";

export interface NodeSeedOptions {
  readonly path: string;
  readonly config: Config;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** A seed that nobody locks is made for play money alone. */
  readonly isPlayMoney: boolean;
  readonly ask?: (question: string) => Promise<string>;
}

export interface NodeSeed {
  readonly secret: NodeSecret;
  readonly isNew: boolean;
  /** To be shown at every start. */
  readonly warning?: string | undefined;
}

/** @throws SecretError where the file does not open. */
export async function openNodeSeed(options: NodeSeedOptions): Promise<NodeSeed> {
  const { path } = options;
  const sources = sourcesOf(options);
  if (existsSync(path)) return { ...(await openSeedFile(path, sources)), isNew: false };
  const lock = lockOf(options, sources);
  const secret = NodeSecret.random();
  await createSeedFile(path, secret, lock);
  const warning = lock.type === "plain" ? plainWarning(path) : undefined;
  return { secret, isNew: true, warning };
}

function sourcesOf({ config, env, ask }: NodeSeedOptions): UnlockSources {
  const file = config["secrets.passphrase_file"];
  const keyFile = config["secrets.key_file"];
  const passphrase = file && readFileSync(file, "utf8").replace(/\r?\n$/, "");
  return {
    env: passphrase ? { ...env, PICOBOLT_PASSPHRASE: passphrase } : env,
    ...(keyFile !== undefined && { keyFile }),
    ...(ask && { ask }),
  };
}

function lockOf({ path, isPlayMoney }: NodeSeedOptions, { env, keyFile }: UnlockSources): SeedLock {
  const passphrase = givenPassphrase(env);
  if (passphrase) return { type: "passphrase", passphrase };
  if (keyFile !== undefined) return { type: "key-file", key: readKeyFile(keyFile) };
  if (isPlayMoney) return { type: "plain" };
  throw new Error(
    `the seed in ${path} would not be encrypted, and this is real money: give a passphrase ` +
      "(PICOBOLT_PASSPHRASE, secrets.passphrase_file) or a key (secrets.key_file), or make the seed " +
      "with picobolt seed new",
  );
}
