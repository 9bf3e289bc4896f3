/** The core's bundle in a real XS engine: it loads on a bare device's globals and gives the bytes that Node gives. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { nobleCrypto } from "../../core/crypto/noble.ts";
import { encodeCbor } from "../../core/messages/cbor.ts";
import { encodeMessage } from "../../core/messages/codec.ts";
import { channelId, type PublicKey, type SecretKey } from "../../core/primitives/brands.ts";
import { ascii, concat, toHex } from "../../core/primitives/bytes.ts";
import { XsBridge } from "../../host-sim/xs/bridge.ts";
import { bundleCoreModule } from "../../host-sim/xs/bundle.ts";
import { scenarios } from "../../host-sim/xs/scenarios.ts";
import { XsWorker } from "../../host-sim/xs/worker.ts";

const node = nobleCrypto();
const secret = new Uint8Array(32).fill(7) as SecretKey;
const other = new Uint8Array(32).fill(9) as SecretKey;
const hash = node.sha256(ascii("a commitment"));
const key = new Uint8Array(32).fill(3);
const nonce = new Uint8Array(12).fill(4);

const costs: string[] = [];
let xs: XsBridge;
beforeAll(async () => {
  xs = await XsBridge.start({ host: { double: (bytes) => [concat(bytes!, bytes!)] } });
});
afterAll(async () => {
  await xs?.close();
  console.log(["XS compute, in steps of the engine:", ...costs].join("\n"));
});

/** Calls the agent, notes what it cost and returns the answer in hex. */
async function inXs(name: string, ...parameters: Uint8Array[]): Promise<string> {
  const { parts, meter } = await xs.call(name, ...parameters);
  const label =
    name === "crypto" || name === "scenario" ? Buffer.from(parameters[0]!).toString() : name;
  costs.push(`  ${label} ${meter.compute}`);
  return parts.map(toHex).join(" ");
}

test("the device's bundle is one module that imports nothing", async () => {
  const { code, moduleFiles } = await bundleCoreModule();
  expect(code).not.toMatch(/^\s*import\b|\bimport\(|\brequire\(/m);
  expect(moduleFiles.filter((file) => file.includes("node_modules"))).toEqual([]);
});

test("the device's bundle loads as an ES module and exports what it exports in Node", async () => {
  const folder = await mkdtemp(join(tmpdir(), "picobolt-xs-"));
  const worker = await XsWorker.start();
  try {
    await writeFile(join(folder, "core.mjs"), (await bundleCoreModule()).code);
    const inspect = "import * as core from './core.mjs'; handleCommand = () => list(core);";
    await writeFile(join(folder, "main.mjs"), inspect);
    await worker.evaluate("var handleCommand; var encoder = new TextEncoder();");
    await worker.evaluate(
      "var list = (core) => encoder.encode(Object.keys(core).sort().map((k) => k + ':' + typeof core[k])).buffer",
    );
    await worker.importModule(join(folder, "main.mjs"));
    const inNode: Record<string, unknown> = await import(join(folder, "core.mjs"));
    const expected = Object.keys(inNode)
      .sort()
      .map((name) => `${name}:${typeof inNode[name]}`);
    expect(expected).toContain("Node:function");
    const reply = await worker.command(new Uint8Array());
    expect(Buffer.from(reply.bytes).toString()).toBe(expected.join());
  } finally {
    await worker.close();
    await rm(folder, { recursive: true });
  }
});

describe("the bridge", () => {
  test("carries bytes both ways", async () => {
    const everyByte = Uint8Array.from({ length: 256 }, (_, i) => i);
    const { parts } = await xs.call("ping", everyByte, new Uint8Array(), everyByte);
    expect(parts).toEqual([everyByte, new Uint8Array(), everyByte]);
    expect((await xs.call("ask-host", ascii("double"), ascii("ab"))).parts).toEqual([
      ascii("abab"),
    ]);
  });

  test("carries errors both ways", async () => {
    await expect(xs.call("no-such-thing")).rejects.toThrow(/no function no-such-thing/);
    await expect(xs.call("ask-host", ascii("nobody"))).rejects.toThrow(/no such function/);
  });
});

describe("crypto in XS equals Node", () => {
  test.each([0, 1, 55, 56, 64, 1000])("SHA-256 of %d bytes", async (length) => {
    const data = new Uint8Array(length).fill(0xa5);
    expect(await inXs("crypto", ascii("sha256"), data)).toBe(toHex(node.sha256(data)));
  });

  test("public key, signature, verification", async () => {
    const publicKey = node.publicKeyOf(secret);
    const signature = node.sign(hash, secret);
    expect(await inXs("crypto", ascii("publicKeyOf"), secret)).toBe(toHex(publicKey));
    expect(await inXs("crypto", ascii("sign"), hash, secret)).toBe(toHex(signature));
    expect(await inXs("crypto", ascii("verify"), signature, hash, publicKey)).toBe("01");
    const wrong = node.sha256(hash);
    expect(await inXs("crypto", ascii("verify"), signature, wrong, publicKey)).toBe("00");
  });

  test("the operations of the key schedule", async () => {
    const point: PublicKey = node.publicKeyOf(other);
    const tweakAdd = toHex(node.publicKeyTweakAdd(point, hash));
    expect(await inXs("crypto", ascii("publicKeyTweakAdd"), point, hash)).toBe(tweakAdd);
    const ecdh = toHex(node.ecdh(secret, point));
    expect(await inXs("crypto", ascii("ecdh"), secret, point)).toBe(ecdh);
    const hmac = toHex(node.hmacSha512(key, hash));
    expect(await inXs("crypto", ascii("hmacSha512"), key, hash)).toBe(hmac);
  });

  test("ChaCha20-Poly1305, and a wrong tag is refused", async () => {
    const sealed = node.encrypt(key, nonce, hash, ascii("push 1 sat"));
    const sealedInXs = await inXs(
      "crypto",
      ascii("encrypt"),
      key,
      nonce,
      hash,
      ascii("push 1 sat"),
    );
    expect(sealedInXs).toBe(toHex(sealed));
    const opened = await inXs("crypto", ascii("decrypt"), key, nonce, hash, sealed);
    expect(opened).toBe(toHex(ascii("push 1 sat")));
    sealed[0]! ^= 1;
    expect(await inXs("crypto", ascii("decrypt"), key, nonce, hash, sealed)).toBe("");
  });
});

describe("messages in XS equal Node", () => {
  test("CBOR is read and written to the same bytes", async () => {
    const value = [
      1,
      -1,
      2 ** 40,
      ascii("bytes"),
      "text ü 🍬",
      true,
      null,
      [[]],
      new Map([[1, 2]]),
    ];
    const encoded = encodeCbor(value);
    expect(await inXs("cbor", encoded)).toBe(toHex(encoded));
  });

  test("malformed CBOR is refused with the same tag", async () => {
    await expect(xs.call("cbor", Uint8Array.of(0x18, 1))).rejects.toThrow(/cbor-not-shortest/);
  });

  test("a channel message goes through", async () => {
    const message = encodeMessage({
      type: "warning",
      channelId: channelId(new Uint8Array(32).fill(1)),
      data: "kept for later",
    });
    expect(await inXs("message", message)).toBe(toHex(message));
  });
});

describe("the core's work in XS equals Node", () => {
  test.each(Object.entries(scenarios))("%s", async (name, scenario) => {
    const expected = scenario(node).map(toHex);
    expect(expected.length).toBeGreaterThan(1);
    expect((await inXs("scenario", ascii(name))).split(" ")).toEqual(expected);
  });
});
