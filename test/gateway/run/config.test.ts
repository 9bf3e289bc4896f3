/** The gateway's configuration: what comes before what, and what is said where it makes no sense. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parse } from "smol-toml";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ConfigError, exampleToml, loadConfig } from "../../../gateway/run/config.ts";
import { SETTINGS } from "../../../gateway/run/settings.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "picobolt-config-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function file(toml: string): string {
  const path = join(folder, "picobolt.toml");
  writeFileSync(path, toml);
  return path;
}

function problemsOf(sources: Parameters<typeof loadConfig>[0]): readonly string[] {
  try {
    loadConfig(sources);
  } catch (cause) {
    if (cause instanceof ConfigError) return cause.problems;
    throw cause;
  }
  return [];
}

describe("the configuration", () => {
  it("has a value or none for every setting where nobody says anything", () => {
    const config = loadConfig({});
    expect(config["api.port"]).toBe(9737);
    expect(config.network).toBeUndefined();
    expect(Object.keys(config)).toEqual(Object.keys(SETTINGS));
  });

  it("takes words before variables, and variables before the file", () => {
    const path = file('network = "signet"\n[api]\nport = 1\n[p2p]\nport = 2\n');
    const env = { PORT: "3", P2P_PORT: "", BOOTSTRAP_PEERS: `02${"ab".repeat(32)}@[::1]:9735` };
    const config = loadConfig({ file: path, env, words: { "api.port": "4" } });
    expect(config.network).toBe("signet");
    expect(config["api.port"]).toBe(4);
    expect(config["p2p.port"]).toBe(2);
    expect(config["p2p.bootstrap_peers"]).toEqual([
      { nodeId: `02${"ab".repeat(32)}`, host: "::1", port: 9735 },
    ]);
  });

  it("says everything that is wrong at once, each with where it was said", () => {
    const path = file('network = "mars"\nnetwrok = 1\n[api]\nport = "x"\nprot = 3\n');
    const env = { P2P_PORT: "70000", MQTT_URL: "http://user:secret@h", BOOTSTRAP_PEERS: "me@x:1" };
    const problems = problemsOf({ file: path, env });
    expect(problems).toEqual([
      `${path}: there is no setting netwrok; is network meant?`,
      `${path}: there is no setting api.prot; is api.port meant?`,
      `network in ${path}: 'mars' is not one of mainnet, testnet4, signet, regtest, sim`,
      `api.port in ${path}: 'x' is not a port, 0 to 65535`,
      "P2P_PORT: '70000' is not a port, 0 to 65535",
      "BOOTSTRAP_PEERS: 'me@x:1' is not <node id>@<host>:<port> with 66 hexadecimal digits",
      "MQTT_URL: what is given is not a URL that begins with mqtt:// or mqtts://",
    ]);
    expect(problems.join()).not.toContain("secret");
  });

  it("names line and column of a file that is no TOML, and a file that is not there", () => {
    const path = file('network = "regtest"\nport = = 3\n');
    expect(problemsOf({ file: path })[0]).toMatch(/^.*picobolt\.toml:2:8: /);
    const missing = join(folder, "none.toml");
    expect(problemsOf({ file: missing })).toEqual([`${missing} cannot be read (ENOENT)`]);
  });

  it("takes mainnet only from somebody who says what it means", () => {
    expect(problemsOf({ env: { NETWORK: "mainnet" } })[0]).toContain('"real money"');
    const env = { NETWORK: "mainnet", MAINNET_ACKNOWLEDGED: "real money" };
    expect(loadConfig({ env }).network).toBe("mainnet");
  });

  it("refuses what would be open to others, or contradicts itself", () => {
    const words = { "api.tls": "off", "api.host": "0.0.0.0", "policy.min_htlc_msat": "9000000000" };
    expect(problemsOf({ words, env: { NETWORK: "sim", BITCOIND_URL: "http://h:1" } })).toEqual([
      "network is sim, which has no bitcoind: leave bitcoind.url (BITCOIND_URL) away",
      "api.tls is off, and api.host 0.0.0.0 is not loopback alone",
      "policy.min_htlc_msat is above policy.max_htlc_msat: nothing could be forwarded",
    ]);
  });

  it("prints an example that is TOML and, with its comments taken away, means what nothing means", () => {
    const lines = exampleToml().split("\n");
    const set = lines.filter((line) => /^\[|^# [a-z_]+ = (?!"…")/.test(line));
    const toml = set.map((line) => line.replace(/^# /, "")).join("\n");
    expect(() => parse(toml)).not.toThrow();
    expect(loadConfig({ file: file(toml) })).toEqual(loadConfig({}));
  });
});
