/** What SDK 8.2 does not offer of NimBLE in JavaScript, or offers wrongly: notifications that say when they have left, and an end that leaves nothing dangling. */

export interface BleRadio {
  /** Called on the connection; `onSent` gets NimBLE's error, 0 where it went well. Throws where nobody has subscribed. */
  bleNotify(
    this: unknown,
    characteristic: unknown,
    value: ArrayBuffer,
    onSent?: (error: number) => void,
  ): void;
  /** The radio says goodbye; the server's `onDisconnect` follows. */
  bleTerminate(connection: unknown): void;
}

/** A buffer of exactly these bytes: not every native function takes views. */
export function exact(bytes: Uint8Array): ArrayBuffer {
  return bytes.slice().buffer as ArrayBuffer;
}
