/** A map whose keys are byte strings: ids of nodes and channels. */
import { equal, toHex } from "./bytes.ts";

/** What was found last is found again without its key being spelled out, which takes a device's interpreter its time. */
export class ByteMap<V> {
  /** By the key in hexadecimal, which is all that is kept of it: a host has thousands of entries. */
  private readonly entries = new Map<string, V>();
  private last: V | undefined;
  /** A copy: the caller's may be a part of something large. */
  private lastKey = new Uint8Array(0);

  get size(): number {
    return this.entries.size;
  }

  get(key: Uint8Array): V | undefined {
    if (this.last !== undefined && equal(this.lastKey, key)) return this.last;
    const found = this.entries.get(toHex(key));
    if (found !== undefined) this.remember(key, found);
    return found;
  }

  set(key: Uint8Array, value: V): void {
    this.remember(key, value);
    this.entries.set(toHex(key), value);
  }

  delete(key: Uint8Array): void {
    this.last = undefined;
    this.entries.delete(toHex(key));
  }

  /** In the order in which they came. */
  values(): V[] {
    return Array.from(this.entries.values());
  }

  private remember(key: Uint8Array, value: V): void {
    if (this.lastKey.length !== key.length) this.lastKey = new Uint8Array(key.length);
    this.lastKey.set(key);
    this.last = value;
  }
}
