/* Zeroes that stay: an optimiser drops a memset of memory that nobody reads again. */
#include "picobolt-crypto.h"

void picobolt_wipe(void *memory, size_t length) {
  volatile uint8_t *byte = memory;
  while (length--) *byte++ = 0;
}
