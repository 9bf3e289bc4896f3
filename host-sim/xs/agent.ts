/** The program inside the XS worker: serves calls from Node with bytes in and bytes out, on the bundled core. */
import { decodeRecord, encodeRecord } from "../../core/channel/codec.ts";
import { devicePolicy, hostPolicy } from "../../core/channel/policy.ts";
import { nobleCrypto } from "../../core/crypto/noble.ts";
import { SeedSigner } from "../../core/keys/seed-signer.ts";
import { decodeCbor, encodeCbor } from "../../core/messages/cbor.ts";
import { decodeMessage, encodeMessage, messageLimits } from "../../core/messages/codec.ts";
import type { Message } from "../../core/messages/message.ts";
import { Node } from "../../core/node/node.ts";
import { type NativeFunctions, nativeCrypto, nativeEntropy } from "../../firmware/crypto/native.ts";
import { selfTest } from "../../firmware/crypto/self-test.ts";
import { callHost, characters, listen, serve, text } from "./agent-calls.ts";
import { callCrypto } from "./crypto-calls.ts";
import { freezeModuleState, writableState } from "./freeze.ts";
import { frameCount, hostCrypto, serveNode } from "./node-calls.ts";
import { type Scenario, scenarios } from "./scenarios.ts";
import { descend } from "./stack.ts";

/** Only in a worker that has the device's crypto compiled in (build.ts). */
declare const picoboltNative: NativeFunctions;

serve("ping", (...parameters) => parameters);
serve("ask-host", (name, ...parameters) => callHost(text(name as Uint8Array), ...parameters));
serve("freeze", () => freezeModuleState().map(characters));
serve("writable-state", () => writableState().map(characters));
/** Calls the method of the Crypto port that the first part names, on noble in XS. */
serve("crypto", (method, ...parameters) =>
  callCrypto(nobleCrypto(), text(method as Uint8Array), parameters),
);
/** The same on the device's crypto in C. */
serve("native-crypto", (method, ...parameters) =>
  callCrypto(nativeCrypto(picoboltNative), text(method as Uint8Array), parameters),
);
/** What the self-test of a start says: nothing where all is well. */
serve("native-self-test", () => {
  const failed = selfTest(nativeCrypto(picoboltNative), nativeEntropy(picoboltNative));
  return failed === undefined ? undefined : characters(failed);
});
/** Decodes CBOR, or one of our messages, and encodes what came out. */
serve("cbor", (bytes) => encodeCbor(decodeCbor(bytes as Uint8Array, messageLimits(65_535))));
serve("message", (bytes) => {
  const decoded = decodeMessage(bytes as Uint8Array, messageLimits(65_535));
  return encodeMessage(decoded as Message);
});
serve("descend", (depth) => descend(frameCount(depth as Uint8Array), () => undefined));
/** Runs a scenario with noble in XS. */
serve("scenario", (name) => scenarioNamed(name as Uint8Array)(nobleCrypto()));
/** Runs a scenario with the host's crypto, with so many frames on the stack already. */
serve("scenario-in-depth", (name, depth) =>
  descend(frameCount(depth as Uint8Array), () => scenarioNamed(name as Uint8Array)(hostCrypto)),
);

/** Reads a record and writes it again, with so many frames on the stack already. */
serve("record-in-depth", (record, seed, depth) =>
  descend(frameCount(depth as Uint8Array), () => {
    const signer = new SeedSigner(hostCrypto, seed as Uint8Array);
    const decoded = decodeRecord(record as Uint8Array, (index) => signer.channel(index).basepoints);
    return encodeRecord(decoded);
  }),
);
// A device of every channel type, so that all of them are seen in XS.
const { channelTypes } = hostPolicy;
serveNode({ Node, SeedSigner, devicePolicy: { ...devicePolicy, channelTypes } }, nobleCrypto);
listen();

function scenarioNamed(name: Uint8Array): Scenario {
  const scenario = scenarios[text(name)];
  if (scenario === undefined) throw new Error("no such scenario");
  return scenario;
}
