/* The emulated microcontroller: QEMU's "virt" board cut down to a flash, some RAM and a UART; what the platform's files share. */
#ifndef PICOBOLT_MCU_H
#define PICOBOLT_MCU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* First flash bank: code at its start, the frozen machine behind it. */
/* Second flash bank: what the device writes. */
#define NOR_ADDRESS 0x22000000u
#define NOR_SECTOR_BYTES 4096u
/* Records, and behind them settings (board.ts). */
#define NOR_BYTES (640u * 1024u)
/* Behind the partitions: a page that whoever starts the machine fills, as straps and fuses would be. */
#define STRAPS_ADDRESS (NOR_ADDRESS + 0x100000u)

/* A bundle's top level has hundreds of constants on the stack; at run time they are closures in flash. */
#define MAKING_STACK_SLOTS 8191

/* Behind what the linker places (build.ts: RAM less these 2 KB). */
#define MCU_KEPT_ADDRESS (0x80000000u + 318u * 1024u)

#define STRAPS_MAGIC 0x50535452u

typedef struct {
  uint32_t magic;
  /* This allocation of the engine's fails, counted from the start; 0: none. */
  uint32_t failing_allocation;
  /* Power fails at this step of the flash (a word programmed or erased), counted from the start; 0: at none. */
  uint32_t failing_flash_step;
  uint32_t reserved;
  /* New at each start: there is no generator in the machine. */
  uint8_t entropy[32];
  /* What the program reads as its settings. */
  uint32_t settings_length;
  uint8_t settings[3000];
} Straps;

static inline const Straps *mcu_straps(void) { return (const Straps *)STRAPS_ADDRESS; }

/* Read from outside while the machine runs (figures.ts knows this order). */
typedef struct {
  uint32_t magic;
  uint32_t heap_bytes, heap_peak, allocations;
  uint32_t chunk_bytes, chunk_peak, slot_bytes, slot_peak;
  uint32_t engine_stack_peak, c_stack_peak;
  uint32_t static_bytes, flash_steps;
  uint64_t busy_instructions;
  uint32_t received_bytes, sent_bytes, collections, restarts;
  uint64_t idle_instructions;
} Figures;
extern volatile Figures mcu_figures;
#define FIGURES_MAGIC 0x50464947u

enum { RESET_POWER, RESET_RESTART, RESET_CRASH, RESET_WATCHDOG };

/* start.c */
void uart_put(int byte);
bool uart_has(void);
int uart_get(void);
uint64_t mcu_ticks(void); /* 10 MHz */
uint32_t mcu_milliseconds(void);
uint64_t mcu_instructions(void);
void mcu_sleep(uint32_t microseconds);
size_t mcu_stack_peak(void);
void mcu_exit(int status) __attribute__((noreturn));
void mcu_reset(int reason) __attribute__((noreturn));
int mcu_reset_reason(void);
/* A line of text for whoever watches the UART; frames there stand between zero bytes. */
void mcu_print(const char *line);

/* heap.c */
void mcu_heap_figures(void);

/* nor.c: false where a bit would have to be set. */
bool nor_program(uint32_t offset, const uint8_t *bytes, uint32_t length);
void nor_erase(uint32_t sector);
bool nor_is_erased(uint32_t offset, uint32_t length);

uint32_t retained_size(void);
uint32_t retained_read(uint8_t *bytes);
void retained_write(const uint8_t *bytes, uint32_t length);

#endif
