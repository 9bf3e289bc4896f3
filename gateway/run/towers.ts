/** Watchtowers as the configuration asks: being one for others, having one. */
import { publicKey } from "../../core/primitives/brands.ts";
import { fromHex } from "../../core/primitives/bytes.ts";
import { plain } from "../api/event-json.ts";
import type { SqliteTables } from "../store/sqlite-store.ts";
import type { WatchingEvent, WatchingOptions } from "../tower/watching.ts";
import type { GatewayEvent } from "./event-hub.ts";
import type { Config } from "./settings.ts";

/** `tables`: undefined where a tower has no place: one of several processes would have a part of it. */
export function watchingOptions(config: Config, tables: SqliteTables | undefined): WatchingOptions {
  const tower = config["tower.node_id"];
  return {
    ...(config["tower.serve"] && tables && { serve: { tables } }),
    ...(tower !== undefined && { tower: publicKey(fromHex(tower)) }),
  };
}

/** What an operator must see is an alarm; the rest is for whoever follows. */
export function watchingEvent({ side, event }: WatchingEvent): GatewayEvent {
  if (event.type === "problem") return { type: "alarm", text: event.text };
  if (event.type === "broken") {
    const text = "the watchtower holds less than it signed for: channels may be unprotected";
    return { type: "alarm", text };
  }
  const { type: what, ...fields } = event;
  return { type: "tower", side, what, ...(plain(fields) as object) };
}
