/* The heap, with what it holds counted, and an allocation that fails where the straps say so. */
#include "mcu.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEADER_BYTES 8
/* An odd number: nothing else that is allocated while the image is made has as many. */
#define MAKING_STACK_BYTES (MAKING_STACK_SLOTS * 16)

/* While the image is made everything comes from here, and nothing is given back: it becomes the frozen machine. */
char *mcu_arena;
/* The making stack lies apart: only its used end goes into the image. */
char *mcu_arena_stack;

static void *take(size_t bytes) {
  if (mcu_arena) {
    if (bytes == MAKING_STACK_BYTES + HEADER_BYTES) return mcu_arena_stack;
    char *at = mcu_arena;
    mcu_arena += (bytes + 7) & ~(size_t)7;
    return at;
  }
  mcu_figures.allocations++;
  const Straps *straps = mcu_straps();
  bool fails = straps->magic == STRAPS_MAGIC && straps->failing_allocation != 0 &&
               mcu_figures.allocations == straps->failing_allocation && mcu_figures.restarts == 0;
  return fails ? NULL : malloc(bytes);
}

static void *tally(void *block, size_t bytes) {
  if (!block) return NULL;
  *(size_t *)block = bytes;
  mcu_figures.heap_bytes += bytes + HEADER_BYTES;
  if (mcu_figures.heap_bytes > mcu_figures.heap_peak) mcu_figures.heap_peak = mcu_figures.heap_bytes;
  return (char *)block + HEADER_BYTES;
}

void *mcu_malloc(size_t bytes) { return tally(take(bytes + HEADER_BYTES), bytes); }

void *mcu_calloc(size_t count, size_t size) {
  void *block = mcu_malloc(count * size);
  if (block) memset(block, 0, count * size);
  return block;
}

void mcu_free(void *pointer) {
  if (!pointer) return;
  char *block = (char *)pointer - HEADER_BYTES;
  mcu_figures.heap_bytes -= *(size_t *)block + HEADER_BYTES;
  if (!mcu_arena) free(block);
}

void *mcu_realloc(void *pointer, size_t bytes) {
  if (!pointer) return mcu_malloc(bytes);
  size_t before = *(size_t *)((char *)pointer - HEADER_BYTES);
  if (mcu_arena) {
    void *moved = mcu_malloc(bytes);
    memcpy(moved, pointer, before < bytes ? before : bytes);
    return moved;
  }
  void *grown = realloc((char *)pointer - HEADER_BYTES, bytes + HEADER_BYTES);
  if (!grown) return NULL;
  mcu_figures.heap_bytes -= before + HEADER_BYTES;
  return tally(grown, bytes);
}
