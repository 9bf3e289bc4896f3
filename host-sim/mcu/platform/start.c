/* Start, console, clock and end of the bare machine (QEMU "virt": ns16550 UART, CLINT, SiFive test device). */
#include "mcu.h"

#include <stdio.h>
#include <string.h>
#include <sys/time.h>

#define UART ((volatile uint8_t *)0x10000000)
#define UART_STATUS 5
#define TEST_DEVICE (*(volatile uint32_t *)0x00100000)
#define TEST_RESET 0x7777u
#define TEST_PASS 0x5555u
#define TEST_FAIL 0x3333u
#define CLINT_TIME ((volatile uint32_t *)0x0200bff8)
#define CLINT_COMPARE ((volatile uint32_t *)0x02004000)
#define TICKS_PER_US 10u
#define TICKS_PER_MS 10000u
#define CSR(instruction) ".option push\n.option arch,+zicsr\n" instruction "\n.option pop"
/* `-icount shift=3`: the counters tell virtual nanoseconds, eight for each instruction. */
#define NS_PER_INSTRUCTION 8u

volatile Figures mcu_figures;

/* The last 2 KB of RAM are not the linker's: what is there survives a reset, and is lost with the power. */
#define RETAINED_BYTES 1024u
typedef struct {
  uint32_t magic, reason, restarts;
  uint32_t note_magic, note_length;
  uint8_t note[RETAINED_BYTES];
} Kept;
#define KEPT ((volatile Kept *)MCU_KEPT_ADDRESS)
#define KEPT_MAGIC 0x6b657074u
static uint32_t reset_reason;

void uart_put(int byte) {
  while (!(UART[UART_STATUS] & 0x20)) continue;
  UART[0] = (uint8_t)byte;
  mcu_figures.sent_bytes++;
}
bool uart_has(void) { return UART[UART_STATUS] & 1; }
int uart_get(void) {
  while (!uart_has()) continue;
  mcu_figures.received_bytes++;
  return UART[0];
}

static int put(char byte, FILE *file) {
  (void)file;
  if (byte == '\n') uart_put('\r');
  uart_put(byte);
  return byte;
}
static int get(FILE *file) {
  (void)file;
  return uart_get();
}
static FILE uart = FDEV_SETUP_STREAM(put, get, NULL, _FDEV_SETUP_RW);
FILE *const stdin = &uart, *const stdout = &uart, *const stderr = &uart;

void mcu_print(const char *line) {
  uart_put(0);
  printf("%s\n", line);
  uart_put(0);
}

uint64_t mcu_ticks(void) {
  uint32_t high, low;
  do {
    high = CLINT_TIME[1];
    low = CLINT_TIME[0];
  } while (high != CLINT_TIME[1]);
  return (uint64_t)high << 32 | low;
}
uint32_t mcu_milliseconds(void) { return (uint32_t)(mcu_ticks() / TICKS_PER_MS); }
uint32_t modMilliseconds(void) { return mcu_milliseconds(); }
int mcu_gettimeofday(struct timeval *time, void *zone) {
  uint64_t ticks = mcu_ticks();
  (void)zone;
  time->tv_sec = (time_t)(ticks / (TICKS_PER_MS * 1000));
  time->tv_usec = (suseconds_t)(ticks % (TICKS_PER_MS * 1000) / 10);
  return 0;
}

uint64_t mcu_instructions(void) {
  uint32_t high, low, again;
  do {
    __asm__ volatile(CSR("csrr %0,minstreth\ncsrr %1,minstret\ncsrr %2,minstreth")
                     : "=r"(high), "=r"(low), "=r"(again));
  } while (high != again);
  return ((uint64_t)high << 32 | low) / NS_PER_INSTRUCTION;
}

/* The core stands still and costs its host nothing. */
void mcu_sleep(uint32_t microseconds) {
  uint64_t until = mcu_ticks() + (uint64_t)microseconds * TICKS_PER_US;
  CLINT_COMPARE[1] = 0xffffffffu;
  CLINT_COMPARE[0] = (uint32_t)until;
  CLINT_COMPARE[1] = (uint32_t)(until >> 32);
  __asm__ volatile(CSR("csrw mie,%0\nwfi") ::"r"(1u << 7));
}

void mcu_exit(int status) {
  TEST_DEVICE = status ? ((uint32_t)status << 16 | TEST_FAIL) : TEST_PASS;
  for (;;) continue;
}
void _exit(int status) { mcu_exit(status); }

void mcu_reset(int reason) {
  KEPT->magic = KEPT_MAGIC;
  KEPT->reason = (uint32_t)reason;
  KEPT->restarts++;
  TEST_DEVICE = TEST_RESET;
  for (;;) continue;
}
int mcu_reset_reason(void) { return (int)reset_reason; }

/* The stack grows down from __stack; it is painted at start to see how far it ever came. */
extern char __heap_end[], __stack[], __data_start[], __bss_end[];
#define PAINT ((char)0xa5)
/* Nothing may be written here: a stack that grows through it would write over the heap. */
#define GUARD_BYTES 256u
#define GUARD ((char *)(((uintptr_t)__heap_end + GUARD_BYTES - 1) & ~(uintptr_t)(GUARD_BYTES - 1)))
char *fxCStackLimit(void) { return GUARD + GUARD_BYTES + 512; }
size_t mcu_stack_peak(void) {
  const char *at = GUARD + GUARD_BYTES;
  while (*at == PAINT) at++;
  return (size_t)(__stack - at);
}

static void trapped(uint32_t cause, uint32_t address, uint32_t value) {
  char line[96];
  snprintf(line, sizeof line, "trap: cause %u at %08x, value %08x", (unsigned)cause,
           (unsigned)address, (unsigned)value);
  mcu_print(line);
  mcu_reset(RESET_CRASH);
}
__attribute__((naked, aligned(4))) static void trap(void) {
  __asm__ volatile(CSR("csrr a0,mcause\ncsrr a1,mepc\ncsrr a2,mtval") "\nj %0" ::"i"(trapped));
}

__attribute__((constructor)) static void prepare(void) {
  /* A reset of the emulator leaves the guard of the run before in force. */
  char *at = GUARD + GUARD_BYTES, *top = __builtin_frame_address(0);
  for (; at < top - 64; at++) *at = PAINT;
  __asm__ volatile(CSR("csrw mtvec,%0") ::"r"(trap));
  /* The first bank is really read-only: a stray store traps, and is not taken for a command to the flash. */
  __asm__ volatile(CSR("csrw pmpaddr0,%0\ncsrw pmpaddr1,%1\ncsrw pmpcfg0,%2")
                   ::"r"((0x20000000u >> 2) | ((32u << 20 >> 3) - 1)),
                   "r"(((uintptr_t)GUARD >> 2) | ((GUARD_BYTES >> 3) - 1)), "r"(0x989d));
  bool is_kept = KEPT->magic == KEPT_MAGIC;
  reset_reason = is_kept ? KEPT->reason : RESET_POWER;
  if (!is_kept) KEPT->restarts = 0;
  KEPT->magic = KEPT_MAGIC;
  /* Whatever ends this run without a word is a watchdog's doing. */
  KEPT->reason = RESET_WATCHDOG;
  mcu_figures.magic = FIGURES_MAGIC;
  mcu_figures.restarts = KEPT->restarts;
  mcu_figures.static_bytes = (uint32_t)(__bss_end - __data_start);
}

/* The program's log and the reason of its last crash. */
uint32_t retained_size(void) { return RETAINED_BYTES; }
uint32_t retained_read(uint8_t *bytes) {
  uint32_t length = KEPT->note_length;
  if (KEPT->note_magic != KEPT_MAGIC || length > RETAINED_BYTES) return 0;
  memcpy(bytes, (const void *)KEPT->note, length);
  return length;
}
void retained_write(const uint8_t *bytes, uint32_t length) {
  if (length > RETAINED_BYTES) length = RETAINED_BYTES;
  KEPT->note_magic = 0;
  KEPT->note_length = length;
  memcpy((void *)KEPT->note, bytes, length);
  KEPT->note_magic = KEPT_MAGIC;
}
