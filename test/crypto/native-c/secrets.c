/* Runs everything that touches a secret with the secret marked as undefined: valgrind then reports each branch and address it steers. */
#include <stdio.h>
#include <string.h>
#include <valgrind/memcheck.h>

#include "picobolt-crypto.h"

static void secret(uint8_t *bytes, size_t length) { VALGRIND_MAKE_MEM_UNDEFINED(bytes, length); }

/* What leaves the function may be looked at. */
static void open_up(const void *bytes, size_t length) { VALGRIND_MAKE_MEM_DEFINED(bytes, length); }

static int done(bool result) {
  open_up(&result, sizeof result);
  return result ? 0 : 1;
}

int main(void) {
  uint8_t seed[32], key[32], tweak[32], hash[32], point[33], out[64], data[200], sealed[216];
  int failed = 0;
  for (int i = 0; i < 32; i++) seed[i] = (uint8_t)(200 - i), hash[i] = (uint8_t)(7 * i);
  memset(key, 0x5a, sizeof key);
  memset(tweak, 0x33, sizeof tweak);
  memset(data, 0x77, sizeof data);
  failed += done(picobolt_public_key_of(point, hash));
  secret(seed, sizeof seed);
  picobolt_blind(seed);
  secret(key, sizeof key);
  secret(tweak, sizeof tweak);
  secret(data, sizeof data);

  failed += done(picobolt_is_secret_key(key));
  failed += done(picobolt_public_key_of(out, key));
  failed += done(picobolt_sign(out, hash, key));
  failed += done(picobolt_ecdh(out, key, point));
  failed += done(picobolt_secret_key_tweak_add(out, key, tweak));
  failed += done(picobolt_secret_key_tweak_multiply(out, key, tweak));
  picobolt_sha256(out, data, sizeof data);
  picobolt_sha512(out, data, sizeof data);
  picobolt_ripemd160(out, data, sizeof data);
  picobolt_hmac_sha256(out, key, sizeof key, data, sizeof data);
  picobolt_hmac_sha512(out, data, sizeof data, key, sizeof key);
  picobolt_hkdf(out, key, data, 32);
  picobolt_encrypt(sealed, key, hash, hash, sizeof hash, data, sizeof data);
  open_up(sealed, sizeof sealed);
  failed += done(picobolt_decrypt(data, key, hash, hash, sizeof hash, sealed, sizeof sealed));
#ifdef LEAK
  /* Shows that the check can fail. */
  failed += key[0] == 0x5a ? 0 : 1;
#endif
  printf("%d failed\n", failed);
  return failed;
}
