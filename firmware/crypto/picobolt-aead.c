/* ChaCha20-Poly1305 (RFC 8439 §2.8): additions, rotations, exclusive ors and multiplications alone, so that time tells nothing. */
#include <string.h>

#include "picobolt-bytes.h"
#include "picobolt-crypto.h"
#include "picobolt-poly1305.h"

enum { BLOCK = 64, FIRST_BLOCK_OF_TEXT = 1 };

static void chacha20(uint8_t *out, const uint8_t key[32], const uint8_t nonce[12], uint32_t counter,
                     const uint8_t *in, size_t length);
static void tag_of(uint8_t tag[16], const uint8_t key[32], const uint8_t nonce[12],
                   const uint8_t *associated, size_t associated_length, const uint8_t *ciphertext,
                   size_t length);

void picobolt_encrypt(uint8_t *out, const uint8_t key[32], const uint8_t nonce[12],
                      const uint8_t *associated, size_t associated_length, const uint8_t *plaintext,
                      size_t length) {
  chacha20(out, key, nonce, FIRST_BLOCK_OF_TEXT, plaintext, length);
  tag_of(out + length, key, nonce, associated, associated_length, out, length);
}

bool picobolt_decrypt(uint8_t *out, const uint8_t key[32], const uint8_t nonce[12],
                      const uint8_t *associated, size_t associated_length,
                      const uint8_t *ciphertext, size_t length) {
  uint8_t tag[PICOBOLT_TAG_BYTES];
  size_t text = length - PICOBOLT_TAG_BYTES;
  uint32_t difference = 0;
  tag_of(tag, key, nonce, associated, associated_length, ciphertext, text);
  for (int i = 0; i < PICOBOLT_TAG_BYTES; i++) difference |= tag[i] ^ ciphertext[text + i];
  picobolt_wipe(tag, sizeof tag);
  if (difference != 0) return false;
  chacha20(out, key, nonce, FIRST_BLOCK_OF_TEXT, ciphertext, text);
  return true;
}

/* RFC 8439 §2.8: over the associated data and the ciphertext, each filled up to 16 bytes, and their lengths. */
static void tag_of(uint8_t tag[16], const uint8_t key[32], const uint8_t nonce[12],
                   const uint8_t *associated, size_t associated_length, const uint8_t *ciphertext,
                   size_t length) {
  static const uint8_t zeroes[32];
  uint8_t one_time_key[32], lengths[16];
  Poly1305 poly;
  chacha20(one_time_key, key, nonce, 0, zeroes, sizeof one_time_key);
  poly1305_start(&poly, one_time_key);
  poly1305_write_filled(&poly, associated, associated_length);
  poly1305_write_filled(&poly, ciphertext, length);
  write_le64(lengths, associated_length);
  write_le64(lengths + 8, length);
  poly1305_write_filled(&poly, lengths, sizeof lengths);
  poly1305_finish(&poly, tag);
  picobolt_wipe(one_time_key, sizeof one_time_key);
}

#define QUARTER_ROUND(a, b, c, d)           \
  do {                                      \
    x[a] += x[b];                           \
    x[d] = rotate_left(x[d] ^ x[a], 16);    \
    x[c] += x[d];                           \
    x[b] = rotate_left(x[b] ^ x[c], 12);    \
    x[a] += x[b];                           \
    x[d] = rotate_left(x[d] ^ x[a], 8);     \
    x[c] += x[d];                           \
    x[b] = rotate_left(x[b] ^ x[c], 7);     \
  } while (0)

/* RFC 8439 §2.4. */
static void chacha20(uint8_t *out, const uint8_t key[32], const uint8_t nonce[12], uint32_t counter,
                     const uint8_t *in, size_t length) {
  uint32_t input[16] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};
  uint32_t x[16];
  uint8_t stream[BLOCK];
  for (int i = 0; i < 8; i++) input[4 + i] = read_le32(key + 4 * i);
  for (int i = 0; i < 3; i++) input[13 + i] = read_le32(nonce + 4 * i);
  for (size_t at = 0; at < length; at += BLOCK) {
    input[12] = counter++;
    memcpy(x, input, sizeof x);
    for (int i = 0; i < 10; i++) {
      QUARTER_ROUND(0, 4, 8, 12);
      QUARTER_ROUND(1, 5, 9, 13);
      QUARTER_ROUND(2, 6, 10, 14);
      QUARTER_ROUND(3, 7, 11, 15);
      QUARTER_ROUND(0, 5, 10, 15);
      QUARTER_ROUND(1, 6, 11, 12);
      QUARTER_ROUND(2, 7, 8, 13);
      QUARTER_ROUND(3, 4, 9, 14);
    }
    for (int i = 0; i < 16; i++) write_le32(stream + 4 * i, x[i] + input[i]);
    size_t part = length - at < BLOCK ? length - at : BLOCK;
    for (size_t i = 0; i < part; i++) out[at + i] = in[at + i] ^ stream[i];
  }
  picobolt_wipe(input, sizeof input);
  picobolt_wipe(x, sizeof x);
  picobolt_wipe(stream, sizeof stream);
}
