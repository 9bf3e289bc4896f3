/** What the gateway says when it starts is what the next command needs: also of a broker that a file names. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { Running } from "../../cli/run-picobolt.ts";

const root = mkdtempSync(join(tmpdir(), "picobolt-first-screen-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

test("where devices call, without the password; SIGTERM ends it with exit code 0", async () => {
  const file = join(root, "gateway.url");
  writeFileSync(file, "mqtts://picobolt:hunter2@broker.invalid:8883\n", { mode: 0o600 });
  const gateway = new Running([
    ...["gateway", "--network", "sim", "--data-dir", join(root, "gateway")],
    ...["--port", "0", "--p2p-port", "0"],
    ...["--set", `mqtt.url_file=${file}`, "discovery.lan=false"],
  ]);
  await gateway.says("ready; Ctrl-C stops it");
  gateway.process.kill("SIGTERM");
  const { code, stdout, stderr } = await gateway.done;
  expect(stdout).toContain("PLAY MONEY");
  expect(stdout).toMatch(/^devices: mqtts:\/\/broker\.invalid:8883\/0[23][0-9a-f]{64}$/m);
  expect(stdout + stderr).not.toContain("hunter2");
  expect(code).toBe(0);
});
