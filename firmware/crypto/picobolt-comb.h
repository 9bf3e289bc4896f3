/*
 * secret·G for libsecp256k1 from a table of 2 KB, in constant time; in place of its own ecmult_gen, whose smallest
 * table takes 32 KB and twice the additions. A comb of signed digits (Hamburg, ePrint 2012/309 §3.3), 2 blocks of
 * 5 teeth, 26 apart: with all digits +1 or -1 there are no zeroes to hide, and half of the table is the other's negative.
 */
#ifndef PICOBOLT_COMB_H
#define PICOBOLT_COMB_H

#include "src/util.h"
#include "src/num_impl.h"
#include "src/field_impl.h"
#include "src/scalar_impl.h"
#include "src/group_impl.h"
#include "src/hash_impl.h"

/* The library's own files are taken for included: their functions are below, under their names. */
#define SECP256K1_ECMULT_GEN_H
#define SECP256K1_ECMULT_GEN_IMPL_H

enum { COMB_BLOCKS = 2, COMB_TEETH = 5, COMB_SPACING = 26, COMB_POINTS = 1 << (COMB_TEETH - 1) };

#include "picobolt-comb-table.h"

typedef struct {
  int built;
  secp256k1_scalar offset;  /* half of 2^260 - 1, minus the blind */
  secp256k1_ge blind_point; /* blind·G, added at the end */
  secp256k1_fe projection;  /* what the first point's coordinates are scaled by */
} secp256k1_ecmult_gen_context;

static const size_t SECP256K1_ECMULT_GEN_CONTEXT_PREALLOCATED_SIZE = 0;

/* Digits 2·bit - 1 of d in base 2 come to 2·d - (2^260 - 1): times G/2 that is (d - half of 2^260 - 1)·G. */
static const secp256k1_scalar COMB_OFFSET =
    SECP256K1_SCALAR_CONST(0x80000000, 0x00000000, 0x00000000, 0x00000009, 0x87e0873d, 0xdd5f4e3f,
                           0xe1563adf, 0xe6691698);

static uint32_t comb_bit(const secp256k1_scalar *d, unsigned position) {
  return position < 256 ? secp256k1_scalar_get_bits(d, position, 1) : 0;
}

/* The sum of the teeth of one block at one offset. Every entry is read, whichever is wanted. */
static void comb_point(secp256k1_ge *out, const secp256k1_scalar *d, int block, int offset) {
  uint32_t index = 0, minus;
  secp256k1_ge_storage chosen;
  secp256k1_fe negative;
  for (int tooth = 0; tooth < COMB_TEETH; tooth++) {
    unsigned position = (unsigned)((block * COMB_TEETH + tooth) * COMB_SPACING + offset);
    index |= comb_bit(d, position) << tooth;
  }
  minus = (index >> (COMB_TEETH - 1)) ^ 1;
  index = (index ^ (0u - minus)) & (COMB_POINTS - 1);
  chosen = COMB_TABLE[block][0];
  for (uint32_t i = 1; i < COMB_POINTS; i++) {
    secp256k1_ge_storage_cmov(&chosen, &COMB_TABLE[block][i], i == index);
  }
  secp256k1_ge_from_storage(out, &chosen);
  secp256k1_fe_negate(&negative, &out->y, 1);
  secp256k1_fe_cmov(&out->y, &negative, (int)minus);
}

static void secp256k1_ecmult_gen(const secp256k1_ecmult_gen_context *ctx, secp256k1_gej *r,
                                 const secp256k1_scalar *secret) {
  secp256k1_scalar d;
  secp256k1_ge point;
  secp256k1_scalar_add(&d, &ctx->offset, secret);
  for (int offset = COMB_SPACING - 1; offset >= 0; offset--) {
    for (int block = 0; block < COMB_BLOCKS; block++) {
      comb_point(&point, &d, block, offset);
      if (offset == COMB_SPACING - 1 && block == 0) {
        secp256k1_gej_set_ge(r, &point);
        secp256k1_gej_rescale(r, &ctx->projection);
      } else {
        secp256k1_gej_add_ge(r, r, &point);
      }
    }
    if (offset > 0) secp256k1_gej_double_nonzero(r, r, NULL);
  }
  secp256k1_gej_add_ge(r, r, &ctx->blind_point);
  secp256k1_scalar_clear(&d);
  secp256k1_ge_clear(&point);
}

/* Without a seed: blind 1 and projection 1, which is no blinding at all. */
static void secp256k1_ecmult_gen_blind(secp256k1_ecmult_gen_context *ctx, const unsigned char *seed) {
  secp256k1_rfc6979_hmac_sha256 generator;
  secp256k1_scalar blind;
  secp256k1_gej point;
  unsigned char bytes[64];
  int overflow;
  if (seed == NULL) {
    secp256k1_fe_set_int(&ctx->projection, 1);
    secp256k1_scalar_set_int(&blind, 1);
    ctx->blind_point = secp256k1_ge_const_g;
  } else {
    /* The blind before is hashed along, so that a weak seed makes nothing worse. */
    secp256k1_scalar_get_b32(bytes, &ctx->offset);
    memcpy(bytes + 32, seed, 32);
    secp256k1_rfc6979_hmac_sha256_initialize(&generator, bytes, sizeof bytes);
    do {
      secp256k1_rfc6979_hmac_sha256_generate(&generator, bytes, 64);
      overflow = !secp256k1_fe_set_b32(&ctx->projection, bytes);
      overflow |= secp256k1_fe_is_zero(&ctx->projection);
      secp256k1_scalar_set_b32(&blind, bytes + 32, NULL);
      overflow |= secp256k1_scalar_is_zero(&blind);
    } while (overflow); /* once in 2^128 */
    secp256k1_ecmult_gen(ctx, &point, &blind);
    secp256k1_ge_set_gej(&ctx->blind_point, &point);
    secp256k1_rfc6979_hmac_sha256_finalize(&generator);
    secp256k1_gej_clear(&point);
    memset(bytes, 0, sizeof bytes);
  }
  secp256k1_scalar_negate(&blind, &blind);
  secp256k1_scalar_add(&ctx->offset, &COMB_OFFSET, &blind);
  secp256k1_scalar_clear(&blind);
}

static void secp256k1_ecmult_gen_context_init(secp256k1_ecmult_gen_context *ctx) { ctx->built = 0; }

static void secp256k1_ecmult_gen_context_build(secp256k1_ecmult_gen_context *ctx, void **memory) {
  (void)memory;
  secp256k1_ecmult_gen_blind(ctx, NULL);
  ctx->built = 1;
}

static int secp256k1_ecmult_gen_context_is_built(const secp256k1_ecmult_gen_context *ctx) {
  return ctx->built;
}

static void secp256k1_ecmult_gen_context_finalize_memcpy(secp256k1_ecmult_gen_context *to,
                                                         const secp256k1_ecmult_gen_context *from) {
  (void)to, (void)from;
}

static void secp256k1_ecmult_gen_context_clear(secp256k1_ecmult_gen_context *ctx) {
  memset(ctx, 0, sizeof *ctx);
}

#endif
