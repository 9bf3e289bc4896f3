/** What every Store keeps, whatever it is made of: run for the ones in memory, SQLite and PostgreSQL. */
import { describe, expect, test } from "vitest";
import { StoreError, type StoreErrorCode } from "../../core/node/store-error.ts";
import type { Store, StoredChannel } from "../../core/ports/store.ts";
import { toHex } from "../../core/primitives/bytes.ts";
import {
  changeOf,
  idOf,
  packed,
  recordOf,
  referenceOf,
  versionOf,
} from "../support/store-changes.ts";

export interface StoreUnderTest {
  /** A new empty store. */
  open(): Promise<Store> | Store;
  /** The same one again after it was closed; undefined: it forgets. */
  reopen?(): Promise<Store> | Store;
}

export async function refusal(work: () => unknown): Promise<StoreErrorCode> {
  try {
    await work();
  } catch (error) {
    if (error instanceof StoreError) return error.code;
    throw error;
  }
  throw new Error("it was not refused");
}

/** The version that a channel stands at, from its bytes or from the live object that memory keeps. */
export function storedVersion(channel: StoredChannel | undefined): number | undefined {
  if (!channel) return undefined;
  const { record } = channel;
  return record instanceof Uint8Array
    ? versionOf(record)
    : (record.live as { version: number }).version;
}

export function storeContract(name: string, { open, reopen }: StoreUnderTest): void {
  describe(`${name} as a store`, () => {
    if (reopen) lasting(open, reopen);
    channels(open);
    answers(open);
  });
}

type Open = StoreUnderTest["open"];

function lasting(open: Open, reopen: Open): void {
  test("what was committed is there when it is opened again", async () => {
    const store = await open();
    await store.commit(changeOf(1, 1, { archive: [referenceOf(1), referenceOf(2)] }));
    await store.commit(changeOf(2, 1));
    await store.commit(
      changeOf(1, 2, { archive: [referenceOf(3)], credits: packed(5, 6), debits: packed(7) }),
    );
    await store.setValue("tip", Uint8Array.of(1, 2, 3));
    await store.close();
    const again = await reopen();
    expect(await again.load()).toEqual([
      {
        channelId: idOf(1),
        record: recordOf(1, 2),
        archive: [referenceOf(1), referenceOf(2), referenceOf(3)],
      },
      { channelId: idOf(2), record: recordOf(2, 1), archive: [] },
    ]);
    expect(await again.isCredited(referenceOf(6))).toBe(true);
    expect(await again.isCredited(referenceOf(7))).toBe(false);
    expect(await again.isDebited(referenceOf(7))).toBe(true);
    expect(await again.getValue("tip")).toEqual(Uint8Array.of(1, 2, 3));
    expect(await again.getValue("other")).toBeUndefined();
    await again.commit(changeOf(1, 3, { archive: [referenceOf(4)] }));
    expect((await again.load())[0]?.archive[3]).toEqual(referenceOf(4));
  });

  test("closing writes what was given, and takes nothing more", async () => {
    const store = await open();
    const last = store.commit(changeOf(1, 2));
    await store.close();
    expect(await last).toEqual({ duplicateCredits: [] });
    expect(await refusal(() => store.commit(changeOf(1, 3)))).toBe("closed");
    expect(storedVersion((await (await reopen()).load())[0])).toBe(2);
  });
}

function channels(open: Open): void {
  test("a channel that ended leaves nothing but its references", async () => {
    const store = await open();
    await store.commit(changeOf(1, 1, { archive: [referenceOf(1)], credits: packed(5) }));
    await store.commit(changeOf(1, 2, { remove: true }));
    expect(await store.load()).toEqual([]);
    expect(await store.isCredited(referenceOf(5))).toBe(true);
    await store.commit(changeOf(1, 3, { archive: [referenceOf(2)] }));
    expect((await store.load())[0]?.archive).toEqual([referenceOf(2)]);
  });

  test("a reference is credited once: duplicates are named, in small batches and in bulk", async () => {
    const store = await open();
    const numbers = Array.from({ length: 260 }, (_, i) => i);
    expect(await store.commit(changeOf(1, 1, { credits: packed(...numbers) }))).toEqual({
      duplicateCredits: [],
    });
    const mixed = Array.from({ length: 120 }, (_, i) => (i === 3 || i === 77 ? i : 1000 + i));
    const outcome = await store.commit(
      changeOf(2, 1, { credits: packed(...mixed), archive: [referenceOf(8)] }),
    );
    expect(outcome.duplicateCredits).toEqual([3, 77]);
    expect(await store.commit(changeOf(1, 2, { credits: packed(9999, 9999, 5) }))).toEqual({
      duplicateCredits: [1, 2],
    });
    const channels = await store.load();
    expect(channels.map(storedVersion)).toEqual([2, 1]);
    expect(channels[1]?.archive).toEqual([referenceOf(8)]);
  });

  test("commits of one turn keep their order and each learns its own outcome", async () => {
    const store = await open();
    const outcomes = await Promise.all([
      store.commit(changeOf(1, 1, { credits: packed(1), archive: [referenceOf(1)] })),
      store.commit(changeOf(2, 1, { credits: packed(1, 2) })),
      store.commit(changeOf(1, 2, { remove: true })),
      store.commit(changeOf(1, 3, { credits: packed(3), archive: [referenceOf(2)] })),
      store.commit(changeOf(1, 4, { debits: packed(4), archive: [referenceOf(3)] })),
    ]);
    const duplicates = outcomes.map((outcome) => outcome.duplicateCredits);
    expect(duplicates).toEqual([[], [0], [], [], []]);
    const first = (await store.load()).find((one) => toHex(one.channelId) === toHex(idOf(1)));
    expect(storedVersion(first)).toBe(4);
    expect(first?.archive).toEqual([referenceOf(2), referenceOf(3)]);
  });
}

function answers(open: Open): void {
  test("what is asked right after a commit already counts it", async () => {
    const store = await open();
    const commit = store.commit(changeOf(1, 1, { debits: packed(4), credits: packed(6) }));
    const asked = [store.isDebited(referenceOf(4)), store.isCredited(referenceOf(6))];
    expect(await Promise.all(asked)).toEqual([true, true]);
    expect(await store.isDebited(referenceOf(6))).toBe(false);
    expect(await store.load()).toHaveLength(1);
    await commit;
  });

  test("of many payments it is known whether any was debited", async () => {
    const store = await open();
    const committed = store.commit(changeOf(1, 1, { debits: packed(120) }));
    const upTo = (end: number) => packed(...Array.from({ length: end }, (_, i) => i));
    for (const count of [1, 49, 50, 51, 120]) {
      expect(await store.isAnyDebited?.(upTo(count))).toBe(false);
    }
    for (const count of [121, 150, 151]) {
      expect(await store.isAnyDebited?.(upTo(count))).toBe(true);
    }
    await committed;
  });

  test("named values are copies, and change with a channel's commit", async () => {
    const store = await open();
    const value = Uint8Array.of(1, 2, 3);
    const written = store.setValue("tip", value);
    value[0] = 9;
    await written;
    expect(await store.getValue("tip")).toEqual(Uint8Array.of(1, 2, 3));
    const values = [
      { key: "tip", bytes: Uint8Array.of(4) },
      { key: "next-key-index", bytes: Uint8Array.of(0, 0, 0, 7) },
      { key: "tip", bytes: Uint8Array.of(5) },
    ];
    await store.commit(changeOf(1, 1, { values }));
    expect(await store.getValue("tip")).toEqual(Uint8Array.of(5));
    expect(await store.getValue("next-key-index")).toEqual(Uint8Array.of(0, 0, 0, 7));
    expect(await store.getValue("other")).toBeUndefined();
  });
}
