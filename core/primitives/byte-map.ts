/** A map whose keys are byte strings: ids of nodes and channels. */
import { equal, toHex } from "./bytes.ts";

interface Entry<V> {
  readonly key: Uint8Array;
  readonly value: V;
}

/** What was found last is found again without its key being spelled out, which takes a device's interpreter its time. */
export class ByteMap<V> {
  private readonly entries = new Map<string, Entry<V>>();
  private last: Entry<V> | undefined;

  get size(): number {
    return this.entries.size;
  }

  get(key: Uint8Array): V | undefined {
    if (this.last && equal(this.last.key, key)) return this.last.value;
    const found = this.entries.get(toHex(key));
    if (found) this.last = found;
    return found?.value;
  }

  set(key: Uint8Array, value: V): void {
    // A copy: the caller's may be a part of something large.
    this.last = { key: key.slice(), value };
    this.entries.set(toHex(key), this.last);
  }

  delete(key: Uint8Array): void {
    this.last = undefined;
    this.entries.delete(toHex(key));
  }

  /** In the order in which they came. */
  values(): V[] {
    return Array.from(this.entries.values(), ({ value }) => value);
  }
}
