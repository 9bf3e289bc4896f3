/* ESP-IDF's calls behind picobolt/esp32 (esp32.xs.js); ESP-IDF 6.0. */
#include <stdio.h>
#include <string.h>

#include "esp_attr.h"
#include "esp_heap_caps.h"
#include "esp_ota_ops.h"
#include "esp_system.h"
#include "esp_task_wdt.h"
#include "host/ble_gap.h"
#include "nimble/ble.h"
#include "xsHost.h"
#include "xsmc.h"

#define RETAINED_BYTES 2048
#define RETAINED_MARK 0x70b17001u

/* Not cleared at a reset; after a power cut its contents are chance, which mark and sum tell. */
static RTC_NOINIT_ATTR struct {
  uint32_t mark;
  uint32_t length;
  uint32_t sum;
  uint8_t bytes[RETAINED_BYTES];
} gRetained;

static uint32_t fletcher(const uint8_t *bytes, uint32_t length) {
  uint32_t a = 1, b = 0;
  for (uint32_t i = 0; i < length; i++) {
    a = (a + bytes[i]) % 65521;
    b = (b + a) % 65521;
  }
  return b << 16 | a;
}

void xs_esp32_resetReason(xsMachine *the) {
  char *reason;
  switch (esp_reset_reason()) {
    case ESP_RST_POWERON: reason = "power"; break;
    case ESP_RST_BROWNOUT: reason = "brownout"; break;
    case ESP_RST_SW: reason = "restart"; break;
    case ESP_RST_INT_WDT:
    case ESP_RST_TASK_WDT:
    case ESP_RST_WDT: reason = "watchdog"; break;
    case ESP_RST_PANIC: reason = "crash"; break;
    default: reason = "unknown"; break;
  }
  xsmcSetString(xsResult, reason);
}

void xs_esp32_restart(xsMachine *the) { esp_restart(); }

/* The task that runs JavaScript subscribes itself; when it does not feed in time the chip panics and restarts. */
void xs_esp32_watchdogStart(xsMachine *the) {
  esp_task_wdt_config_t config = {
    .timeout_ms = (uint32_t)xsmcToInteger(xsArg(0)),
    .idle_core_mask = 0,
    .trigger_panic = true,
  };
  if (esp_task_wdt_reconfigure(&config) == ESP_ERR_INVALID_STATE) esp_task_wdt_init(&config);
  if (esp_task_wdt_status(NULL) != ESP_OK) esp_task_wdt_add(NULL);
}

void xs_esp32_watchdogFeed(xsMachine *the) { esp_task_wdt_reset(); }

void xs_esp32_retainedSize(xsMachine *the) { xsmcSetInteger(xsResult, RETAINED_BYTES); }

void xs_esp32_retainedRead(xsMachine *the) {
  if (gRetained.mark != RETAINED_MARK || gRetained.length > RETAINED_BYTES) return;
  if (gRetained.sum != fletcher(gRetained.bytes, gRetained.length)) return;
  xsmcSetArrayBuffer(xsResult, gRetained.bytes, (xsIntegerValue)gRetained.length);
}

void xs_esp32_retainedWrite(xsMachine *the) {
  void *bytes;
  xsUnsignedValue length;
  xsmcGetBufferReadable(xsArg(0), &bytes, &length);
  if (length > RETAINED_BYTES) xsRangeError("larger than the retained memory");
  gRetained.mark = 0;
  memcpy(gRetained.bytes, bytes, length);
  gRetained.length = length;
  gRetained.sum = fletcher(gRetained.bytes, length);
  gRetained.mark = RETAINED_MARK;
}

void xs_esp32_freeBytes(xsMachine *the) {
  xsmcSetInteger(xsResult, (xsIntegerValue)heap_caps_get_free_size(MALLOC_CAP_8BIT));
}

void xs_esp32_totalBytes(xsMachine *the) {
  xsmcSetInteger(xsResult, (xsIntegerValue)heap_caps_get_total_size(MALLOC_CAP_8BIT));
}

void xs_esp32_print(xsMachine *the) {
  puts(xsmcToString(xsArg(0)));
}

void xs_esp32_isOnTrial(xsMachine *the) {
  esp_ota_img_states_t state;
  esp_err_t error = esp_ota_get_state_partition(esp_ota_get_running_partition(), &state);
  xsmcSetBoolean(xsResult, error == ESP_OK && state == ESP_OTA_IMG_PENDING_VERIFY);
}

void xs_esp32_confirm(xsMachine *the) {
  if (esp_ota_mark_app_valid_cancel_rollback() != ESP_OK) xsUnknownError("cannot confirm the image");
}

void xs_esp32_rollBack(xsMachine *the) {
  esp_ota_mark_app_invalid_rollback_and_reboot();
  xsUnknownError("there is no other image to go back to");
}

/* The head of what the SDK's bleserver.c (8.2) keeps of a connection. */
typedef struct {
  void *next;
  void *server;
  void *object;
  uint16_t handle;
} SdkConnection;

/* The SDK's own `close` forgets a connection that the radio still has, and takes address 0 for it at its next event. This one waits
   until the radio has said that it is over: bleserver.c tells the program then, and forgets it. */
void xs_esp32_bleTerminate(xsMachine *the) {
  SdkConnection *connection = xsmcGetHostData(xsArg(0));
  if (connection) ble_gap_terminate(connection->handle, BLE_ERR_REM_USER_CONN_TERM);
}
