/** The ESP boards that picobolt has images for: their chip, and where their ROM looks for the boot loader. */

export interface EspTarget {
  readonly board: string;
  /** As esptool-js and ESP Web Tools' manifests name it. */
  readonly chipFamily: string;
  /** In the extended header of an image (esp_app_format.h `esp_chip_id_t`). */
  readonly imageChipId: number;
  readonly bootloaderOffset: number;
  /** Where `npm run firmware -- --board …` leaves its image, in the project's folder. */
  readonly buildFolder: string;
}

const BUILDS = ".cache/firmware/bin";
const RELEASE = "release/picobolt";

const TARGETS: readonly EspTarget[] = [
  {
    board: "esp32",
    chipFamily: "ESP32",
    imageChipId: 0,
    bootloaderOffset: 0x1000,
    buildFolder: `${BUILDS}/esp32/${RELEASE}`,
  },
  {
    board: "esp32s3",
    chipFamily: "ESP32-S3",
    imageChipId: 9,
    bootloaderOffset: 0,
    buildFolder: `${BUILDS}/esp32/esp32s3/${RELEASE}`,
  },
  {
    board: "esp32c3",
    chipFamily: "ESP32-C3",
    imageChipId: 5,
    bootloaderOffset: 0,
    buildFolder: `${BUILDS}/esp32/esp32c3/${RELEASE}`,
  },
];

export const BOARD_NAMES: readonly string[] = TARGETS.map(({ board }) => board);

export function targetOf(board: string): EspTarget | undefined {
  return TARGETS.find((target) => target.board === board.toLowerCase().replace("-", ""));
}

export function familyOfChipId(imageChipId: number): string {
  const known = TARGETS.find((target) => target.imageChipId === imageChipId);
  return known?.chipFamily ?? `another chip (id ${imageChipId})`;
}
