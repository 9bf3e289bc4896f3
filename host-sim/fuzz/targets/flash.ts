/** The flash log on a flash that may hold anything: what it mounts it can go on with, and reads the same again. */
import { StoreError } from "../../../core/node/store-error.ts";
import { channelId } from "../../../core/primitives/brands.ts";
import { ascii, equal } from "../../../core/primitives/bytes.ts";
import { crc32 } from "../../../core/primitives/crc32.ts";
import { ERASED, type Flash } from "../../../firmware/store/flash.ts";
import { FlashLogStore } from "../../../firmware/store/flash-log.ts";
import { encodeFrame, encodeSectorHeader } from "../../../firmware/store/log-format.ts";
import { encodeItems } from "../../../firmware/store/log-items.ts";
import { type FuzzTarget, once, promise } from "../target.ts";

const SECTOR = 1024;
const SECTORS = 48;
const SIZE = SECTOR * SECTORS;
const ID = channelId(new Uint8Array(32).fill(1));

class ImageFlash implements Flash {
  readonly size = SIZE;
  readonly sectorSize = SECTOR;
  constructor(readonly image: Uint8Array) {}
  read(offset: number, length: number): Uint8Array {
    return this.image.slice(offset, offset + length);
  }
  program(offset: number, bytes: Uint8Array): void {
    bytes.forEach((byte, i) => {
      this.image[offset + i] = (this.image[offset + i] as number) & byte;
    });
  }
  erase(sector: number): void {
    this.image.fill(ERASED, sector * SECTOR, (sector + 1) * SECTOR);
  }
}

/** An image as some commits leave it. */
function used(): Uint8Array {
  const flash = new ImageFlash(new Uint8Array(SIZE).fill(ERASED));
  const store = new FlashLogStore(flash);
  for (let i = 0; i < 12; i++) commit(store, i);
  store.setValue("checkpoint", ascii("value"));
  return flash.image;
}

function commit(store: FlashLogStore, n: number): void {
  const reference = new Uint8Array(24).fill(n);
  store.commit({
    channelId: ID,
    record: () => new Uint8Array(60).fill(n),
    live: undefined,
    credits: reference,
  });
}

const usedImage = once(used);

/**
 * Steps of [what, where, …] on an image that was in use: bytes written over, sectors erased, whole frames with a right
 * checksum and any payload, sector headers with any numbers.
 */
const flashMount: FuzzTarget = {
  name: "flash-mount",
  maxBytes: 512,
  seeds: () => {
    const items = encodeItems([
      { kind: "value", key: "k", bytes: ascii("v") },
      { kind: "credits", first: 1, references: new Uint8Array(16) },
    ]);
    return [
      Uint8Array.of(0, 40, 3, 1, 2, 3),
      Uint8Array.of(1, 3),
      Uint8Array.of(2, 0, 9, 1, items.length, ...items),
      Uint8Array.of(3, 5, 7, 2),
    ];
  },
  isRefusal: (error) => error instanceof StoreError,
  run(input) {
    const image = usedImage().slice();
    distort(image, input);
    const flash = new ImageFlash(image);
    const store = new FlashLogStore(flash);
    const before = store.load().length;
    commit(store, 200);
    promise(store.load().length >= Math.max(1, before), "a commit takes nothing away");
    const again = new FlashLogStore(new ImageFlash(image.slice()));
    const record = again.load().find(({ channelId: id }) => equal(id, ID))?.record;
    const isThere = record instanceof Uint8Array && equal(record, new Uint8Array(60).fill(200));
    promise(isThere, "what was committed after a mount is there at the next");
    promise(again.isCredited(new Uint8Array(16).fill(200)), "so is what it credited");
  },
};

function distort(image: Uint8Array, input: Uint8Array): void {
  let at = 0;
  const next = () => input[at++] ?? 0;
  while (at < input.length) {
    const what = next() % 4;
    const where = (next() * 37 * 16) % SIZE;
    const sector = Math.floor(where / SECTOR);
    if (what === 0) image.set(take(input, at, next(), SIZE - where), where);
    else if (what === 1) image.fill(ERASED, sector * SECTOR, (sector + 1) * SECTOR);
    else if (what === 2) {
      const [number, index] = [next(), next()];
      const payload = take(input, at, next(), SIZE);
      const header = image.subarray(sector * SECTOR, sector * SECTOR + 8);
      const sequence = new DataView(header.slice().buffer).getUint32(4, true);
      const frame = { commit: number, index, last: index % 2 === 0, payload };
      const bytes = encodeFrame(frame, sequence, crc32);
      image.set(bytes.subarray(0, Math.max(0, SIZE - where)), where);
    } else {
      const [sequence, tail, eraseCount] = [next(), next(), next()];
      image.set(encodeSectorHeader({ sequence, tail, eraseCount }, crc32), sector * SECTOR);
    }
    if (what === 0 || what === 2) at += input[at - 1] ?? 0;
  }
}

function take(input: Uint8Array, before: number, length: number, most: number): Uint8Array {
  return input.subarray(before + 1, before + 1 + Math.min(length, most));
}

export const flashTargets: readonly FuzzTarget[] = [flashMount];
