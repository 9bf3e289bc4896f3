/* Poly1305 (RFC 8439 §2.5) over data that is filled with zeroes to whole blocks, as the AEAD construction wants it. */
#ifndef PICOBOLT_POLY1305_H
#define PICOBOLT_POLY1305_H

#include <stddef.h>
#include <stdint.h>

/* Numbers of 130 bits in five limbs of 26 bits. */
typedef struct {
  uint32_t r[5];
  uint32_t sum[5];
  uint8_t s[16];
} Poly1305;

void poly1305_start(Poly1305 *poly, const uint8_t key[32]);
void poly1305_write_filled(Poly1305 *poly, const uint8_t *data, size_t length);
/* Wipes what it knew. */
void poly1305_finish(Poly1305 *poly, uint8_t tag[16]);

#endif
