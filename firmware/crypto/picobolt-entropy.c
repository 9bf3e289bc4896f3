/* Where random bytes come from by default; weak, so that a platform's own picobolt_fill_random takes its place. */
#include "picobolt-crypto.h"

#if defined(ESP_PLATFORM)
#include "esp_random.h"

/* True random while the radio or the SAR ADC entropy source is on (ESP-IDF, "Random Number Generation"). */
__attribute__((weak)) bool picobolt_fill_random(uint8_t *out, size_t length) {
  esp_fill_random(out, length);
  return true;
}

#elif defined(__linux__)
#include <errno.h>
#include <sys/random.h>

__attribute__((weak)) bool picobolt_fill_random(uint8_t *out, size_t length) {
  while (length > 0) {
    ssize_t got = getrandom(out, length, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    out += got;
    length -= (size_t)got;
  }
  return true;
}

#else

__attribute__((weak)) bool picobolt_fill_random(uint8_t *out, size_t length) {
  (void)out;
  return length == 0;
}

#endif
