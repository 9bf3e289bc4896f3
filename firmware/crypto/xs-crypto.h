/* The host functions of xs-crypto.c: name in NativeFunctions and number of arguments, for a platform that installs them by itself. */
#ifndef PICOBOLT_XS_CRYPTO_H
#define PICOBOLT_XS_CRYPTO_H

#define PICOBOLT_XS_FUNCTIONS(ONE) \
  ONE(sha256, 2)                   \
  ONE(ripemd160, 2)                \
  ONE(hmacSha256, 3)               \
  ONE(hmacSha512, 3)               \
  ONE(isSecretKey, 1)              \
  ONE(isPublicKey, 1)              \
  ONE(publicKeyOf, 2)              \
  ONE(publicKeyTweakAdd, 3)        \
  ONE(publicKeyTweakMultiply, 3)   \
  ONE(publicKeyAdd, 3)             \
  ONE(secretKeyTweakAdd, 3)        \
  ONE(secretKeyTweakMultiply, 3)   \
  ONE(sign, 3)                     \
  ONE(verify, 3)                   \
  ONE(ecdh, 3)                     \
  ONE(encrypt, 5)                  \
  ONE(decrypt, 5)                  \
  ONE(entropy, 1)

#define PICOBOLT_XS_DECLARE(name, length) void xs_picobolt_##name(xsMachine *the);
PICOBOLT_XS_FUNCTIONS(PICOBOLT_XS_DECLARE)

#endif
