/* The board as host functions: the global picoboltBoard of host-sim/mcu/device.ts. */
#include "mcu.h"
#include "picobolt-crypto.h"
#include "xsmc.h"

#include "xsHost.h"

#include <string.h>

static uint32_t offset_of(xsMachine *the, xsSlot *slot, uint32_t length) {
  int offset = xsmcToInteger(*slot);
  if (offset < 0 || length > NOR_BYTES || (uint32_t)offset > NOR_BYTES - length) {
    xsRangeError("%u bytes at %d are outside the flash", (unsigned)length, offset);
  }
  return (uint32_t)offset;
}

void native_print(xsMachine *the) { mcu_print(xsmcToString(xsArg(0))); }

void native_uartWrite(xsMachine *the) {
  void *bytes;
  xsUnsignedValue length;
  xsmcGetBufferReadable(xsArg(0), &bytes, &length);
  for (xsUnsignedValue i = 0; i < length; i++) uart_put(((uint8_t *)bytes)[i]);
}

void native_flashRead(xsMachine *the) {
  uint32_t length = (uint32_t)xsmcToInteger(xsArg(1));
  uint32_t offset = offset_of(the, &xsArg(0), length);
  xsmcSetArrayBuffer(xsResult, (void *)(NOR_ADDRESS + offset), (int)length);
}

void native_flashProgram(xsMachine *the) {
  void *bytes;
  xsUnsignedValue length;
  xsmcGetBufferReadable(xsArg(1), &bytes, &length);
  uint32_t offset = offset_of(the, &xsArg(0), length);
  if (!nor_program(offset, bytes, length)) xsUnknownError("the flash has to be erased first");
}

void native_flashErase(xsMachine *the) {
  int sector = xsmcToInteger(xsArg(0));
  if (sector < 0 || (uint32_t)sector >= NOR_BYTES / NOR_SECTOR_BYTES) {
    xsRangeError("there is no sector %d", sector);
  }
  nor_erase((uint32_t)sector);
}

void native_flashIsErased(xsMachine *the) {
  uint32_t length = (uint32_t)xsmcToInteger(xsArg(1));
  uint32_t offset = offset_of(the, &xsArg(0), length);
  xsmcSetBoolean(xsResult, nor_is_erased(offset, length));
}

void native_flashHolds(xsMachine *the) {
  void *bytes;
  xsUnsignedValue length;
  xsmcGetBufferReadable(xsArg(1), &bytes, &length);
  uint32_t offset = offset_of(the, &xsArg(0), length);
  xsmcSetBoolean(xsResult, memcmp((const void *)(NOR_ADDRESS + offset), bytes, length) == 0);
}

/* CRC-32 of Ethernet, half a byte at a time; going on from the checksum of the bytes before (core/primitives/crc32.ts). */
static uint32_t crc32(const uint8_t *bytes, uint32_t length, uint32_t previous) {
  static const uint32_t table[16] = {0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac,
                                     0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
                                     0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
                                     0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c};
  uint32_t crc = ~previous;
  for (; length > 0; length--) {
    crc ^= *bytes++;
    crc = table[crc & 15] ^ crc >> 4;
    crc = table[crc & 15] ^ crc >> 4;
  }
  return ~crc;
}

void native_crc32(xsMachine *the) {
  void *bytes;
  xsUnsignedValue length;
  xsmcGetBufferReadable(xsArg(0), &bytes, &length);
  uint32_t previous = (uint32_t)xsmcToNumber(xsArg(1));
  xsmcSetNumber(xsResult, crc32(bytes, length, previous));
}

void native_nowMs(xsMachine *the) { xsmcSetInteger(xsResult, (int)mcu_milliseconds()); }

void native_settings(xsMachine *the) {
  const Straps *straps = mcu_straps();
  bool isSet = straps->magic == STRAPS_MAGIC && straps->settings_length <= sizeof straps->settings;
  xsmcSetArrayBuffer(xsResult, (void *)straps->settings, isSet ? (int)straps->settings_length : 0);
}

void native_resetReason(xsMachine *the) { xsmcSetInteger(xsResult, mcu_reset_reason()); }

void native_restart(xsMachine *the) { mcu_reset(RESET_RESTART); }

void native_heapBytes(xsMachine *the) {
  xsmcSetInteger(xsResult, (int)mcu_figures.heap_bytes);
}

void native_retainedRead(xsMachine *the) {
  uint8_t bytes[1024];
  xsmcSetArrayBuffer(xsResult, bytes, (int)retained_read(bytes));
}

void native_retainedWrite(xsMachine *the) {
  void *bytes;
  xsUnsignedValue length;
  xsmcGetBufferReadable(xsArg(0), &bytes, &length);
  retained_write(bytes, length);
}

#define BOARD_FUNCTIONS(ONE) \
  ONE(print, 1)              \
  ONE(uartWrite, 1)          \
  ONE(flashRead, 2)          \
  ONE(flashProgram, 2)       \
  ONE(flashErase, 1)         \
  ONE(flashIsErased, 2)      \
  ONE(flashHolds, 2)         \
  ONE(crc32, 2)              \
  ONE(nowMs, 0)              \
  ONE(settings, 0)           \
  ONE(resetReason, 0)        \
  ONE(restart, 0)            \
  ONE(heapBytes, 0)          \
  ONE(retainedRead, 0)       \
  ONE(retainedWrite, 1)

void board_install(xsMachine *machine) {
  xsBeginHost(machine);
  xsmcVars(2);
  xsVar(0) = xsNewObject();
#define INSTALL(name, length)                               \
  xsVar(1) = xsNewHostFunction(native_##name, length);      \
  xsmcDefine(xsVar(0), xsID(#name), xsVar(1), xsDontSet | xsDontDelete);
  BOARD_FUNCTIONS(INSTALL)
  xsmcDefine(xsGlobal, xsID("picoboltBoard"), xsVar(0), xsDontEnum);
  xsEndHost(machine);
}

/* No generator in this machine: the straps bring fresh bytes at each start, and a hash chain makes more of them. */
bool picobolt_fill_random(uint8_t *out, size_t length) {
  static uint8_t state[32];
  static uint32_t drawn;
  if (mcu_straps()->magic != STRAPS_MAGIC) return false;
  if (drawn == 0) memcpy(state, mcu_straps()->entropy, sizeof state);
  while (length > 0) {
    uint8_t block[36], bytes[32];
    memcpy(block, state, 32);
    drawn++;
    uint32_t mixed = drawn ^ (mcu_figures.restarts << 24);
    memcpy(block + 32, &mixed, 4);
    picobolt_sha256(bytes, block, sizeof block);
    size_t part = length < 32 ? length : 32;
    memcpy(out, bytes, part);
    out += part;
    length -= part;
  }
  return true;
}
