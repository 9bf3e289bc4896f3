/* memcpy, memmove and memset by words: the C library's go byte by byte, at six instructions each. */
#include <stddef.h>
#include <stdint.h>

#define WORD sizeof(uint32_t)
#define LINE (8 * WORD)
/* The compiler must not make calls of these functions out of their own loops. */
#define BY_HAND __attribute__((optimize("O2", "no-tree-loop-distribute-patterns")))
typedef uint32_t __attribute__((may_alias)) word;

static inline int is_even(const void *a, const void *b) {
  return (((uintptr_t)a ^ (uintptr_t)b) & (WORD - 1)) == 0;
}

BY_HAND static void *copy_up(void *to, const void *from, size_t length) {
  uint8_t *out = to;
  const uint8_t *in = from;
  if (length >= LINE && is_even(to, from)) {
    for (; (uintptr_t)out & (WORD - 1); length--) *out++ = *in++;
    for (; length >= LINE; length -= LINE, out += LINE, in += LINE) {
      word *w = (word *)out;
      const word *r = (const word *)in;
      word a = r[0], b = r[1], c = r[2], d = r[3], e = r[4], f = r[5], g = r[6], h = r[7];
      w[0] = a, w[1] = b, w[2] = c, w[3] = d, w[4] = e, w[5] = f, w[6] = g, w[7] = h;
    }
    for (; length >= WORD; length -= WORD, out += WORD, in += WORD) *(word *)out = *(const word *)in;
  }
  for (; length >= 4; length -= 4, out += 4, in += 4) {
    uint8_t a = in[0], b = in[1], c = in[2], d = in[3];
    out[0] = a, out[1] = b, out[2] = c, out[3] = d;
  }
  while (length-- > 0) *out++ = *in++;
  return to;
}

BY_HAND static void *copy_down(void *to, const void *from, size_t length) {
  uint8_t *out = (uint8_t *)to + length;
  const uint8_t *in = (const uint8_t *)from + length;
  if (length >= LINE && is_even(to, from)) {
    for (; (uintptr_t)out & (WORD - 1); length--) *--out = *--in;
    for (; length >= WORD; length -= WORD) {
      out -= WORD, in -= WORD;
      *(word *)out = *(const word *)in;
    }
  }
  while (length-- > 0) *--out = *--in;
  return to;
}

BY_HAND void *memcpy(void *to, const void *from, size_t length) { return copy_up(to, from, length); }

BY_HAND void *memmove(void *to, const void *from, size_t length) {
  /* Behind its source, or apart from it: each byte is read before it is written over. */
  return (uintptr_t)to - (uintptr_t)from >= length ? copy_up(to, from, length)
                                                   : copy_down(to, from, length);
}

BY_HAND void *memset(void *to, int byte, size_t length) {
  uint8_t *out = to;
  if (length >= WORD) {
    word all = (uint8_t)byte * 0x01010101u;
    for (; (uintptr_t)out & (WORD - 1); length--) *out++ = (uint8_t)byte;
    for (; length >= LINE; length -= LINE, out += LINE) {
      word *w = (word *)out;
      w[0] = all, w[1] = all, w[2] = all, w[3] = all, w[4] = all, w[5] = all, w[6] = all, w[7] = all;
    }
    for (; length >= WORD; length -= WORD, out += WORD) *(word *)out = all;
  }
  while (length-- > 0) *out++ = (uint8_t)byte;
  return to;
}
