/* Poly1305 (RFC 8439 §2.5) in limbs of 26 bits, which a 32-bit multiplier takes without branches. */
#include "picobolt-poly1305.h"

#include <string.h>

#include "picobolt-bytes.h"
#include "picobolt-crypto.h"

enum { BLOCK = 16, LIMB_BITS = 26 };
#define LIMB 0x3ffffffu

/* The limbs of 16 little-endian bytes. */
static void limbs_of(uint32_t limbs[5], const uint8_t bytes[BLOCK]) {
  limbs[0] = read_le32(bytes) & LIMB;
  limbs[1] = (read_le32(bytes + 3) >> 2) & LIMB;
  limbs[2] = (read_le32(bytes + 6) >> 4) & LIMB;
  limbs[3] = (read_le32(bytes + 9) >> 6) & LIMB;
  limbs[4] = read_le32(bytes + 12) >> 8;
}

void poly1305_start(Poly1305 *poly, const uint8_t key[32]) {
  static const uint8_t clamp[BLOCK] = {0xff, 0xff, 0xff, 0x0f, 0xfc, 0xff, 0xff, 0x0f,
                                       0xfc, 0xff, 0xff, 0x0f, 0xfc, 0xff, 0xff, 0x0f};
  uint8_t r[BLOCK];
  for (int i = 0; i < BLOCK; i++) r[i] = key[i] & clamp[i];
  limbs_of(poly->r, r);
  memset(poly->sum, 0, sizeof poly->sum);
  memcpy(poly->s, key + BLOCK, sizeof poly->s);
  picobolt_wipe(r, sizeof r);
}

/* Propagates what is above 26 bits; the top wraps around: 2^130 = 5. */
static void carry(uint32_t h[5]) {
  uint32_t over = 0;
  for (int i = 0; i < 5; i++) {
    h[i] += over;
    over = h[i] >> LIMB_BITS;
    h[i] &= LIMB;
  }
  h[0] += over * 5;
}

/* sum = (sum + block + 2^128) · r */
static void absorb(Poly1305 *poly, const uint8_t block[BLOCK]) {
  const uint32_t *r = poly->r;
  uint32_t h[5];
  uint64_t d, over = 0;
  limbs_of(h, block);
  h[4] |= 1u << 24;
  for (int i = 0; i < 5; i++) h[i] += poly->sum[i];
  for (int i = 0; i < 5; i++) {
    d = over;
    for (int j = 0; j < 5; j++) {
      uint32_t factor = j <= i ? r[i - j] : r[5 + i - j] * 5;
      d += (uint64_t)h[j] * factor;
    }
    poly->sum[i] = (uint32_t)d & LIMB;
    over = d >> LIMB_BITS;
  }
  /* `over` is below 2^32: times 5 it needs 64 bits, and its carry stays small. */
  d = poly->sum[0] + over * 5;
  poly->sum[0] = (uint32_t)d & LIMB;
  poly->sum[1] += (uint32_t)(d >> LIMB_BITS);
  picobolt_wipe(h, sizeof h);
}

void poly1305_write_filled(Poly1305 *poly, const uint8_t *data, size_t length) {
  uint8_t last[BLOCK] = {0};
  size_t rest = length % BLOCK;
  for (size_t at = 0; at + BLOCK <= length; at += BLOCK) absorb(poly, data + at);
  if (rest == 0) return;
  memcpy(last, data + length - rest, rest);
  absorb(poly, last);
  picobolt_wipe(last, sizeof last);
}

void poly1305_finish(Poly1305 *poly, uint8_t tag[16]) {
  uint32_t *h = poly->sum, reduced[5];
  carry(h);
  carry(h);
  /* h + 5 - 2^130 is h - p; it replaces h where it is not negative. */
  uint32_t over = 5;
  for (int i = 0; i < 5; i++) {
    reduced[i] = h[i] + over;
    over = reduced[i] >> LIMB_BITS;
    reduced[i] &= LIMB;
  }
  uint32_t take = 0u - over;
  for (int i = 0; i < 5; i++) h[i] = (h[i] & ~take) | (reduced[i] & take);
  uint32_t words[4] = {h[0] | h[1] << 26, h[1] >> 6 | h[2] << 20, h[2] >> 12 | h[3] << 14,
                       h[3] >> 18 | h[4] << 8};
  uint64_t sum = 0;
  for (int i = 0; i < 4; i++) {
    sum += (uint64_t)words[i] + read_le32(poly->s + 4 * i);
    write_le32(tag + 4 * i, (uint32_t)sum);
    sum >>= 32;
  }
  picobolt_wipe(poly, sizeof *poly);
  picobolt_wipe(reduced, sizeof reduced);
  picobolt_wipe(words, sizeof words);
}
