#!/usr/bin/env node
/**
 * A hardware wallet for tests, as Bitcoin Core drives one (doc/external-signer.md): its keys are those of another wallet of
 * the same node, named in PICOBOLT_SIGNER as `port cookieFile wallet`.
 */
import { readFileSync } from "node:fs";

const [port, cookieFile, wallet] = (process.env.PICOBOLT_SIGNER ?? "").split(" ");

async function rpc(method, ...params) {
  const cookie = Buffer.from(readFileSync(cookieFile, "utf8").trim()).toString("base64");
  const response = await fetch(`http://127.0.0.1:${port}/wallet/${wallet}`, {
    method: "POST",
    headers: { authorization: `Basic ${cookie}` },
    body: JSON.stringify({ id: 1, method, params }),
  });
  const { result, error } = await response.json();
  if (error) throw new Error(error.message);
  return result;
}

async function descriptors() {
  const { descriptors: all } = await rpc("listdescriptors");
  const segwit = all.filter(({ desc, active }) => active && desc.startsWith("wpkh("));
  const of = (internal) => segwit.filter((one) => one.internal === internal).map((one) => one.desc);
  return { receive: of(false), internal: of(true) };
}

async function answer(words) {
  if (words.includes("getdescriptors")) return descriptors();
  if (words.includes("enumerate")) {
    const { receive } = await descriptors();
    const fingerprint = /\[([0-9a-f]{8})/.exec(receive[0])?.[1];
    return [{ fingerprint, type: "test", model: "test", path: "" }];
  }
  if (words[0] === "signtx") {
    const unfinished = [words[1], true, "DEFAULT", true, false]; // signatures alone, as devices give them
    return { psbt: (await rpc("walletprocesspsbt", ...unfinished)).psbt };
  }
  throw new Error(`this signer cannot ${words.join(" ")}`);
}

const words = process.argv.slice(2);
const asked = words.includes("--stdin") ? readFileSync(0, "utf8").trim().split(/\s+/) : words;
answer(asked).then(
  (result) => console.log(JSON.stringify(result)),
  (error) => console.log(JSON.stringify({ error: error.message })),
);
