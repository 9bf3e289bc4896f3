/* RIPEMD-160 (Dobbertin, Bosselaers, Preneel 1996), for HASH160 in scripts. */
#include <string.h>

#include "picobolt-bytes.h"
#include "picobolt-crypto.h"

static void compress(uint32_t state[5], const uint8_t block[64]);

void picobolt_ripemd160(uint8_t out[20], const uint8_t *data, size_t length) {
  uint32_t state[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
  uint8_t last[128] = {0};
  size_t rest = length % 64;
  size_t whole = length - rest;
  for (size_t at = 0; at < whole; at += 64) compress(state, data + at);
  if (rest > 0) memcpy(last, data + whole, rest);
  last[rest] = 0x80;
  size_t end = rest < 56 ? 64 : 128;
  write_le64(last + end - 8, (uint64_t)length << 3);
  for (size_t at = 0; at < end; at += 64) compress(state, last + at);
  for (int i = 0; i < 5; i++) write_le32(out + 4 * i, state[i]);
}

/* Which word of the block each step takes, and how far it rotates: left line, then right line. */
static const uint8_t WORDS[2][80] = {
    {0, 1,  2,  3, 4, 5,  6, 7, 8,  9,  10, 11, 12, 13, 14, 15, 7, 4, 13, 1,  10, 6, 15, 3,  12, 0, 9,
     5, 2,  14, 11, 8, 3, 10, 14, 4, 9, 15, 8,  1,  2,  7,  0,  6, 13, 11, 5, 12, 1, 9,  11, 10, 0, 8,
     12, 4, 13, 3, 7, 15, 14, 5, 6,  2, 4,  0,  5,  9,  7,  12, 2, 10, 14, 1, 3,  8, 11, 6,  15, 13},
    {5, 14, 7,  0, 9, 2,  11, 4, 13, 6, 15, 8,  1,  10, 3,  12, 6, 11, 3, 7, 0,  13, 5,  10, 14, 15, 8,
     12, 4, 9,  1, 2, 15, 5,  1, 3,  7, 14, 6,  9,  11, 8,  12, 2, 10, 0, 4, 13, 8,  6,  4,  1,  3,  11,
     15, 0, 5,  12, 2, 13, 9, 7, 10, 14, 12, 15, 10, 4, 1,  5,  8, 7,  6, 2, 13, 14, 0,  3,  9,  11},
};
static const uint8_t TURNS[2][80] = {
    {11, 14, 15, 12, 5, 8,  7,  9,  11, 13, 14, 15, 6,  7,  9,  8,  7,  6,  8,  13, 11, 9,  7,  15, 7,  12, 15,
     9,  11, 7,  13, 12, 11, 13, 6, 7,  14, 9,  13, 15, 14, 8,  13, 6,  5,  12, 7,  5,  11, 12, 14, 15, 14, 15,
     9,  8,  9,  14, 5,  6,  8,  6, 5,  12, 9,  15, 5,  11, 6,  8,  13, 12, 5,  12, 13, 14, 11, 8,  5,  6},
    {8,  9,  9,  11, 13, 15, 15, 5,  7,  7,  8,  11, 14, 14, 12, 6, 9,  13, 15, 7,  12, 8, 9,  11, 7,  7,  12,
     7,  6,  15, 13, 11, 9,  7,  15, 11, 8,  6,  6,  14, 12, 13, 5, 14, 13, 13, 7,  5,  15, 5,  8,  11, 14, 14,
     6,  14, 6,  9,  12, 9,  12, 5,  15, 8,  8,  5,  12, 9,  12, 5, 14, 6,  8,  13, 6,  5, 15, 13, 11, 11},
};
static const uint32_t ADDED[2][5] = {
    {0x00000000, 0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xa953fd4e},
    {0x50a28be6, 0x5c4dd124, 0x6d703ef3, 0x7a6d76e9, 0x00000000},
};

static uint32_t mix(int round, uint32_t x, uint32_t y, uint32_t z) {
  switch (round) {
    case 0:
      return x ^ y ^ z;
    case 1:
      return (x & y) | (~x & z);
    case 2:
      return (x | ~y) ^ z;
    case 3:
      return (x & z) | (y & ~z);
    default:
      return x ^ (y | ~z);
  }
}

static void compress(uint32_t state[5], const uint8_t block[64]) {
  uint32_t lines[2][5];
  for (int line = 0; line < 2; line++) {
    uint32_t *s = lines[line];
    memcpy(s, state, 5 * sizeof *s);
    for (int i = 0; i < 80; i++) {
      int round = i / 16;
      uint32_t f = mix(line == 0 ? round : 4 - round, s[1], s[2], s[3]);
      uint32_t sum = s[0] + f + read_le32(block + 4 * WORDS[line][i]) + ADDED[line][round];
      uint32_t turned = rotate_left(sum, TURNS[line][i]) + s[4];
      s[0] = s[4];
      s[4] = s[3];
      s[3] = rotate_left(s[2], 10);
      s[2] = s[1];
      s[1] = turned;
    }
  }
  uint32_t first = state[1] + lines[0][2] + lines[1][3];
  state[1] = state[2] + lines[0][3] + lines[1][4];
  state[2] = state[3] + lines[0][4] + lines[1][0];
  state[3] = state[4] + lines[0][0] + lines[1][1];
  state[4] = state[0] + lines[0][1] + lines[1][2];
  state[0] = first;
}
