/** Checks of what the gateway speaks to and listens on: broker, ports, and a gateway that runs. */
import { existsSync, readFileSync } from "node:fs";
import { get as getHttp } from "node:http";
import { get as getHttps } from "node:https";
import { createServer } from "node:net";
import { join } from "node:path";
import { connect } from "mqtt";
import { API_URL_FILE } from "../run/api-place.ts";
import { type Check, type CheckResult, failed, messageOf, ok, skipped } from "./check.ts";

const TIMEOUT_MS = 5_000;
const MAX_ANSWER_BYTES = 64 * 1024;

export interface BrokerPlace {
  /** May hold a password: never shown. */
  readonly url: string;
  readonly caFile?: string | undefined;
}

export interface ListeningPlace {
  /** As the setting is named. */
  readonly setting: string;
  readonly host: string;
  readonly port: number;
}

export interface RunningPlace {
  readonly folder: string;
  /** The process that runs a gateway on it. */
  readonly holder: number | undefined;
}

/** Signs in, says nothing and leaves. */
export function brokerCheck({ url, caFile }: BrokerPlace): Check {
  return {
    name: "broker",
    run: async () => {
      const { protocol, host, username, password } = new URL(url);
      const place = `${protocol}//${host}`;
      const client = connect(place, {
        ...(username && { username: decodeURIComponent(username) }),
        ...(password && { password: decodeURIComponent(password) }),
        ...(caFile !== undefined && { ca: readFileSync(caFile) }),
        protocolVersion: 4,
        reconnectPeriod: 0,
        connectTimeout: TIMEOUT_MS,
      });
      try {
        await new Promise<void>((done, fail) => {
          client.once("connect", () => done());
          client.once("error", fail);
          client.once("close", () => fail(new Error("nobody answers there")));
        });
        return ok(`${place} lets this gateway in`);
      } catch (cause) {
        return failed(
          `${place} lets nobody in: ${messageOf(cause)}`,
          "start it; look at mqtt.url, its password and mqtt.ca_file (picobolt broker-config writes them)",
        );
      } finally {
        client.on("error", () => {});
        await client.endAsync(true);
      }
    },
  };
}

/** Listens for a moment where nobody does. */
export function portsCheck(places: readonly ListeningPlace[], holder: number | undefined): Check {
  return {
    name: "ports",
    run: async () => {
      if (holder !== undefined) return ok(`held by the gateway that runs (process ${holder})`);
      const wanted = places.filter(({ port }) => port !== 0);
      const problems: string[] = [];
      for (const place of wanted) {
        const reason = await refusal(place);
        if (reason !== undefined) {
          problems.push(`${place.setting} ${place.host}:${place.port} ${reason}`);
        }
      }
      if (problems.length === 0) {
        return ok(wanted.map(({ port }) => `${port} free`).join(", ") || "any that are free");
      }
      return failed(problems.join("; "), "stop the other program, or choose another port or host");
    },
  };
}

function refusal({ host, port }: ListeningPlace): Promise<string | undefined> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once("error", ({ code }: NodeJS.ErrnoException) => {
      resolve(code === "EADDRINUSE" ? "is taken by another program" : `cannot be had (${code})`);
    });
    server.listen(port, host, () => server.close(() => resolve(undefined)));
  });
}

/** Asks the gateway itself (GET /ready), which needs no macaroon. */
export function gatewayCheck({ folder, holder }: RunningPlace): Check {
  return { name: "gateway", run: () => gatewayResult(folder, holder) };
}

async function gatewayResult(folder: string, holder: number | undefined): Promise<CheckResult> {
  if (holder === undefined) return skipped("none runs on this data dir");
  const place = join(folder, API_URL_FILE);
  if (!existsSync(place)) {
    return failed(
      `process ${holder} has the data dir, and its API does not listen yet`,
      "look again in a minute, and then at its log",
    );
  }
  const url = readFileSync(place, "utf8").trim();
  try {
    const { ready, reasons } = await askReady(url, join(folder, "ca.pem"));
    if (ready) return ok(`it runs at ${url} and is ready`);
    return failed(`it runs at ${url} and is not ready: ${reasons.join("; ")}`, "see to that first");
  } catch (cause) {
    return failed(
      `it does not answer at ${url}: ${messageOf(cause)}`,
      `look at the log of process ${holder}; start it again where it hangs`,
    );
  }
}

function askReady(
  url: string,
  ca: string,
): Promise<{ readonly ready: boolean; readonly reasons: readonly string[] }> {
  const isTls = url.startsWith("https:");
  const options = {
    timeout: TIMEOUT_MS,
    ...(isTls && existsSync(ca) && { ca: readFileSync(ca) }),
  };
  return new Promise((resolve, reject) => {
    const asked = (isTls ? getHttps : getHttp)(`${url}/ready`, options, (answer) => {
      let text = "";
      answer.setEncoding("utf8");
      answer.on("data", (chunk: string) => {
        text += chunk;
        if (text.length > MAX_ANSWER_BYTES) asked.destroy(new Error("its answer is too long"));
      });
      answer.on("error", reject);
      answer.on("end", () => {
        try {
          const { ready, reasons } = JSON.parse(text) as { ready?: unknown; reasons?: unknown };
          if (typeof ready !== "boolean") throw new Error();
          resolve({ ready, reasons: Array.isArray(reasons) ? reasons.map(String) : [] });
        } catch {
          reject(new Error(`HTTP ${answer.statusCode}, and not what a gateway says`));
        }
      });
    });
    asked.on("timeout", () => asked.destroy(new Error("it takes too long")));
    asked.on("error", reject);
  });
}
