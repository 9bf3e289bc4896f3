/* Serves firmware/crypto/picobolt-crypto.h over stdin and stdout: frames of big-endian lengths, so that Node can compare it with noble. */
#include "calls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "picobolt-crypto.h"

enum { MAX_PARTS = 4 };

typedef struct {
  uint8_t *data;
  size_t length;
} Part;

static uint32_t read_number(void) {
  uint8_t bytes[4];
  if (fread(bytes, 1, 4, stdin) != 4) exit(0);
  return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static void write_number(uint32_t n) {
  for (int shift = 24; shift >= 0; shift -= 8) putchar((int)(n >> shift & 0xff));
}

/* At an odd address, of exactly its length: an aligned or longer read is seen by the sanitizers. */
static Part read_part(void) {
  Part part = {NULL, read_number()};
  uint8_t *block = malloc(part.length + 1);
  if (block == NULL) exit(2);
  part.data = block + 1;
  if (part.length > 0 && fread(part.data, 1, part.length, stdin) != part.length) exit(2);
  return part;
}

/* Answers 0 (false), 1 (true) and the result, if the call has one. */
static void answer(bool done, const uint8_t *result, size_t length) {
  putchar(done ? 1 : 0);
  write_number((uint32_t)length);
  if (length > 0) fwrite(result, 1, length, stdout);
  fflush(stdout);
}

static size_t result_length(int method, const Part *p) {
  switch (method) {
    case CALL_IS_SECRET_KEY:
    case CALL_IS_PUBLIC_KEY:
    case CALL_VERIFY:
      return 0;
    case CALL_RIPEMD160:
      return 20;
    case CALL_SHA512:
    case CALL_HMAC_SHA512:
    case CALL_HKDF:
    case CALL_SIGN:
      return 64;
    case CALL_PUBLIC_KEY_OF:
    case CALL_PUBLIC_KEY_TWEAK_ADD:
    case CALL_PUBLIC_KEY_TWEAK_MULTIPLY:
    case CALL_PUBLIC_KEY_ADD:
      return 33;
    case CALL_ENCRYPT:
      return p[3].length + 16;
    case CALL_DECRYPT:
      return p[3].length - 16;
    case CALL_ENTROPY:
      return 64;
    default:
      return 32;
  }
}

static bool perform(int method, const Part *p, uint8_t *out) {
  const uint8_t *a = p[0].data, *b = p[1].data, *c = p[2].data;
  switch (method) {
    case CALL_SHA256: return picobolt_sha256(out, a, p[0].length), true;
    case CALL_SHA512: return picobolt_sha512(out, a, p[0].length), true;
    case CALL_RIPEMD160: return picobolt_ripemd160(out, a, p[0].length), true;
    case CALL_HMAC_SHA256: return picobolt_hmac_sha256(out, a, p[0].length, b, p[1].length), true;
    case CALL_HMAC_SHA512: return picobolt_hmac_sha512(out, a, p[0].length, b, p[1].length), true;
    case CALL_HKDF: return picobolt_hkdf(out, a, b, p[1].length), true;
    case CALL_IS_SECRET_KEY: return picobolt_is_secret_key(a);
    case CALL_IS_PUBLIC_KEY: return picobolt_is_public_key(a);
    case CALL_PUBLIC_KEY_OF: return picobolt_public_key_of(out, a);
    case CALL_PUBLIC_KEY_TWEAK_ADD: return picobolt_public_key_tweak_add(out, a, b);
    case CALL_PUBLIC_KEY_TWEAK_MULTIPLY: return picobolt_public_key_tweak_multiply(out, a, b);
    case CALL_PUBLIC_KEY_ADD: return picobolt_public_key_add(out, a, b);
    case CALL_SECRET_KEY_TWEAK_ADD: return picobolt_secret_key_tweak_add(out, a, b);
    case CALL_SECRET_KEY_TWEAK_MULTIPLY: return picobolt_secret_key_tweak_multiply(out, a, b);
    case CALL_SIGN: return picobolt_sign(out, a, b);
    case CALL_VERIFY: return picobolt_verify(a, b, c);
    case CALL_ECDH: return picobolt_ecdh(out, a, b);
    case CALL_ENCRYPT: return picobolt_encrypt(out, a, b, c, p[2].length, p[3].data, p[3].length), true;
    case CALL_DECRYPT: return picobolt_decrypt(out, a, b, c, p[2].length, p[3].data, p[3].length);
    case CALL_BLIND: return picobolt_blind(a), true;
    case CALL_ENTROPY: return picobolt_fill_random(out, 64);
    default: exit(3);
  }
}

int main(void) {
  for (;;) {
    Part parts[MAX_PARTS] = {{NULL, 0}};
    int method = (int)read_number();
    uint32_t count = read_number();
    if (count > MAX_PARTS) return 4;
    for (uint32_t i = 0; i < count; i++) parts[i] = read_part();
    size_t length = result_length(method, parts);
    uint8_t *out = malloc(length > 0 ? length : 1);
    if (out == NULL) return 2;
    memset(out, 0xee, length);
    bool done = perform(method, parts, out);
    answer(done, out, length);
    free(out);
    for (uint32_t i = 0; i < count; i++) free(parts[i].data - 1);
  }
}
