/** What a broker is to tests and virtual worlds, whichever program it is. */

export interface Broker {
  readonly host: string;
  readonly port: number;
  /** `mqtt://host:port`, or `mqtts://` with TLS. */
  readonly url: string;
  /** PEM of the authority that signed its certificate. */
  readonly ca?: Uint8Array;
  /** Without a word to anybody: every connection breaks. */
  kill(): Promise<void>;
  /** On the same port, having forgotten everything. */
  restart(): Promise<void>;
  /** For good. */
  close(): Promise<void>;
}

export const BROKER_HOST = "127.0.0.1";

/** What a broker's access list lets each name do: the gateway serves all of its devices, and a device is itself alone. */
export function accessList(gateway: string): string {
  const base = `picobolt/v1/${gateway}`;
  return [
    `user ${gateway}`,
    `topic read ${base}/+/up`,
    `topic read ${base}/+/state`,
    `topic write ${base}/+/down`,
    "",
    `pattern write ${base}/%u/up`,
    `pattern write ${base}/%u/state`,
    `pattern read ${base}/%u/down`,
    "",
  ].join("\n");
}
