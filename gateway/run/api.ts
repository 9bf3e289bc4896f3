/** Starts the API of a running gateway: macaroons, certificates and the audit log in its folder, answers and limits in its store. */
import { readFileSync, rmSync } from "node:fs";
import { Forwarding } from "../api/forwarding.ts";
import { ApiServer } from "../api/server.ts";
import { AuditLog } from "../auth/audit-log.ts";
import { MacaroonAuthority } from "../auth/authority.ts";
import { loadTls, type TlsMaterial, type TlsOptions, TlsRenewal } from "../auth/tls.ts";
import { Vouching } from "../auth/vouching.ts";
import type { NodeSecret } from "../secrets/node-secret.ts";
import { replacePrivate } from "../secrets/private-file.ts";
import type { PostgresStore } from "../store/postgres/postgres-store.ts";
import { ProcessPlaces } from "../workers/process-places.ts";
import { API_URL_FILE } from "./api-place.ts";
import type { GatewayService } from "./service.ts";

export interface RunningApi {
  readonly url: string;
  readonly authority: MacaroonAuthority;
  /** Those that were written now: it was the first start. */
  readonly newMacaroons: readonly string[];
  readonly tls: TlsMaterial | undefined;
  close(): Promise<void>;
}

/** Hosts that say nothing of where that is. */
const EVERYWHERE: readonly string[] = ["0.0.0.0", "::", "*"];
/** An audit line that cannot be written: the call went on all the same. */
const AUDIT_PART = "audit log";

export async function startApi(service: GatewayService, secret: NodeSecret): Promise<RunningApi> {
  const { config, log } = service.options;
  const nowMs = () => Date.now();
  const folder = service.dataDir.path;
  const authority = new MacaroonAuthority({
    folder,
    secret: secret.derive(service.crypto, "macaroon root keys"),
    spending: service.records.spending,
    nowMs,
  });
  const newMacaroons = authority.writeFirst();
  const tlsOptions = tlsOptionsOf(service, secret, nowMs);
  const tls = tlsOptions && loadTls(tlsOptions);
  const audit = new AuditLog({ folder, nowMs });
  const places = service.sharing && new ProcessPlaces(service.records.postgres as PostgresStore);
  const forwarding =
    places &&
    new Forwarding({
      places,
      vouching: new Vouching(secret.derive(service.crypto, "calls between processes"), nowMs),
      gateway: service.gateway,
    });
  const server = await ApiServer.start({
    host: hostOf(service, authority),
    listen: { host: config["api.host"], port: config["api.port"] },
    ...(tls && { tls }),
    answers: service.records.answers,
    forwarding,
    callsPerSecond: config["api.calls_per_second"],
    hasMetrics: config.metrics,
    record: async (entry) => {
      try {
        audit.record(entry);
        await audit.durable();
      } catch (cause) {
        log.error({ part: AUDIT_PART, reason: String(cause), what: entry.what }, "not written");
      }
    },
    onFailure: (what, cause) => log.error({ what, err: cause }, "a call of the API failed"),
  }).catch(async (cause: unknown) => {
    await audit.close();
    throw cause;
  });
  const renewal =
    tls && tlsOptions
      ? new TlsRenewal(
          tlsOptions,
          tls,
          (material) => server.renewTls(material),
          (error) =>
            log.error({ reason: String(error) }, "the API's certificate could not be renewed"),
        )
      : undefined;
  renewal?.start();
  await announce(service, places, { url: server.url, tls });
  // Where programs of this machine find it, whatever port it has.
  const place = service.dataDir.at(API_URL_FILE);
  replacePrivate(place, Buffer.from(`${server.url}\n`));
  return {
    url: server.url,
    authority,
    newMacaroons,
    tls,
    close: async () => {
      rmSync(place, { force: true });
      renewal?.stop();
      await server.close();
      await audit.close();
    },
  };
}

/** To the other processes. */
async function announce(
  { options: { config, log } }: GatewayService,
  places: ProcessPlaces | undefined,
  own: { readonly url: string; readonly tls: TlsMaterial | undefined },
): Promise<void> {
  const url =
    config["worker.api_url"] ?? (EVERYWHERE.includes(config["api.host"]) ? undefined : own.url);
  const path = own.tls?.authority?.path;
  const authority = path === undefined ? {} : { authority: readFileSync(path, "utf8") };
  await places?.announce(url === undefined ? {} : { url, ...authority });
  if (places && url === undefined) {
    log.warn("the other processes cannot pass calls on to this one: set worker.api_url");
  }
}

function tlsOptionsOf(
  { options: { config }, dataDir, crypto }: GatewayService,
  secret: NodeSecret,
  nowMs: () => number,
): TlsOptions | undefined {
  if (config["api.tls"] === "off") return undefined;
  const certificate = config["api.certificate"];
  const key = config["api.key"];
  return {
    folder: dataDir.path,
    names: config["api.names"],
    caSecret: secret.derive(crypto, "certificate authority"),
    nowMs,
    ...(certificate !== undefined && key !== undefined && { given: { certificate, key } }),
  };
}

function hostOf(service: GatewayService, authority: MacaroonAuthority) {
  const { options, nodeId, startedAt, crypto, chain, store, gateway, backups, events } = service;
  const { alarms, peerBook, dialers, peers, mqtt, brokerUrl, fleet, settlement } = service;
  return {
    nodeId,
    version: options.version,
    startedAt,
    config: options.config,
    crypto,
    chain,
    store,
    gateway,
    backups,
    events,
    alarms,
    authority,
    peerBook,
    dialers,
    fleet,
    settlement,
    p2pPort: peers?.port,
    brokerUrl,
    mqtt,
  };
}
