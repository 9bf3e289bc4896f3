/* What libsecp256k1 does for us: the curve (SEC 1, RFC 6979), and SHA-256 with its HMAC (FIPS 180-4, RFC 2104, RFC 5869). */

/*
 * The library's sources (npm package secp256k1, src/secp256k1) are one translation unit by design; this is it, in
 * their smallest form. The include path leads to its folder alone: its src/ holds a util.h and a hash.h that others
 * would find. Fields and scalars of 32-bit words everywhere: what is tested on a host is what a device runs.
 */
#define USE_NUM_NONE 1
#define USE_FIELD_10X26 1
#define USE_FIELD_INV_BUILTIN 1
#define USE_SCALAR_8X32 1
#define USE_SCALAR_INV_BUILTIN 1
#define USE_ENDOMORPHISM 1
#define USE_EXTERNAL_DEFAULT_CALLBACKS 1
#define ECMULT_WINDOW_SIZE 4

#if defined(__GNUC__) && !defined(__clang__)
/* Left alone, GCC turns carries such as `c += (a < b) ? 1 : 0` into branches, which tell of secrets (test/crypto/native-c-secrets.test.ts). */
#pragma GCC optimize("no-thread-jumps", "no-split-paths", "no-tree-vrp", "no-tree-dominator-opts")
#endif
#if defined(__GNUC__)
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wunused-parameter"
#pragma GCC diagnostic ignored "-Wpragmas"
#pragma GCC diagnostic ignored "-Wnonnull-compare"
#endif

#include "include/secp256k1.h"
#include "picobolt-comb.h"
#include "src/secp256k1.c"

#include "picobolt-window.h"

#include "picobolt-crypto.h"

static const secp256k1_context *curve(void);
static bool parsed(secp256k1_pubkey *key, const uint8_t point[33]);
static bool serialized(uint8_t out[33], const secp256k1_pubkey *key, bool valid);
static void scrub_stack(void);
static bool secret_result(uint8_t out[32], bool valid);

/* More than the deepest call that a secret goes down with takes on rv32 (gcc -fstack-usage). */
enum { SCRUBBED_STACK_BYTES = 2048 };

bool picobolt_is_secret_key(const uint8_t secret[32]) {
  return secp256k1_ec_seckey_verify(curve(), secret);
}

bool picobolt_is_public_key(const uint8_t key[33]) {
  secp256k1_pubkey point;
  return parsed(&point, key);
}

bool picobolt_public_key_of(uint8_t out[33], const uint8_t secret[32]) {
  secp256k1_pubkey key;
  bool done = serialized(out, &key, secp256k1_ec_pubkey_create(curve(), &key, secret));
  scrub_stack();
  return done;
}

bool picobolt_public_key_tweak_add(uint8_t out[33], const uint8_t point[33],
                                   const uint8_t tweak[32]) {
  secp256k1_pubkey key;
  bool valid = parsed(&key, point) && secp256k1_ec_pubkey_tweak_add(curve(), &key, tweak);
  return serialized(out, &key, valid);
}

bool picobolt_public_key_tweak_multiply(uint8_t out[33], const uint8_t point[33],
                                        const uint8_t tweak[32]) {
  secp256k1_pubkey key;
  bool valid = parsed(&key, point) && secp256k1_ec_pubkey_tweak_mul(curve(), &key, tweak);
  return serialized(out, &key, valid);
}

bool picobolt_public_key_add(uint8_t out[33], const uint8_t a[33], const uint8_t b[33]) {
  secp256k1_pubkey first, second, sum;
  const secp256k1_pubkey *both[] = {&first, &second};
  bool valid = parsed(&first, a) && parsed(&second, b) &&
               secp256k1_ec_pubkey_combine(curve(), &sum, both, 2);
  return serialized(out, &sum, valid);
}

/* The library would take a secret beyond the order modulo the order. */
bool picobolt_secret_key_tweak_add(uint8_t out[32], const uint8_t secret[32],
                                   const uint8_t tweak[32]) {
  memcpy(out, secret, 32);
  return secret_result(out, picobolt_is_secret_key(secret) &&
                                secp256k1_ec_privkey_tweak_add(curve(), out, tweak));
}

bool picobolt_secret_key_tweak_multiply(uint8_t out[32], const uint8_t secret[32],
                                        const uint8_t tweak[32]) {
  memcpy(out, secret, 32);
  return secret_result(out, picobolt_is_secret_key(secret) &&
                                secp256k1_ec_privkey_tweak_mul(curve(), out, tweak));
}

bool picobolt_sign(uint8_t out[64], const uint8_t hash[32], const uint8_t secret[32]) {
  secp256k1_ecdsa_signature signature;
  secp256k1_scalar message;
  uint8_t reduced[32];
  /* RFC 6979 §3.2 d feeds the hash modulo the order to the nonce; this libsecp256k1 feeds it as it is. */
  secp256k1_scalar_set_b32(&message, hash, NULL);
  secp256k1_scalar_get_b32(reduced, &message);
  bool done = secp256k1_ecdsa_sign(curve(), &signature, reduced, secret, NULL, NULL);
  secp256k1_ecdsa_signature_serialize_compact(curve(), out, &signature); /* zeroes where it failed */
  scrub_stack();
  return done;
}

bool picobolt_verify(const uint8_t signature[64], const uint8_t hash[32], const uint8_t key[33]) {
  secp256k1_ecdsa_signature rs;
  secp256k1_pubkey point;
  return secp256k1_ecdsa_signature_parse_compact(curve(), &rs, signature) && parsed(&point, key) &&
         secp256k1_ecdsa_verify(curve(), &rs, hash, &point);
}

bool picobolt_ecdh(uint8_t out[32], const uint8_t secret[32], const uint8_t point[33]) {
  secp256k1_pubkey key;
  secp256k1_ge at;
  secp256k1_gej product;
  secp256k1_scalar scalar;
  uint8_t shared[PICOBOLT_PUBLIC_KEY_BYTES];
  memset(out, 0, 32);
  if (!picobolt_is_secret_key(secret) || !parsed(&key, point)) return false;
  secp256k1_pubkey_load(curve(), &at, &key);
  secp256k1_scalar_set_b32(&scalar, secret, NULL);
  window_multiply(&product, &at, &scalar);
  secp256k1_ge_set_gej(&at, &product);
  secp256k1_fe_normalize(&at.x);
  secp256k1_fe_normalize(&at.y);
  shared[0] = (uint8_t)(2 | secp256k1_fe_is_odd(&at.y));
  secp256k1_fe_get_b32(shared + 1, &at.x);
  picobolt_sha256(out, shared, sizeof shared);
  picobolt_wipe(shared, sizeof shared);
  secp256k1_scalar_clear(&scalar);
  secp256k1_gej_clear(&product);
  secp256k1_ge_clear(&at);
  scrub_stack();
  return true;
}

void picobolt_sha256(uint8_t out[32], const uint8_t *data, size_t length) {
  secp256k1_sha256 hash;
  secp256k1_sha256_initialize(&hash);
  if (length > 0) secp256k1_sha256_write(&hash, data, length);
  secp256k1_sha256_finalize(&hash, out);
  picobolt_wipe(&hash, sizeof hash);
}

void picobolt_hmac_sha256(uint8_t out[32], const uint8_t *key, size_t key_length,
                          const uint8_t *data, size_t length) {
  static const uint8_t none;
  secp256k1_hmac_sha256 hmac;
  secp256k1_hmac_sha256_initialize(&hmac, key_length > 0 ? key : &none, key_length);
  if (length > 0) secp256k1_hmac_sha256_write(&hmac, data, length);
  secp256k1_hmac_sha256_finalize(&hmac, out);
  picobolt_wipe(&hmac, sizeof hmac);
}

void picobolt_hkdf(uint8_t out[64], const uint8_t salt[32], const uint8_t *material, size_t length) {
  static const uint8_t one = 1;
  uint8_t extracted[32], second[33];
  picobolt_hmac_sha256(extracted, salt, 32, material, length);
  picobolt_hmac_sha256(out, extracted, sizeof extracted, &one, 1);
  memcpy(second, out, 32);
  second[32] = 2;
  picobolt_hmac_sha256(out + 32, extracted, sizeof extracted, second, sizeof second);
  picobolt_wipe(extracted, sizeof extracted);
  picobolt_wipe(second, sizeof second);
}

/* The library's context and its two small tables of odd multiples of G and of 2^128·G: no heap. */
static union {
  secp256k1_context context; /* for its alignment */
  uint8_t bytes[ROUND_TO_ALIGN(sizeof(secp256k1_context)) +
                2 * ROUND_TO_ALIGN(sizeof(secp256k1_ge_storage) * ECMULT_TABLE_SIZE(WINDOW_G))];
} memory;
static secp256k1_context *context;

void picobolt_blind(const uint8_t seed[32]) {
  if (context == NULL) {
    context = secp256k1_context_preallocated_create(
        memory.bytes, SECP256K1_CONTEXT_SIGN | SECP256K1_CONTEXT_VERIFY);
  }
  if (seed != NULL && !secp256k1_context_randomize(context, seed)) return;
  scrub_stack();
}

static const secp256k1_context *curve(void) {
  uint8_t seed[32];
  if (context != NULL) return context;
  picobolt_blind(picobolt_fill_random(seed, sizeof seed) ? seed : NULL);
  picobolt_wipe(seed, sizeof seed);
  return context;
}

static bool parsed(secp256k1_pubkey *key, const uint8_t point[33]) {
  return secp256k1_ec_pubkey_parse(curve(), key, point, PICOBOLT_PUBLIC_KEY_BYTES);
}

static bool serialized(uint8_t out[33], const secp256k1_pubkey *key, bool valid) {
  size_t length = PICOBOLT_PUBLIC_KEY_BYTES;
  memset(out, 0, length);
  return valid && secp256k1_ec_pubkey_serialize(curve(), out, &length, key, SECP256K1_EC_COMPRESSED);
}

static bool secret_result(uint8_t out[32], bool valid) {
  if (!valid) memset(out, 0, 32);
  scrub_stack();
  return valid;
}

/* The library clears its named secrets; this takes what its inner functions and the compiler left below us. */
__attribute__((noinline)) static void scrub_stack(void) {
  uint8_t below[SCRUBBED_STACK_BYTES];
  picobolt_wipe(below, sizeof below);
}

/* Reached by nothing we call with what we pass; the call then fails, as their callers expect. */
void secp256k1_default_illegal_callback_fn(const char *text, void *data) { (void)text, (void)data; }
void secp256k1_default_error_callback_fn(const char *text, void *data) { (void)text, (void)data; }
