/** A scripted life of a flash store, and a model that says what the store must hold after each step of it. */
import type { FlashLogStore } from "../../firmware/store/flash-log.ts";
import { SECTOR_BYTES } from "../../host-sim/flash/nor-flash.ts";
import { changeOf, packed, recordOf, referenceOf, versionOf } from "./store-changes.ts";

export const SMALL_FLASH = 16 * SECTOR_BYTES;

export type Step =
  | {
      readonly kind: "commit";
      readonly channel: number;
      readonly version: number;
      readonly length: number;
      readonly archive: readonly number[];
      readonly credits: readonly number[];
      readonly debits: readonly number[];
    }
  | { readonly kind: "remove"; readonly channel: number }
  | { readonly kind: "value"; readonly key: string; readonly version: number };

/** What a store is seen to hold, in a form that can be compared. */
export interface Seen {
  readonly channels: Readonly<Record<number, { version: number; archive: readonly number[] }>>;
  readonly values: Readonly<Record<string, number>>;
  readonly credits: readonly number[];
  readonly debits: readonly number[];
}

export const NOTHING: Seen = { channels: {}, values: {}, credits: [], debits: [] };

/** Several channels, records of many sizes (one spans sectors), batches, archives, an ending, values; compacts often. */
export function script(length: number): readonly Step[] {
  const steps: Step[] = [];
  for (let i = 0; i < length; i++) {
    if (i % 11 === 10) steps.push({ kind: "value", key: `name${i % 3}`, version: i });
    else if (i % 41 === 40) steps.push({ kind: "remove", channel: 4 });
    else {
      const channel = i % 41 > 30 && i % 3 === 0 ? 4 : i % 3;
      steps.push({
        kind: "commit",
        channel,
        version: i + 1,
        length: i % 29 === 7 ? 5000 : 200 + ((i * 37) % 700),
        archive: i % 17 === 3 && i < 120 ? [i, i + 1000] : [],
        credits: i % 4 === 1 ? [i, i + 10_000] : [],
        debits: i % 5 === 2 ? [i] : [],
      });
    }
  }
  return steps;
}

export function perform(store: FlashLogStore, step: Step): void {
  switch (step.kind) {
    case "remove":
      store.commit(changeOf(step.channel, 0, { remove: true }));
      return;
    case "value":
      store.setValue(step.key, recordOf(0, step.version, 50));
      return;
    case "commit":
      store.commit(
        changeOf(step.channel, step.version, {
          length: step.length,
          archive: step.archive.map((n) => recordOf(0, n, 60)),
          credits: packed(...step.credits),
          debits: packed(...step.debits),
        }),
      );
  }
}

export function expected(before: Seen, step: Step): Seen {
  switch (step.kind) {
    case "remove": {
      const { [step.channel]: _, ...channels } = before.channels;
      return { ...before, channels };
    }
    case "value":
      return { ...before, values: { ...before.values, [step.key]: step.version } };
    case "commit": {
      const archive = [...(before.channels[step.channel]?.archive ?? []), ...step.archive];
      const channel = { version: step.version, archive };
      return {
        ...before,
        channels: { ...before.channels, [step.channel]: channel },
        credits: [...before.credits, ...step.credits].slice(-REMEMBERED),
        debits: [...before.debits, ...step.debits].slice(-REMEMBERED),
      };
    }
  }
}

/** The model forgets what a store may forget: the window of a small flash. */
const REMEMBERED = 128;

/** Mounts `flash` and reads all of it; fails where a record is not exactly what was once written. */
export function seen(store: FlashLogStore, model: readonly Seen[]): Seen {
  const channels: Record<number, { version: number; archive: readonly number[] }> = {};
  for (const { channelId, record, archive } of store.load()) {
    const channel = new DataView(channelId.buffer).getUint32(28);
    const bytes = record as Uint8Array;
    const version = versionOf(bytes);
    const written = recordOf(channel, version, bytes.length);
    if (!written.every((byte, i) => byte === bytes[i])) throw new Error("a record is garbage");
    channels[channel] = { version, archive: archive.map(versionOf) };
  }
  const values: Record<string, number> = {};
  for (const key of ["name0", "name1", "name2"]) {
    const value = store.getValue(key);
    if (value) values[key] = versionOf(value);
  }
  const asked = (of: "credits" | "debits") => [...new Set(model.flatMap((each) => each[of]))];
  return {
    channels,
    values,
    credits: asked("credits").filter((n) => store.isCredited(referenceOf(n))),
    debits: asked("debits").filter((n) => store.isDebited(referenceOf(n))),
  };
}
