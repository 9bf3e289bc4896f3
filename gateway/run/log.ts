/** The structured log (pino): JSON lines on standard error, with nothing in them that opens anything. */
import pino, { type Logger } from "pino";
import type { Config } from "./settings.ts";

/** Fields that are never written, wherever they stand. */
const SECRET_FIELDS = [
  ...["seed", "passphrase", "password", "preimage", "paymentSecret", "macaroon", "words"],
  ...["authorization", "cookie", "databaseUrl", "url"],
];

export function openLog(config: Pick<Config, "log_level" | "name">): Logger {
  const paths = SECRET_FIELDS.flatMap((name) => [name, `*.${name}`, `*.*.${name}`]);
  return pino(
    {
      level: config.log_level,
      base: { name: config.name },
      redact: { paths, censor: "…" },
      timestamp: pino.stdTimeFunctions.isoTime,
    },
    // Synchronous: the last line before a crash is the one that is needed.
    pino.destination({ dest: 2, sync: true }),
  );
}

export type { Logger };
