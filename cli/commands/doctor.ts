/** `picobolt doctor`: looks at everything a gateway needs, and says what to do; it changes nothing. */
import { type CheckReport, type CheckStatus, runCheck } from "../../gateway/operations/check.ts";
import { checksOf } from "../../gateway/operations/checks.ts";
import type { SettingName } from "../../gateway/run/settings.ts";
import { type Command, oneOf, text } from "../command.ts";
import { EXIT, Failure } from "../failure.ts";

const SIGNS: Readonly<Record<CheckStatus, string>> = {
  ok: "✓",
  warning: "!",
  failed: "✗",
  skipped: "–",
};
const NAME_WIDTH = 16;

export const doctor: Command = {
  streams: true,
  configure(parser) {
    parser
      .option("--config <file>", "as the gateway is started with")
      .option("--data-dir <folder>", "of the gateway on this machine (DATA_DIR)")
      .addOption(
        oneOf("--network <name>", "the chain (NETWORK)", [
          "mainnet",
          "testnet4",
          "signet",
          "regtest",
          "sim",
        ]),
      );
  },
  examples: ["picobolt doctor", "picobolt doctor --config /etc/picobolt/gateway.toml --json"],
  async run({ out, signal }, _args, options) {
    const file = text(options, "config");
    const words: Partial<Record<SettingName, string>> = {};
    const folder = text(options, "dataDir");
    const network = text(options, "network");
    if (folder !== undefined) words.data_dir = folder;
    if (network !== undefined) words.network = network;
    const sources = { ...(file !== undefined && { file }), env: process.env, words };
    const reports: CheckReport[] = [];
    for (const check of checksOf({ sources, nowMs: Date.now })) {
      if (signal.aborted) return;
      const report = await runCheck(check);
      reports.push(report);
      out.line(lineOf(report), report);
    }
    const count = (status: CheckStatus) => reports.filter((one) => one.status === status).length;
    const [bad, doubtful] = [count("failed"), count("warning")];
    out.text(summary(bad, doubtful));
    out.result({ ok: count("ok"), warnings: doubtful, failed: bad, skipped: count("skipped") });
    if (bad > 0) throw new Failure(`${bad} of ${reports.length} checks failed`, EXIT.failed);
  },
};

function lineOf({ name, status, found, advice }: CheckReport): string {
  const line = `${SIGNS[status]} ${name.padEnd(NAME_WIDTH)} ${found}`;
  return advice === undefined ? line : `${line}\n${" ".repeat(NAME_WIDTH + 3)}→ ${advice}`;
}

function summary(bad: number, doubtful: number): string {
  if (bad > 0) return "Not everything works: start with the first ✗.";
  if (doubtful > 0) return "Everything works; look at what is marked with !.";
  return "Everything works.";
}
