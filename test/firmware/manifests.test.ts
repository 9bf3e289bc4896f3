/** The manifests of the boards against what Rollup makes, what the drivers import, and the partitions that fit their flash. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { rollup } from "rollup";
import { afterAll, describe, expect, it } from "vitest";
import { firmware } from "../../rollup.config.mjs";
import { BOARDS } from "../../scripts/firmware/boards.ts";

const project = new URL("../../", import.meta.url).pathname;
const scratch = mkdtempSync(join(tmpdir(), "picobolt-manifests-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

interface Manifest {
  readonly include?: readonly string[];
  readonly modules?: Readonly<Record<string, string | readonly string[]>>;
  readonly preload?: readonly string[];
  readonly config?: { readonly board?: object; readonly image?: { readonly version: string } };
  readonly build?: Readonly<Record<string, string>>;
  readonly creation?: { readonly stack?: number };
}

/** Ours of a board, and the SDK's that they include, in the order of inclusion. */
function manifestsOf(path: string): { own: { path: string; json: Manifest }[]; sdk: string[] } {
  const json: Manifest = JSON.parse(readFileSync(join(project, path), "utf8"));
  const found = { own: [{ path, json }], sdk: [] as string[] };
  for (const included of json.include ?? []) {
    if (included.startsWith("$(")) {
      found.sdk.push(included);
      continue;
    }
    const deeper = manifestsOf(join(dirname(path), included));
    found.own.push(...deeper.own);
    found.sdk.push(...deeper.sdk);
  }
  return found;
}

const moduleFiles = (json: Manifest) => Object.values(json.modules ?? {}).flat();
const boards = Object.entries(BOARDS);

describe.each(boards)("the manifest of %s", (name, { manifest, platform }) => {
  const { own, sdk } = manifestsOf(manifest);
  const isHost = platform.startsWith("x-cli-");

  it("names files that exist, or the SDK's, or what Rollup makes", () => {
    for (const { path, json } of own) {
      for (const file of moduleFiles(json)) {
        if (file.startsWith("$(") || file.includes("dist/firmware/")) continue;
        const base = join(project, dirname(path), file.replace(/\*$/, ""));
        const names = [base, `${base}.c`, `${base}.js`];
        const isThere = names.some(existsSync) || file.endsWith("-*");
        expect(isThere, `${path} names ${file}`).toBe(true);
      }
    }
  });

  it("has every module that its bundle imports, and preloads all but main", async () => {
    const main = join(project, isHost ? "firmware/main-host.ts" : "firmware/main.ts");
    const { input, output: _, ...options } = firmware(main, scratch);
    const bundle = await rollup({ input, ...options });
    const { output } = await bundle.generate({ ...firmware(main, scratch).output, dir: scratch });
    await bundle.close();
    const chunks = output.flatMap((one) => (one.type === "chunk" ? [one] : []));
    const preload = own.flatMap(({ json }) => json.preload ?? []);
    for (const chunk of chunks) {
      if (chunk.name === "main") continue;
      expect(preload).toContain(`picobolt/${chunk.name}`);
    }
    expect(preload).not.toContain("picobolt/main");
    const provided = own.flatMap(({ json }) => Object.keys(json.modules ?? {}));
    const files = own.flatMap(({ json }) => moduleFiles(json)).concat(sdk);
    const external = new Set(
      chunks.flatMap((chunk) => chunk.imports.filter((one) => !one.endsWith(".js"))),
    );
    for (const specifier of external) {
      const word = WHERE[specifier];
      const isThere =
        provided.includes(specifier) ||
        (word !== undefined && files.some((file) => file.includes(word))) ||
        files.some((file) => file.endsWith(`/base/${specifier}/${specifier}`));
      expect(isThere, `${name} lacks ${specifier}`).toBe(true);
    }
  });

  it("gives the engine a stack of at least 1024 slots, and the version of the package", () => {
    const stacks = own.flatMap(({ json }) => json.creation?.stack ?? []);
    expect(Math.min(...stacks)).toBeGreaterThanOrEqual(1024);
    const { version } = JSON.parse(readFileSync(join(project, "package.json"), "utf8"));
    const text = isHost
      ? readFileSync(join(project, "manifests/host/config.js"), "utf8")
      : JSON.stringify(own.map(({ json }) => json.config));
    expect(text.replaceAll('"', "").replaceAll(" ", "")).toContain(`version:${version}`);
  });
});

/** In which manifest of the SDK a module is that ours do not name themselves. */
const WHERE: Readonly<Record<string, string>> = {
  "mc/config": "manifest_base",
  timer: "manifest_base",
  time: "manifest_base",
  sntp: "manifest_net",
  "embedded:io/serial": "/io/manifest",
  "embedded:io/digital": "/io/manifest",
  "embedded:io/socket/tcp": "/io/manifest",
  "embedded:io/socket/udp": "/io/manifest",
  "embedded:io/socket/tcp/tls": "tlssocket",
  "embedded:network/dns/resolver/udp": "mqttclient",
  "embedded:network/mqtt/client": "mqttclient",
  "embedded:network/interface/wifi": "/io/wifi",
  "embedded:storage/flash": "/io/flash",
  "embedded:update": "/io/update",
  "embedded:io/bluetoothle/peripheral": "/ble/server",
  "embedded:io/bluetoothle/central": "/ble/client",
  "picobolt/native-functions": "crypto",
};

describe("the partitions of 4 MB", () => {
  const rows = readFileSync(join(project, "manifests/partitions/4mb.csv"), "utf8")
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => line.split(",").map((word) => word.trim()))
    .map(([name, type, subtype, offset, size]) => ({
      name: name as string,
      type,
      subtype,
      offset: Number(offset),
      size: Number(size),
    }));

  it("follow each other without overlap, on sectors, images on 64 KB, within the flash", () => {
    let end = 0x9000;
    for (const { name, type, offset, size } of rows) {
      expect(offset, name).toBeGreaterThanOrEqual(end);
      expect(offset % (type === "app" ? 0x10000 : 0x1000), name).toBe(0);
      expect(size % 0x1000, name).toBe(0);
      end = offset + size;
    }
    expect(end).toBeLessThanOrEqual(4 * 1024 * 1024);
  });

  it("are what the drivers open, with two equal slots for images", () => {
    const size = (name: string) => rows.find((row) => row.name === name)?.size;
    expect(size("ota_0")).toBe(size("ota_1"));
    expect(size("records")).toBeGreaterThanOrEqual(64 * 1024);
    expect(size("settings")).toBeGreaterThanOrEqual(64 * 1024);
    expect(size("otadata")).toBe(0x2000);
  });

  it("are the ones in docs/FIRMWARE.md", () => {
    const text = readFileSync(join(project, "docs/FIRMWARE.md"), "utf8");
    for (const { name, offset, size } of rows) {
      const row = new RegExp(
        `\\| ${name} \\|[^\\n]*0x${offset.toString(16)} \\| ${size / 1024} KB`,
        "i",
      );
      expect(text).toMatch(row);
    }
  });
});

describe("npm run firmware without the SDK", () => {
  const say = (...words: string[]) => {
    const env = { ...process.env, MODDABLE: "" };
    const options = { cwd: project, env, encoding: "utf8", stdio: "pipe" } as const;
    return execFileSync("npx", ["tsx", "scripts/firmware.ts", ...words], options);
  };

  it("lists the boards", () => {
    for (const [name] of boards) expect(say("--list")).toContain(name);
  });

  it("ends with an error that says how to install it", () => {
    expect(() => say("--board", "esp32c3")).toThrow(/xs-dev setup[\s\S]*ESP-IDF/);
  });

  it("names the boards that there are, where one is unknown", () => {
    expect(() => say("--board", "esp8266")).toThrow(/no board "esp8266"; there are esp32, /);
  });
});
