/** Lists that the gateway stored as one value: what is damaged of one is put aside and told, and stops nobody else's channels. */
import { createHash } from "node:crypto";
import { decodeCbor } from "../../core/messages/cbor.ts";
import type { CborValue } from "../../core/messages/schema.ts";
import type { Store } from "../../core/ports/store.ts";

export interface ListShape<T> {
  readonly key: string;
  /** Whose list of what, as a person calls it. */
  readonly what: string;
  /** What happens without it, and what a person is to do. */
  readonly advice: string;
  /** Throws where the bytes are no list; CBOR where absent. */
  items?(bytes: Uint8Array): readonly unknown[];
  /** Throws where the item is none. */
  read(item: CborValue): T;
}

export interface StoredItems<T> {
  readonly items: readonly T[];
  /** Some or all of it could not be read. */
  readonly isDamaged: boolean;
}

/** Counts of damaged items say nothing: whatever of a list can be read is used. */
const MAX_DEPTH = 6;
const MAX_ITEMS = 10_000_000;

/** What can be read of it; the bytes of a damaged one are kept under another name before anybody writes it anew. */
export async function readList<T>(
  store: Store,
  onProblem: (text: string) => void,
  shape: ListShape<T>,
): Promise<StoredItems<T>> {
  const bytes = await store.getValue(shape.key);
  if (!bytes) return { items: [], isDamaged: false };
  const { items, fault } = itemsOf(bytes, shape);
  if (fault === undefined) return { items, isDamaged: false };
  const aside = asideOf(shape.key, bytes);
  if (!(await store.getValue(aside))) await store.setValue(aside, bytes);
  onProblem(
    `${shape.what} is damaged in the store (${fault}); its bytes are kept there as ${aside}. ${shape.advice}`,
  );
  return { items, isDamaged: true };
}

/** The items that can be read, and why one or all of them cannot be. */
export function itemsOf<T>(
  bytes: Uint8Array,
  shape: Pick<ListShape<T>, "items" | "read">,
): { readonly items: readonly T[]; readonly fault?: string } {
  const items: T[] = [];
  let fault: string | undefined;
  try {
    for (const item of (shape.items ?? cborItems)(bytes)) {
      try {
        items.push(shape.read(item as CborValue));
      } catch (cause) {
        fault ??= messageOf(cause);
      }
    }
  } catch (cause) {
    fault = messageOf(cause);
  }
  return fault === undefined ? { items } : { items, fault };
}

function cborItems(bytes: Uint8Array): readonly CborValue[] {
  const limits = { maxDepth: MAX_DEPTH, maxItems: MAX_ITEMS, maxBytes: bytes.length };
  const value = decodeCbor(bytes, limits);
  if (!Array.isArray(value)) throw new TypeError("it is no list");
  return value;
}

/** The same bytes have the same place: a start that finds them again adds nothing. */
function asideOf(key: string, bytes: Uint8Array): string {
  const digest = createHash("sha256").update(bytes).digest("hex");
  return `damaged/${key}/${digest.slice(0, 16)}`;
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
