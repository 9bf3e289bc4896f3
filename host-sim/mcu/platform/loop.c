/* The device's life: a clone of the frozen machine, then bytes and ticks, work ahead, and sleep where there is nothing to do. */
#include "engine.h"
#include "mcu.h"

#define RECEIVED_BYTES 1024
#define TICK_MS 20
#define PAUSE_US 1000
/* Some characters of a fast line. */
#define LINE_REST_US 250

/* Calls a method of what `picoboltMcu.start` returned, with bytes, a number or nothing; whether it says true. */
static bool call(txMachine *the, txSlot *device, const char *name, const uint8_t *bytes,
                 int number) {
  bool says = false;
  fxBeginHost(the);
  mxTry(the) {
    mxOverflow(-4);
    mxPushSlot(device);
    mxDub();
    fxGetID(the, fxID(the, (txString)name));
    fxCall(the);
    if (bytes) {
      fxArrayBuffer(the, &the->scratch, (void *)bytes, number, -1);
      mxPushSlot(&the->scratch);
    } else {
      fxInteger(the, --the->stack, number);
    }
    fxRunCount(the, 1);
    says = the->stack->kind == XS_BOOLEAN_KIND && the->stack->value.boolean;
    mxPop();
  }
  mxCatch(the) {
    char line[200];
    snprintf(line, sizeof line, "uncaught in %s: %s", name, fxToString(the, &mxException));
    mcu_print(line);
    mcu_reset(RESET_CRASH);
  }
  fxEndHost(the);
  engine_run_jobs(the);
  return says;
}

/* Everything until the line rests, as drivers of UARTs hand it over; at rest the core sleeps. */
static int receive(uint8_t *bytes) {
  int count = 0, before;
  do {
    before = count;
    uint64_t begun = mcu_instructions();
    while (count < RECEIVED_BYTES && uart_has()) bytes[count++] = (uint8_t)uart_get();
    if (count == before) break;
    mcu_figures.busy_instructions += mcu_instructions() - begun;
    mcu_sleep(LINE_REST_US);
  } while (count < RECEIVED_BYTES);
  return count;
}

/* Work ahead, a piece at a time; in the end what it and the work before it left is collected. */
static bool work_ahead(txMachine *the, txSlot *device) {
  uint64_t begun = mcu_instructions();
  bool is_more = call(the, device, "idle", NULL, 0);
  if (!is_more) fxCollectGarbage(the);
  mcu_figures.idle_instructions += mcu_instructions() - begun;
  engine_figures(the);
  return is_more;
}

/* Leaves the device on the machine's stack for as long as it runs. */
static void start(txMachine *the) {
  mxTry(the) {
    mxPush(mxGlobal);
    fxGetID(the, fxID(the, "picoboltMcu"));
    mxDub();
    fxGetID(the, fxID(the, "start"));
    fxCall(the);
    fxRunCount(the, 0);
  }
  mxCatch(the) {
    char line[200];
    snprintf(line, sizeof line, "start failed: %s", fxToString(the, &mxException));
    mcu_print(line);
    mcu_exit(1);
  }
}

int main(void) {
  static uint8_t received[RECEIVED_BYTES];
  txMachine *the = fxCloneMachine((txCreation *)&mcu_creation, image_root(), "device", NULL);
  if (!the) mcu_exit(1);
  the->fixed = image_root()->fixed;
  fxBeginHost(the);
  uint64_t begun = mcu_instructions();
  start(the);
  txSlot *device = the->stack;
  engine_run_jobs(the);
  mcu_figures.busy_instructions += mcu_instructions() - begun;
  engine_figures(the);
  bool is_work_left = false;
  for (uint32_t ticked = mcu_milliseconds();;) {
    int count = receive(received);
    begun = mcu_instructions();
    if (count > 0) call(the, device, "onBytes", received, count);
    uint32_t now = mcu_milliseconds();
    bool is_tick = now - ticked >= TICK_MS;
    if (is_tick) {
      ticked = now;
      call(the, device, "tick", NULL, (int)now);
    }
    if (count > 0 || is_tick) {
      mcu_figures.busy_instructions += mcu_instructions() - begun;
      /* The counting is not the device's work. */
      engine_figures(the);
      is_work_left = is_work_left || count > 0;
    } else if (is_work_left) {
      is_work_left = work_ahead(the, device);
    } else {
      mcu_sleep(PAUSE_US);
    }
  }
}
