/** One visit to a device that is there: how it stands, what it sold, and what waited for it (docs/FLEET.md "Visits"). */
import type { PlainObject, PlainValue } from "../../core/messages/admin-values.ts";
import { toHex } from "../../core/primitives/bytes.ts";
import { AdminRefusal } from "../admin/client.ts";
import {
  type AdminCall,
  type PricedProduct,
  sendPrices,
  sendUpdate,
} from "../admin/longer-calls.ts";
import { isNews, statusOf } from "./device-status.ts";
import type { FleetStore } from "./fleet-store.ts";
import {
  type FleetRequest,
  type FleetSale,
  type RequestFailure,
  SALE_KINDS,
  type SaleKind,
} from "./fleet-types.ts";
import type { Registry } from "./registry.ts";
import type { RequestQueue } from "./request-queue.ts";

export interface VisitParts {
  readonly nodeId: string;
  readonly call: AdminCall;
  readonly registry: Registry;
  readonly queue: RequestQueue;
  readonly store: FleetStore;
  readonly nowSeconds: () => number;
  /** False: it waits on, its roll-out is paused. */
  mayRun(request: FleetRequest): boolean;
  onSales(sales: readonly FleetSale[]): void;
  onProgress(request: FleetRequest, done: number, total: number): void;
}

/** It will be able to, later. */
const LATER: readonly string[] = ["busy", "on-trial", "internal"];
/** Of one answer; a device that never comes to an end is no reason to ask forever. */
const MAX_SALE_PAGES = 8;

/** Throws AdminSilence where the device went away; what waited waits on. */
export async function visit(parts: VisitParts): Promise<void> {
  if (!(await ask(parts))) return;
  await fetchSales(parts);
  for (const request of [...parts.queue.of(parts.nodeId)]) {
    if (!parts.mayRun(request)) continue;
    await perform(parts, request);
    // Its node starts anew, and the session with it.
    if (request.kind === "settings" || request.kind === "update") return;
  }
}

/** True where it is ours. */
async function ask({ nodeId, call, registry, nowSeconds }: VisitParts): Promise<boolean> {
  const device = registry.active(nodeId);
  if (!device) return false;
  let info: PlainObject;
  try {
    info = (await call("info")) as PlainObject;
  } catch (cause) {
    if (!(cause instanceof AdminRefusal)) throw cause;
    if (device.refusal !== "not-owner") await registry.put({ ...device, refusal: "not-owner" });
    return false;
  }
  const now = nowSeconds();
  const status = statusOf(info, now);
  if (info.claimed !== true) {
    await registry.put({ ...device, refusal: "unclaimed", lastSeen: now, status });
    return false;
  }
  const { refusal, ...rest } = device;
  const name = typeof info.name === "string" ? info.name : device.name;
  const next = { ...rest, name, claimedAt: device.claimedAt ?? now, lastSeen: now, status };
  const isNew = refusal !== undefined || device.claimedAt === undefined || name !== device.name;
  if (isNew || isNews(device.status, status)) await registry.put(next);
  else await registry.note(next);
  return true;
}

async function fetchSales(parts: VisitParts): Promise<void> {
  const { nodeId, call, registry, store, onSales } = parts;
  for (let pages = 0; pages < MAX_SALE_PAGES; pages++) {
    const device = registry.active(nodeId);
    if (!device) return;
    let answer: PlainObject;
    try {
      answer = (await call("sales", { after: device.sales?.last ?? 0 })) as PlainObject;
    } catch (cause) {
      // An older firmware has none.
      if (cause instanceof AdminRefusal) return;
      throw cause;
    }
    const run = hexOf(answer.run);
    if (run === undefined) return;
    if (device.sales && device.sales.run !== run) {
      // It has started since: its numbers begin anew.
      await registry.put({ ...device, sales: { run, last: 0 } });
      continue;
    }
    const sales = salesOf(parts, run, answer.sales);
    if (sales.length > 0) {
      // First what was sold: fetched again after a crash, it is passed over.
      await store.addSales(sales);
      const last = sales.at(-1)?.number as number;
      await registry.put({ ...device, sales: { run, last } });
      onSales(sales);
    }
    if (answer.isEnd === true || sales.length === 0) return;
  }
}

function salesOf(
  { nodeId, nowSeconds }: VisitParts,
  run: string,
  rows: PlainValue | undefined,
): readonly FleetSale[] {
  if (!Array.isArray(rows)) return [];
  const now = nowSeconds();
  return rows.flatMap((row: PlainObject): readonly FleetSale[] => {
    const { number, secondsAgo, kind, product, amountMsat, reason } = row;
    const reference = hexOf(row.reference);
    const isKind = SALE_KINDS.includes(kind as SaleKind);
    if (typeof number !== "number" || reference === undefined || !isKind) return [];
    return [
      {
        nodeId,
        run,
        number,
        at: Math.floor(now - (typeof secondsAgo === "number" ? secondsAgo : 0)),
        kind: kind as SaleKind,
        reference,
        ...(typeof product === "number" && { product }),
        ...(typeof amountMsat === "number" && { amountMsat }),
        ...(typeof reason === "string" && { reason }),
      },
    ];
  });
}

async function perform(parts: VisitParts, waiting: FleetRequest): Promise<void> {
  const { queue } = parts;
  // What must not be done twice is not sent again: whether it was done the first time nobody knows.
  if (waiting.kind === "action" && waiting.attempts > 0) {
    const text = "the device did not answer, and may have done it";
    await queue.fail(waiting.id, { code: "unknown-outcome", text });
    return;
  }
  const request = await queue.begin(waiting);
  try {
    await execute(parts, request);
    await queue.succeed(request.id);
  } catch (cause) {
    if (!(cause instanceof AdminRefusal)) throw cause;
    if (LATER.includes(cause.code) && request.kind !== "action") return;
    await queue.fail(request.id, failureOf(cause));
  }
}

async function execute(parts: VisitParts, request: FleetRequest): Promise<void> {
  const { nodeId, call, registry } = parts;
  const { body } = request;
  switch (request.kind) {
    case "settings":
      await call("settings.set", body.changes as PlainObject);
      return;
    case "prices":
      return executePrices(parts, String(body.revision));
    case "update":
      return executeUpdate(parts, request);
    case "action":
      await call(String(body.method), body.params as PlainObject | undefined);
      return;
  }
  throw new Error(`${nodeId} of ${registry.size}: ${request.kind} is no request`);
}

async function executePrices(
  { nodeId, call, registry, store }: VisitParts,
  revision: string,
): Promise<void> {
  const device = registry.active(nodeId);
  const { prices, status } = device ?? {};
  const isThere = prices?.revision === revision && prices.version === status?.priceListVersion;
  if (!device || isThere) return;
  const list = await blobOf(store, revision);
  const products = JSON.parse(Buffer.from(list).toString("utf8")) as readonly PricedProduct[];
  const version = await sendPrices(call, products);
  const now = registry.active(nodeId) ?? device;
  const after = now.status && { ...now.status, priceListVersion: version };
  await registry.put({ ...now, prices: { revision, version }, ...(after && { status: after }) });
}

async function executeUpdate(parts: VisitParts, request: FleetRequest): Promise<void> {
  const { nodeId, call, registry, store, onProgress } = parts;
  const { image, number } = request.body;
  const runs = registry.active(nodeId)?.status?.imageNumber ?? 0;
  if (runs >= Number(number)) return;
  const file = await blobOf(store, String(image));
  await sendUpdate(call, file, (done, total) => onProgress(request, done, total));
}

async function blobOf(store: FleetStore, digest: string): Promise<Uint8Array> {
  const bytes = await store.blob(digest);
  if (bytes) return bytes;
  throw new AdminRefusal("blob", `gone: what was to be sent (${digest}) is not kept any more`);
}

function failureOf({ code, message: text }: AdminRefusal): RequestFailure {
  if (code === "not-owner") return { code: "not-owner", text };
  return { code: "refused", deviceCode: code, text };
}

function hexOf(value: PlainValue | undefined): string | undefined {
  return value instanceof Uint8Array ? toHex(value) : undefined;
}
