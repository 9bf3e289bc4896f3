/** NativeFunctions for the Moddable SDK: XS links each of these to the C function of xs-crypto.c that it names. */
const sha256 = function (data, out) @ "xs_picobolt_sha256";
const ripemd160 = function (data, out) @ "xs_picobolt_ripemd160";
const hmacSha256 = function (key, data, out) @ "xs_picobolt_hmacSha256";
const hmacSha512 = function (key, data, out) @ "xs_picobolt_hmacSha512";
const isSecretKey = function (bytes) @ "xs_picobolt_isSecretKey";
const isPublicKey = function (bytes) @ "xs_picobolt_isPublicKey";
const publicKeyOf = function (secret, out) @ "xs_picobolt_publicKeyOf";
const publicKeyTweakAdd = function (point, tweak, out) @ "xs_picobolt_publicKeyTweakAdd";
const publicKeyTweakMultiply = function (point, tweak, out) @ "xs_picobolt_publicKeyTweakMultiply";
const publicKeyAdd = function (a, b, out) @ "xs_picobolt_publicKeyAdd";
const secretKeyTweakAdd = function (secret, tweak, out) @ "xs_picobolt_secretKeyTweakAdd";
const secretKeyTweakMultiply = function (secret, tweak, out) @ "xs_picobolt_secretKeyTweakMultiply";
const sign = function (hash, secret, out) @ "xs_picobolt_sign";
const verify = function (signature, hash, key) @ "xs_picobolt_verify";
const ecdh = function (secret, point, out) @ "xs_picobolt_ecdh";
const encrypt = function (key, nonce, associated, plaintext, out) @ "xs_picobolt_encrypt";
const decrypt = function (key, nonce, associated, ciphertext, out) @ "xs_picobolt_decrypt";
const entropy = function (out) @ "xs_picobolt_entropy";

export const nativeFunctions = Object.freeze({
  sha256,
  ripemd160,
  hmacSha256,
  hmacSha512,
  isSecretKey,
  isPublicKey,
  publicKeyOf,
  publicKeyTweakAdd,
  publicKeyTweakMultiply,
  publicKeyAdd,
  secretKeyTweakAdd,
  secretKeyTweakMultiply,
  sign,
  verify,
  ecdh,
  encrypt,
  decrypt,
  entropy,
});
