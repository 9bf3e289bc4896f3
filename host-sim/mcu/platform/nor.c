/* NOR flash on QEMU's second bank (Intel command set): bits are only cleared, sectors of 4 KB are erased, power may fail at any word. */
#include "mcu.h"

#define BYTES ((volatile uint8_t *)NOR_ADDRESS)
#define WORDS ((volatile uint32_t *)NOR_ADDRESS)
#define COMMAND_PROGRAM 0x10
#define COMMAND_READ_ARRAY 0xff

/* QEMU's bank would set bits as well as clear them, and erases 256 KB at a time: what a chip refuses is refused here. */

static void step(void) {
  uint32_t failing = mcu_straps()->magic == STRAPS_MAGIC ? mcu_straps()->failing_flash_step : 0;
  if (++mcu_figures.flash_steps != failing || failing == 0) return;
  BYTES[0] = COMMAND_READ_ARRAY;
  mcu_print("power fails in the flash");
  mcu_exit(75);
}

static void put_word(uint32_t offset, uint32_t word) {
  step();
  WORDS[offset / 4] = COMMAND_PROGRAM;
  WORDS[offset / 4] = word;
  WORDS[offset / 4] = COMMAND_READ_ARRAY;
}

static uint32_t word_at(uint32_t offset) { return WORDS[offset / 4]; }

bool nor_program(uint32_t offset, const uint8_t *bytes, uint32_t length) {
  for (uint32_t i = 0; i < length; i++) {
    if (~BYTES[offset + i] & bytes[i]) return false;
  }
  for (uint32_t i = 0; i < length;) {
    uint32_t at = (offset + i) & ~3u, word = word_at(at);
    uint8_t *part = (uint8_t *)&word;
    for (; i < length && ((offset + i) & ~3u) == at; i++) part[(offset + i) & 3u] = bytes[i];
    put_word(at, word);
  }
  return true;
}

void nor_erase(uint32_t sector) {
  uint32_t start = sector * NOR_SECTOR_BYTES;
  for (uint32_t at = start; at < start + NOR_SECTOR_BYTES; at += 4) put_word(at, 0xffffffffu);
}

bool nor_is_erased(uint32_t offset, uint32_t length) {
  for (; length > 0 && (offset & 3u); offset++, length--) {
    if (BYTES[offset] != 0xff) return false;
  }
  for (; length >= 4; offset += 4, length -= 4) {
    if (word_at(offset) != 0xffffffffu) return false;
  }
  for (; length > 0; offset++, length--) {
    if (BYTES[offset] != 0xff) return false;
  }
  return true;
}
