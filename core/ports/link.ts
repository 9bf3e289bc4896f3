/** The Link port: a pipe of bytes to one other machine; untrusted, it may lose, change, repeat or delay. */
export interface Link {
  /** "pty:/dev/pts/3", "ble:aa:bb…", "memory:a" … for people. */
  readonly name: string;
  /** A stream link delivers bytes at any boundaries; a datagram link delivers whole frames. */
  readonly kind: "stream" | "datagram";
  /** Silence that worries nobody while no answer is due, in ms: where somebody else tells that the peer is gone (a broker's last will). */
  readonly quietMs?: number;
  send(bytes: Uint8Array): void;
  close(): void;
  /** Set by the one who uses the link, before the first byte may arrive. */
  onBytes: (bytes: Uint8Array) => void;
  onClosed: (reason: string) => void;
}
