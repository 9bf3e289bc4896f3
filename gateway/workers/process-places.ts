/** Where each of several processes has its API, and which of them runs a peer and its channels (docs/OPERATIONS.md "Several processes"). */
import type { ChannelId, PublicKey } from "../../core/primitives/brands.ts";
import type { PostgresStore } from "../store/postgres/postgres-store.ts";
import type { Row } from "../store/postgres/session.ts";

export interface ProcessPlace {
  readonly name: string;
  /** Undefined: it has not said, or not yet. */
  readonly url?: string;
  /** PEM: who signed its certificate; undefined: an authority that everybody knows. */
  readonly authority?: string;
}

/** Beginning of the name under which each says it in the database. */
const PLACE = "api-place/";

export class ProcessPlaces {
  constructor(private readonly store: PostgresStore) {}

  /** Of this process. */
  get name(): string {
    return this.store.leases.worker;
  }

  async announce(place: Omit<ProcessPlace, "name">): Promise<void> {
    await this.store.setValue(
      `${PLACE}${this.store.leases.worker}`,
      Buffer.from(JSON.stringify(place)),
    );
  }

  /** Another process, which lives; undefined: this one runs it, or nobody. */
  holderOf(peer: PublicKey): Promise<ProcessPlace | undefined> {
    return this.holder(HOLDER_OF_PEER, peer);
  }

  holderOfChannel(id: ChannelId): Promise<ProcessPlace | undefined> {
    return this.holder(HOLDER_OF_CHANNEL, id);
  }

  /** All others that live. */
  async others(): Promise<readonly ProcessPlace[]> {
    const { tables, workerNumber } = this.store;
    const rows = await tables.read((session) => session.query(OTHERS, [workerNumber, PLACE]));
    return rows.map(placeOf);
  }

  private async holder(
    statement: typeof HOLDER_OF_PEER,
    subject: Uint8Array,
  ): Promise<ProcessPlace | undefined> {
    const { tables, workerNumber } = this.store;
    const [row] = await tables.read((session) =>
      session.query(statement, [workerNumber, PLACE, subject]),
    );
    return row && placeOf(row);
  }
}

function placeOf({ name, value }: Row): ProcessPlace {
  const said = value ? (JSON.parse(Buffer.from(value as Uint8Array).toString()) as object) : {};
  return { name: String(name), ...said };
}

const LIVING = `SELECT w.name, s.value FROM workers w
  LEFT JOIN settings s ON s.worker = 0 AND s.name = $2 || w.name
  WHERE w.number <> $1 AND NOT w.stopped AND w.alive_until > clock_timestamp()`;
const OTHERS = { name: "other_processes", text: `${LIVING} ORDER BY w.name` };
const HOLDER_OF_PEER = {
  name: "holder_of_peer",
  text: `${LIVING} AND w.number = (SELECT worker FROM leases WHERE subject = $3)`,
};
const HOLDER_OF_CHANNEL = {
  name: "holder_of_channel",
  text: `${LIVING} AND w.number = (SELECT worker FROM leases JOIN channels USING (subject)
    WHERE channel_id = $3)`,
};
