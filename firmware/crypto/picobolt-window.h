/*
 * secret·point in constant time, in place of libsecp256k1's ecmult_const: that one takes the sign of its digits by a
 * comparison and half of them by a division, of which GCC makes a branch and a slow instruction for small targets.
 * Windows of 4 bits, each an odd digit from -15 to 15, so that nothing depends on zeroes.
 */
#ifndef PICOBOLT_WINDOW_H
#define PICOBOLT_WINDOW_H

enum { WINDOW_BITS = 4, WINDOW_COUNT = 65, WINDOW_POINTS = 8 };

static const secp256k1_scalar HALF =
    SECP256K1_SCALAR_CONST(0x7fffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0x5d576e73, 0x57a4501d,
                           0xdfe92f46, 0x681b20a1);

/* (2·bits - 15)·point for 4 bits, from the multiples 1, 3 … 15 of the point. */
static void window_point(secp256k1_ge *out, const secp256k1_ge *multiples, uint32_t bits) {
  uint32_t minus = (bits >> (WINDOW_BITS - 1)) ^ 1;
  uint32_t index = (bits ^ (0u - minus)) & (WINDOW_POINTS - 1);
  secp256k1_fe negative;
  *out = multiples[0];
  for (uint32_t i = 1; i < WINDOW_POINTS; i++) {
    secp256k1_fe_cmov(&out->x, &multiples[i].x, i == index);
    secp256k1_fe_cmov(&out->y, &multiples[i].y, i == index);
  }
  secp256k1_fe_negate(&negative, &out->y, 1);
  secp256k1_fe_cmov(&out->y, &negative, (int)minus);
}

/* d = secret/2 + half of 2^260 - 1: digits 2·bit - 1 of d come to 2·d - (2^260 - 1) = secret (see picobolt-comb.h). */
static void window_multiply(secp256k1_gej *r, const secp256k1_ge *point,
                            const secp256k1_scalar *secret) {
  secp256k1_ge multiples[WINDOW_POINTS], chosen;
  secp256k1_fe z;
  secp256k1_scalar d;
  secp256k1_gej_set_ge(r, point);
  secp256k1_ecmult_odd_multiples_table_globalz_windowa(multiples, &z, r);
  for (int i = 0; i < WINDOW_POINTS; i++) secp256k1_fe_normalize_weak(&multiples[i].y);
  secp256k1_scalar_mul(&d, secret, &HALF);
  secp256k1_scalar_add(&d, &d, &COMB_OFFSET);
  window_point(&chosen, multiples, 0); /* bits 256 to 259 */
  secp256k1_gej_set_ge(r, &chosen);
  for (int window = WINDOW_COUNT - 2; window >= 0; window--) {
    for (int i = 0; i < WINDOW_BITS; i++) secp256k1_gej_double_nonzero(r, r, NULL);
    uint32_t bits =
        secp256k1_scalar_get_bits(&d, (unsigned)window * WINDOW_BITS, WINDOW_BITS);
    window_point(&chosen, multiples, bits);
    secp256k1_gej_add_ge(r, r, &chosen);
  }
  secp256k1_fe_mul(&r->z, &r->z, &z);
  secp256k1_scalar_clear(&d);
  secp256k1_ge_clear(&chosen);
}

#endif
