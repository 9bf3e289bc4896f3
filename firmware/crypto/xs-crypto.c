/* The device's crypto as host functions of the XS engine (NativeFunctions in native.ts): arguments are checked for their length here. */
#include "picobolt-crypto.h"
#include "xsmc.h"

#include "xs-crypto.h"

/*
 * Pointers into buffers hold only as long as nothing is allocated in the engine: every function takes all of
 * them first and then computes. Errors are thrown before any byte of `out` is written.
 */

typedef struct {
  const uint8_t *data;
  size_t length;
} Bytes;

static Bytes any(xsMachine *the, xsSlot *slot) {
  void *data;
  xsUnsignedValue length;
  xsmcGetBufferReadable(*slot, &data, &length);
  Bytes bytes = {data, length};
  return bytes;
}

static void check(xsMachine *the, size_t is, size_t must, const char *what) {
  if (is != must) xsRangeError("%s must have %d bytes, has %d", what, (int)must, (int)is);
}

static const uint8_t *exact(xsMachine *the, xsSlot *slot, size_t length, const char *what) {
  Bytes bytes = any(the, slot);
  check(the, bytes.length, length, what);
  return bytes.data;
}

static uint8_t *result(xsMachine *the, xsSlot *slot, size_t length) {
  void *data;
  xsUnsignedValue has;
  xsmcGetBufferWritable(*slot, &data, &has);
  check(the, has, length, "result");
  return data;
}

#define ANY(index) any(the, &xsArg(index))
#define EXACT(index, length, what) exact(the, &xsArg(index), length, what)
#define SECRET(index) EXACT(index, PICOBOLT_SECRET_KEY_BYTES, "secret key")
#define POINT(index) EXACT(index, PICOBOLT_PUBLIC_KEY_BYTES, "public key")
#define TWEAK(index) EXACT(index, PICOBOLT_TWEAK_BYTES, "tweak")
#define HASH(index) EXACT(index, PICOBOLT_SHA256_BYTES, "hash")
#define RESULT(index, length) result(the, &xsArg(index), length)
#define RETURN(done) xsmcSetBoolean(xsResult, done)

void xs_picobolt_sha256(xsMachine *the) {
  Bytes data = ANY(0);
  picobolt_sha256(RESULT(1, PICOBOLT_SHA256_BYTES), data.data, data.length);
}

void xs_picobolt_ripemd160(xsMachine *the) {
  Bytes data = ANY(0);
  picobolt_ripemd160(RESULT(1, PICOBOLT_RIPEMD160_BYTES), data.data, data.length);
}

void xs_picobolt_hmacSha256(xsMachine *the) {
  Bytes key = ANY(0);
  Bytes data = ANY(1);
  uint8_t *out = RESULT(2, PICOBOLT_SHA256_BYTES);
  picobolt_hmac_sha256(out, key.data, key.length, data.data, data.length);
}

void xs_picobolt_hmacSha512(xsMachine *the) {
  Bytes key = ANY(0);
  Bytes data = ANY(1);
  uint8_t *out = RESULT(2, PICOBOLT_SHA512_BYTES);
  picobolt_hmac_sha512(out, key.data, key.length, data.data, data.length);
}

void xs_picobolt_isSecretKey(xsMachine *the) {
  Bytes bytes = ANY(0);
  RETURN(bytes.length == PICOBOLT_SECRET_KEY_BYTES && picobolt_is_secret_key(bytes.data));
}

void xs_picobolt_isPublicKey(xsMachine *the) {
  Bytes bytes = ANY(0);
  RETURN(bytes.length == PICOBOLT_PUBLIC_KEY_BYTES && picobolt_is_public_key(bytes.data));
}

void xs_picobolt_publicKeyOf(xsMachine *the) {
  const uint8_t *secret = SECRET(0);
  RETURN(picobolt_public_key_of(RESULT(1, PICOBOLT_PUBLIC_KEY_BYTES), secret));
}

void xs_picobolt_publicKeyTweakAdd(xsMachine *the) {
  const uint8_t *point = POINT(0), *tweak = TWEAK(1);
  RETURN(picobolt_public_key_tweak_add(RESULT(2, PICOBOLT_PUBLIC_KEY_BYTES), point, tweak));
}

void xs_picobolt_publicKeyTweakMultiply(xsMachine *the) {
  const uint8_t *point = POINT(0), *tweak = TWEAK(1);
  RETURN(picobolt_public_key_tweak_multiply(RESULT(2, PICOBOLT_PUBLIC_KEY_BYTES), point, tweak));
}

void xs_picobolt_publicKeyAdd(xsMachine *the) {
  const uint8_t *a = POINT(0), *b = POINT(1);
  RETURN(picobolt_public_key_add(RESULT(2, PICOBOLT_PUBLIC_KEY_BYTES), a, b));
}

void xs_picobolt_secretKeyTweakAdd(xsMachine *the) {
  const uint8_t *secret = SECRET(0), *tweak = TWEAK(1);
  RETURN(picobolt_secret_key_tweak_add(RESULT(2, PICOBOLT_SECRET_KEY_BYTES), secret, tweak));
}

void xs_picobolt_secretKeyTweakMultiply(xsMachine *the) {
  const uint8_t *secret = SECRET(0), *tweak = TWEAK(1);
  RETURN(picobolt_secret_key_tweak_multiply(RESULT(2, PICOBOLT_SECRET_KEY_BYTES), secret, tweak));
}

void xs_picobolt_sign(xsMachine *the) {
  const uint8_t *hash = HASH(0), *secret = SECRET(1);
  RETURN(picobolt_sign(RESULT(2, PICOBOLT_SIGNATURE_BYTES), hash, secret));
}

void xs_picobolt_verify(xsMachine *the) {
  const uint8_t *signature = EXACT(0, PICOBOLT_SIGNATURE_BYTES, "signature");
  const uint8_t *hash = HASH(1), *key = POINT(2);
  RETURN(picobolt_verify(signature, hash, key));
}

void xs_picobolt_ecdh(xsMachine *the) {
  const uint8_t *secret = SECRET(0), *point = POINT(1);
  RETURN(picobolt_ecdh(RESULT(2, PICOBOLT_SHA256_BYTES), secret, point));
}

void xs_picobolt_encrypt(xsMachine *the) {
  const uint8_t *key = EXACT(0, PICOBOLT_CIPHER_KEY_BYTES, "cipher key");
  const uint8_t *nonce = EXACT(1, PICOBOLT_NONCE_BYTES, "nonce");
  Bytes associated = ANY(2), plaintext = ANY(3);
  uint8_t *out = RESULT(4, plaintext.length + PICOBOLT_TAG_BYTES);
  picobolt_encrypt(out, key, nonce, associated.data, associated.length, plaintext.data,
                   plaintext.length);
}

void xs_picobolt_decrypt(xsMachine *the) {
  const uint8_t *key = EXACT(0, PICOBOLT_CIPHER_KEY_BYTES, "cipher key");
  const uint8_t *nonce = EXACT(1, PICOBOLT_NONCE_BYTES, "nonce");
  Bytes associated = ANY(2), sealed = ANY(3);
  if (sealed.length < PICOBOLT_TAG_BYTES) xsRangeError("ciphertext is shorter than its tag");
  uint8_t *out = RESULT(4, sealed.length - PICOBOLT_TAG_BYTES);
  RETURN(picobolt_decrypt(out, key, nonce, associated.data, associated.length, sealed.data,
                          sealed.length));
}

void xs_picobolt_entropy(xsMachine *the) {
  void *out;
  xsUnsignedValue length;
  xsmcGetBufferWritable(xsArg(0), &out, &length);
  if (!picobolt_fill_random(out, length)) xsUnknownError("this platform has no entropy");
}
