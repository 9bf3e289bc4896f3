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
