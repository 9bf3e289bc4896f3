/* The device's crypto as plain C99: what core/ports/crypto.ts asks for, without any JavaScript engine. */
#ifndef PICOBOLT_CRYPTO_H
#define PICOBOLT_CRYPTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Rules for all functions. `out` comes first, is as long as its comment says and never overlaps an input.
 * Lengths are the caller's business; contents are judged here: false means that a key, point or tweak is out
 * of range or that the result would be, and then `out` is all zero. Secrets (keys, nonces, what is hashed or
 * enciphered, tweaks of secret keys) steer neither branches nor addresses, and no copy of them stays behind.
 * Nothing allocates; nothing aborts. One caller at a time: the curve's tables are built at the first use.
 */

enum {
  PICOBOLT_SHA256_BYTES = 32,
  PICOBOLT_SHA512_BYTES = 64,
  PICOBOLT_RIPEMD160_BYTES = 20,
  PICOBOLT_SECRET_KEY_BYTES = 32,
  PICOBOLT_PUBLIC_KEY_BYTES = 33,
  PICOBOLT_SIGNATURE_BYTES = 64,
  PICOBOLT_TWEAK_BYTES = 32,
  PICOBOLT_CIPHER_KEY_BYTES = 32,
  PICOBOLT_NONCE_BYTES = 12,
  PICOBOLT_TAG_BYTES = 16,
};

/* Hashes: FIPS 180-4, the RIPEMD-160 paper, RFC 2104. */
void picobolt_sha256(uint8_t out[32], const uint8_t *data, size_t length);
void picobolt_sha512(uint8_t out[64], const uint8_t *data, size_t length);
void picobolt_ripemd160(uint8_t out[20], const uint8_t *data, size_t length);
void picobolt_hmac_sha256(uint8_t out[32], const uint8_t *key, size_t key_length,
                          const uint8_t *data, size_t length);
void picobolt_hmac_sha512(uint8_t out[64], const uint8_t *key, size_t key_length,
                          const uint8_t *data, size_t length);
/* HKDF of RFC 5869 as BOLT 8 uses it: SHA-256, no info, two keys of 32 bytes. */
void picobolt_hkdf(uint8_t out[64], const uint8_t salt[32], const uint8_t *material, size_t length);

/* secp256k1: points are compressed (SEC 1), numbers big-endian. Points and their tweaks are public. */
bool picobolt_is_secret_key(const uint8_t secret[32]);
bool picobolt_is_public_key(const uint8_t key[33]);
bool picobolt_public_key_of(uint8_t out[33], const uint8_t secret[32]);
/* point + tweak·G */
bool picobolt_public_key_tweak_add(uint8_t out[33], const uint8_t point[33],
                                   const uint8_t tweak[32]);
/* tweak·point */
bool picobolt_public_key_tweak_multiply(uint8_t out[33], const uint8_t point[33],
                                        const uint8_t tweak[32]);
bool picobolt_public_key_add(uint8_t out[33], const uint8_t a[33], const uint8_t b[33]);
bool picobolt_secret_key_tweak_add(uint8_t out[32], const uint8_t secret[32],
                                   const uint8_t tweak[32]);
bool picobolt_secret_key_tweak_multiply(uint8_t out[32], const uint8_t secret[32],
                                        const uint8_t tweak[32]);
/* ECDSA with the nonce of RFC 6979 and low S, as r and s. */
bool picobolt_sign(uint8_t out[64], const uint8_t hash[32], const uint8_t secret[32]);
/* False also for a high S and for what is no signature or no key. */
bool picobolt_verify(const uint8_t signature[64], const uint8_t hash[32], const uint8_t key[33]);
/* SHA-256 of the compressed shared point (BOLT 8). */
bool picobolt_ecdh(uint8_t out[32], const uint8_t secret[32], const uint8_t point[33]);
/* Blinds the multiplications by secrets anew; done once by itself where the platform has entropy. */
void picobolt_blind(const uint8_t seed[32]);

/* ChaCha20-Poly1305 (RFC 8439); at most 2^32 - 2 blocks of 64 bytes, which no message reaches. */
void picobolt_encrypt(uint8_t *out /* length + 16 */, const uint8_t key[32],
                      const uint8_t nonce[12], const uint8_t *associated, size_t associated_length,
                      const uint8_t *plaintext, size_t length);
/* False, and `out` untouched, where the tag does not fit; `length` counts the tag and is at least 16. */
bool picobolt_decrypt(uint8_t *out /* length - 16 */, const uint8_t key[32],
                      const uint8_t nonce[12], const uint8_t *associated, size_t associated_length,
                      const uint8_t *ciphertext, size_t length);

/*
 * Unpredictable bytes; false where the platform has none (then nobody may make keys). A weak default asks
 * the ESP32's generator or Linux; another platform defines its own.
 */
bool picobolt_fill_random(uint8_t *out, size_t length);

/* Zeroes that the compiler may not leave out. */
void picobolt_wipe(void *memory, size_t length);

#endif
