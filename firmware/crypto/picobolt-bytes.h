/* Numbers in byte strings, for the hashes and the cipher: no alignment needed, rotations without undefined behaviour. */
#ifndef PICOBOLT_BYTES_H
#define PICOBOLT_BYTES_H

#include <stdint.h>

static inline uint32_t rotate_left(uint32_t x, unsigned by) { return x << by | x >> (32 - by); }

static inline uint64_t rotate_right64(uint64_t x, unsigned by) { return x >> by | x << (64 - by); }

static inline uint32_t read_le32(const uint8_t *p) {
  return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline void write_le32(uint8_t *p, uint32_t x) {
  for (int i = 0; i < 4; i++) p[i] = (uint8_t)(x >> 8 * i);
}

static inline void write_le64(uint8_t *p, uint64_t x) {
  for (int i = 0; i < 8; i++) p[i] = (uint8_t)(x >> 8 * i);
}

static inline uint64_t read_be64(const uint8_t *p) {
  uint64_t x = 0;
  for (int i = 0; i < 8; i++) x = x << 8 | p[i];
  return x;
}

static inline void write_be64(uint8_t *p, uint64_t x) {
  for (int i = 0; i < 8; i++) p[i] = (uint8_t)(x >> (56 - 8 * i));
}

#endif
