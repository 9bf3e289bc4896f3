/** What is to be written, read from a folder with an ESP Web Tools manifest or from one file, and checked. */
import { existsSync, readFileSync, statSync } from "node:fs";
import { basename, join, resolve, sep } from "node:path";
import { EXIT, Failure } from "../failure.ts";
import type { EspTarget } from "./boards.ts";
import { imageProblem } from "./esp-image.ts";
import {
  isApp,
  isOtaData,
  isPrecious,
  overlaps,
  type Partition,
  parsePartitions,
  TABLE_OFFSET,
} from "./partitions.ts";

export interface Part {
  /** For people: the file's name. */
  readonly name: string;
  readonly address: number;
  readonly data: Uint8Array;
}

export interface Firmware {
  readonly name: string;
  readonly version: string;
  readonly parts: readonly Part[];
  /** Of the image's own table; absent where it brings none. */
  readonly partitions?: readonly Partition[];
}

const MANIFEST = "manifest.json";
/** What a build of Moddable's leaves in its folder. */
const BUILD = {
  bootloader: "bootloader.bin",
  partitions: "partition-table.bin",
  program: "xs_esp32.bin",
  otaData: "ota_data_initial.bin",
} as const;
const ERASED = 0xff;
const MAX_PART_BYTES = 16 * 1024 * 1024;
const MAX_PARTS = 16;

/** Throws a Failure that names the file and what is wrong with it. */
export function readFirmware(
  path: string,
  target: EspTarget,
  address: number | undefined,
): Firmware {
  if (!existsSync(path)) {
    throw new Failure(
      `there is no image at ${path}; build one (npm run firmware -- --board ${target.board}) or name it with --image`,
      EXIT.refused,
    );
  }
  const firmware = readParts(path, target, address);
  const table = firmware.parts.find((part) => part.address === TABLE_OFFSET);
  const partitions = table && parsePartitions(table.data);
  if (table && !partitions) bad(table.name, "is no whole partition table");
  const checked = {
    ...firmware,
    parts: [...firmware.parts, ...erasedOtaData(firmware, partitions)].sort(byAddress),
    ...(partitions && { partitions }),
  };
  for (const part of checked.parts) checkPart(part, checked, target);
  return checked;
}

/** An update over the air may have left the other program as the one that starts: what is written now must start. */
function erasedOtaData({ parts }: Firmware, partitions: Firmware["partitions"]): readonly Part[] {
  const otaData = partitions?.find(isOtaData);
  if (!otaData || parts.some((part) => overlaps(otaData, part))) return [];
  const data = new Uint8Array(otaData.size).fill(ERASED);
  return [{ name: `${otaData.name} (erased)`, address: otaData.offset, data }];
}

function readParts(path: string, target: EspTarget, address: number | undefined): Firmware {
  if (!statSync(path).isDirectory()) return fromFile(path, address);
  if (existsSync(join(path, MANIFEST))) return fromManifest(path, target);
  if (existsSync(join(path, BUILD.program))) return fromBuild(path, target);
  throw new Failure(
    `${path} has neither a ${MANIFEST} nor a ${BUILD.program}: it is no image folder`,
    EXIT.refused,
  );
}

/** As Moddable's mcconfig leaves it: file names say what they are, the partition table where they go. */
function fromBuild(folder: string, target: EspTarget): Firmware {
  const table = readPart(join(folder, BUILD.partitions));
  const partitions = parsePartitions(table) ?? bad(BUILD.partitions, "is no whole partition table");
  const program = partitions.find(isApp) ?? bad(BUILD.partitions, "has no place for a program");
  const otaData = partitions.find(isOtaData);
  const places: readonly (readonly [string, number])[] = [
    [BUILD.bootloader, target.bootloaderOffset],
    [BUILD.partitions, TABLE_OFFSET],
    [BUILD.program, program.offset],
    ...(otaData && existsSync(join(folder, BUILD.otaData))
      ? [[BUILD.otaData, otaData.offset] as const]
      : []),
  ];
  const parts = places.map(([name, address]) => ({
    name,
    address,
    data: readPart(join(folder, name)),
  }));
  return { name: basename(folder), version: "", parts: parts.sort(byAddress) };
}

function fromFile(path: string, address: number | undefined): Firmware {
  if (address === undefined) {
    throw new Failure(
      `${path} is one file: say where it goes with --address (0x10000 is the usual place of a program)`,
      EXIT.usage,
    );
  }
  const name = basename(path);
  return { name, version: "", parts: [{ name, address, data: readPart(path) }] };
}

interface Manifest {
  readonly name?: unknown;
  readonly version?: unknown;
  readonly builds?: readonly { readonly chipFamily?: unknown; readonly parts?: unknown }[];
}

function fromManifest(folder: string, target: EspTarget): Firmware {
  const file = join(folder, MANIFEST);
  const manifest = parseManifest(file);
  const build = manifest.builds?.find(({ chipFamily }) => chipFamily === target.chipFamily);
  if (!build) {
    const has = manifest.builds?.map(({ chipFamily }) => chipFamily).join(", ") || "nothing";
    throw new Failure(
      `the image in ${folder} is for ${has}, not for ${target.chipFamily}; choose another --image or --board`,
      EXIT.refused,
    );
  }
  const parts = Array.isArray(build.parts) ? (build.parts as unknown[]) : [];
  if (parts.length === 0 || parts.length > MAX_PARTS) bad(file, `names ${parts.length} parts`);
  return {
    name: String(manifest.name ?? basename(folder)),
    version: String(manifest.version ?? ""),
    parts: parts.map((part) => manifestPart(folder, file, part)).sort(byAddress),
  };
}

function parseManifest(file: string): Manifest {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as Manifest;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    return bad(file, `is no JSON (${reason})`);
  }
}

function manifestPart(folder: string, file: string, part: unknown): Part {
  const { path, offset } = (part ?? {}) as { path?: unknown; offset?: unknown };
  if (typeof path !== "string" || !Number.isSafeInteger(offset) || (offset as number) < 0) {
    return bad(file, "has a part without a path or an offset");
  }
  const full = resolve(folder, path);
  if (!full.startsWith(resolve(folder) + sep))
    return bad(file, `points out of its folder: ${path}`);
  return { name: path, address: offset as number, data: readPart(full) };
}

function readPart(path: string): Uint8Array {
  if (!existsSync(path)) return bad(path, "is missing");
  const { size } = statSync(path);
  if (size === 0 || size > MAX_PART_BYTES) return bad(path, `has ${size} bytes`);
  return new Uint8Array(readFileSync(path));
}

function byAddress(a: Part, b: Part): number {
  return a.address - b.address;
}

function checkPart(part: Part, firmware: Firmware, target: EspTarget): void {
  const { parts, partitions = [] } = firmware;
  const end = part.address + part.data.length;
  if (part.address % 4096 !== 0) bad(part.name, `goes to ${hex(part.address)}, inside a sector`);
  const next = parts[parts.indexOf(part) + 1];
  if (next && end > next.address) bad(part.name, `runs into ${next.name} at ${hex(next.address)}`);
  const home = partitions.find((one) => overlaps(one, part));
  if (home && isPrecious(home)) {
    bad(
      part.name,
      `would overwrite the partition "${home.name}", which holds the device's own data`,
    );
  }
  if (home && end > home.offset + home.size) {
    const room = home.size - (part.address - home.offset);
    bad(part.name, `has ${part.data.length} bytes, the partition "${home.name}" has ${room}`);
  }
  const isProgram = part.address === target.bootloaderOffset || (home !== undefined && isApp(home));
  // One file with an address of its own is a program wherever no table says what is there.
  if (isProgram || (partitions.length === 0 && part.address !== TABLE_OFFSET)) {
    const problem = imageProblem(part.data, target.imageChipId);
    if (problem) bad(part.name, problem);
  }
}

function bad(name: string, what: string): never {
  throw new Failure(`${name} ${what}; nothing was written, build the image again`, EXIT.refused);
}

export function hex(address: number): string {
  return `0x${address.toString(16)}`;
}
