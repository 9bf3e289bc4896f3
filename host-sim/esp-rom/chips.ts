/** What the ROM loaders of three ESP chips answer about themselves (their technical reference manuals; esptool's targets). */

export type ChipName = "esp32" | "esp32s3" | "esp32c3";

export interface Chip {
  readonly name: ChipName;
  /** As in the extended header of an image. */
  readonly imageChipId: number;
  /** At 0x40001000, for loaders that go by it. */
  readonly magic: number;
  /** ESP32's ROM knows no GET_SECURITY_INFO. */
  readonly hasSecurityInfo: boolean;
  readonly bootloaderOffset: number;
  /** The SPI controller's registers: its command register, and the first word of its data. */
  readonly spi: { readonly command: number; readonly word0: number };
  /** Other registers that loaders read, with their values; all the rest read zero. */
  readonly registers: Readonly<Record<number, number>>;
  /** What the ROM prints on a start from flash. */
  readonly banner: string;
}

/** The divider from which a loader computes a crystal of 40 MHz at 115200 baud. */
const CLOCK_DIVIDER_40_MHZ = 0x15b;

export const CHIPS: Readonly<Record<ChipName, Chip>> = {
  esp32: {
    name: "esp32",
    imageChipId: 0,
    magic: 0x00f01d83,
    hasSecurityInfo: false,
    bootloaderOffset: 0x1000,
    spi: { command: 0x3ff42000, word0: 0x3ff42080 },
    registers: { 1072955412: CLOCK_DIVIDER_40_MHZ, 1073061892: 0x10c0ffee, 1073061896: 0x2462 },
    banner:
      "ets Jul 29 2019 12:21:46\r\n\r\nrst:0x1 (POWERON_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)",
  },
  esp32s3: {
    name: "esp32s3",
    imageChipId: 9,
    magic: 0x09,
    hasSecurityInfo: true,
    bootloaderOffset: 0,
    spi: { command: 0x60002000, word0: 0x60002058 },
    registers: { 1610641476: 0x10c0ffee, 1610641480: 0x2462 },
    banner:
      "ESP-ROM:esp32s3-20210327\r\nBuild:Mar 27 2021\r\nrst:0x1 (POWERON),boot:0x8 (SPI_FAST_FLASH_BOOT)",
  },
  esp32c3: {
    name: "esp32c3",
    imageChipId: 5,
    magic: 0x6921506f,
    hasSecurityInfo: true,
    bootloaderOffset: 0,
    spi: { command: 0x60002000, word0: 0x60002058 },
    registers: { 1610647620: 0x10c0ffee, 1610647624: 0x2462 },
    banner:
      "ESP-ROM:esp32c3-api1-20210207\r\nBuild:Feb  7 2021\r\nrst:0x1 (POWERON),boot:0xc (SPI_FAST_FLASH_BOOT)",
  },
};
