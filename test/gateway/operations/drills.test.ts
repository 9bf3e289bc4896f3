/** The drills of docs/OPERATIONS.md "Drills", with its very commands: a gateway on a real node loses power, its node, a macaroon, its certificate and its place. */
import { cpSync, existsSync, mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type RegtestNode, startRegtest } from "../../../gateway/chain/bitcoind/node-process.ts";
import { picobolt, Running } from "../../cli/run-picobolt.ts";
import { PATIENCE_MS, PATIENT } from "../../support/patience.ts";

let root: string;
let node: RegtestNode;
let gateway: Running;
let nodeId: unknown;

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), "picobolt-drills-"));
  node = await startRegtest({ dataFolder: join(root, "bitcoin") });
  gateway = await started("./gateway");
  nodeId = (await ask("./gateway", "node", "info")).node_id;
});
afterAll(async () => {
  await ended();
  await node.stop();
  rmSync(root, { recursive: true });
});

const text = readFileSync(new URL("../../../docs/OPERATIONS.md", import.meta.url), "utf8");
const section = text.split("\n## Drills\n")[1]?.split("\n## ")[0] ?? "";

/** The document's line that begins so, its places in this test's folder. */
function documented(start: string): string[] {
  const line = section.split("\n").find((one) => one.startsWith(`    ${start}`));
  if (!line) throw new Error(`no drill says: ${start}`);
  return line.trim().split(/ +/).map(placed);
}

function placed(word: string): string {
  if (word.startsWith("./")) return join(root, word);
  return word.endsWith(".macaroon") ? join(root, word) : word;
}

const NODE = () => [
  ...["--set", `bitcoind.url=http://127.0.0.1:${node.rpcPort}`],
  ...[`bitcoind.cookie_file=${node.cookieFile}`, "api.port=0", "p2p.port=0", "mqtt.port=0"],
  ...["discovery.lan=false"],
];

async function started(folder: string): Promise<Running> {
  const words = documented(`picobolt gateway --data-dir ${folder}`).slice(1);
  const running = new Running([...words, "--network", "regtest", "--json", ...NODE()]);
  await running.says('"event":"ready"', PATIENCE_MS);
  return running;
}

async function ended(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
  gateway.process.kill(signal);
  await gateway.done;
}

async function ask(folder: string, ...words: string[]) {
  const { last, stderr } = await picobolt([...words, "--gateway", placed(folder), "--json"]);
  expect(stderr).toBe("");
  return last;
}

/** As doctor was told in the document; where its node is stands in variables. */
async function doctor(): Promise<Record<string, unknown>> {
  const words = documented("picobolt doctor").slice(1);
  const env = { BITCOIND_URL: `http://127.0.0.1:${node.rpcPort}` };
  Object.assign(process.env, env);
  const { json } = await picobolt([...words, "--network", "regtest", "--json"]);
  delete process.env.BITCOIND_URL;
  return Object.fromEntries(json.map((one) => [String(one.name), one.status]));
}

const asked = () => picobolt(["node", "info", "--gateway", join(root, "gateway"), "--json"]);

test("the machine lost power: started again it is the same node, with what it had promised", async () => {
  const invoice = await ask("./gateway", "invoice", "create", "1500", "--memo", "before");
  await ended("SIGKILL");
  gateway = await started("./gateway");
  expect((await ask("./gateway", "node", "info")).node_id).toBe(nodeId);
  const { payment_hash } = invoice;
  expect(await ask("./gateway", "invoice", "show", String(payment_hash))).toEqual(invoice);
});

test("the Bitcoin node was killed: the gateway stays and says so, and goes on with the node alone", async () => {
  const { rpcPort } = node;
  await node.kill();
  expect((await asked()).code).toBe(0);
  expect(await doctor()).toMatchObject({ bitcoind: "failed" });
  const dataFolder = join(root, "bitcoin");
  node = await startRegtest({ dataFolder, rpcPort });
  await expect.poll(async () => (await asked()).last.synced, PATIENT).toBe(true);
});

test("a macaroon was stolen: revoked, it is worth nothing, and the new one works", async () => {
  cpSync(join(root, "gateway", "admin.macaroon"), join(root, "stolen.macaroon"));
  const baked = await picobolt(documented("picobolt macaroon bake").slice(1));
  expect(baked.stderr).not.toContain("picobolt:");
  expect(baked.code).toBe(0);
  const revoked = await picobolt(documented("picobolt macaroon revoke").slice(1));
  expect(revoked.code).toBe(0);
  const by = (file: string) =>
    picobolt(["wallet", "address", "--gateway", placed("./gateway"), "--macaroon", placed(file)]);
  const [stolen, fresh] = [await by("stolen.macaroon"), await by("operator.macaroon")];
  expect(stolen).toMatchObject({ code: 4, stdout: "" });
  expect(stolen.stderr).toContain("revoked");
  expect(fresh.code).toBe(0);
});

test("the certificate was lost: a new one, by the same authority, that clients believe", async () => {
  const ca = readFileSync(join(root, "gateway", "ca.pem"));
  await ended();
  const [, ...files] = documented("rm ");
  for (const file of files) rmSync(file);
  gateway = await started("./gateway");
  expect(readFileSync(join(root, "gateway", "ca.pem"))).toEqual(ca);
  const { last } = await picobolt([
    ...["node", "info", "--gateway", placed("./gateway"), "--json"],
    ...["--macaroon", placed("operator.macaroon")],
  ]);
  expect(last.node_id).toBe(nodeId);
});

test("the host moves: the folder is enough, and nothing is left behind", async () => {
  await ended();
  const [, from = "", to = ""] = documented("mv ");
  renameSync(from, to);
  gateway = await started("./moved");
  expect(existsSync(from)).toBe(false);
  const words = ["node", "info", "--gateway", to, "--macaroon", placed("operator.macaroon")];
  expect((await picobolt([...words, "--json"])).last.node_id).toBe(nodeId);
});
