/* The device's life: a clone of the frozen machine, then bytes and ticks, and sleep where there is nothing to do. */
#include "engine.h"
#include "mcu.h"

#define RECEIVED_BYTES 1024
#define TICK_MS 20

/* Calls a method of what `picoboltMcu.start` returned, with one argument on the stack. */
static void call(txMachine *the, txSlot *device, const char *name, const uint8_t *bytes,
                 int number) {
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
  fxBeginHost(the);
  uint64_t begun = mcu_instructions();
  start(the);
  txSlot *device = the->stack;
  engine_run_jobs(the);
  mcu_figures.busy_instructions += mcu_instructions() - begun;
  engine_figures(the);
  for (uint32_t ticked = mcu_milliseconds();;) {
    begun = mcu_instructions();
    int count = 0;
    while (count < RECEIVED_BYTES && uart_has()) received[count++] = (uint8_t)uart_get();
    if (count > 0) call(the, device, "onBytes", received, count);
    uint32_t now = mcu_milliseconds();
    bool isTick = now - ticked >= TICK_MS;
    if (isTick) {
      ticked = now;
      call(the, device, "tick", NULL, (int)now);
    }
    if (count > 0 || isTick) {
      mcu_figures.busy_instructions += mcu_instructions() - begun;
      /* The counting is not the device's work. */
      engine_figures(the);
    } else {
      mcu_sleep();
    }
  }
}
