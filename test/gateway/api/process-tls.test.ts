/** Between processes of one gateway there is TLS of the node's own authority, whatever names its certificates bear; nobody else's. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { askProcess } from "../../../gateway/api/forwarding.ts";
import { loadTls, type TlsMaterial } from "../../../gateway/auth/tls.ts";

let folder: string;
let server: Server;
let url: string;

const material = (name: string, secret: number): TlsMaterial =>
  loadTls({
    folder: mkdtempSync(join(folder, name)),
    names: ["gateway.example"],
    caSecret: new Uint8Array(32).fill(secret),
    nowMs: () => Date.now(),
  });
const authorityOf = ({ authority }: TlsMaterial) => readFileSync(authority?.path ?? "", "utf8");

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "picobolt-process-tls-"));
  const { key, cert } = material("b", 7);
  server = createServer({ key, cert }, (request, response) => response.end(`it is ${request.url}`));
  await new Promise<void>((done) => server.listen(0, "127.0.0.2", done));
  url = `https://127.0.0.2:${(server.address() as AddressInfo).port}`;
});
afterEach(() => {
  server.close();
  rmSync(folder, { recursive: true });
});

function answered(authority: string | undefined): Promise<string> {
  return new Promise((resolve, reject) => {
    const place = { name: "b", url, ...(authority !== undefined && { authority }) };
    const asked = askProcess(place, "/rpc", { method: "GET" }, (answer) => {
      let text = "";
      answer.on("data", (part) => {
        text += part;
      });
      answer.on("end", () => resolve(text));
    });
    asked.on("error", reject);
    asked.end();
  });
}

test("a process whose authority is the same node's, made in another folder, is asked by any address", async () => {
  // 127.0.0.2 is in no certificate: the list of processes says where they are.
  expect(await answered(authorityOf(material("a", 7)))).toBe("it is /rpc");
});

test("one with another key is told nothing, nor is one where no authority is known", async () => {
  await expect(answered(authorityOf(material("stranger", 8)))).rejects.toThrow(/certificate/);
  await expect(answered(undefined)).rejects.toThrow(/certificate/);
});
