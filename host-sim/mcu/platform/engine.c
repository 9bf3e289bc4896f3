/* The hooks that XS wants from a platform, and how scripts run on this one. */
#include "engine.h"
#include "mcu.h"

extern void picobolt_install_crypto(txMachine *the);

/* Slots have 16 bytes; as many as the manifests give (manifests/base.json). */
#ifndef MCU_STACK_SLOTS
#define MCU_STACK_SLOTS 1024
#endif
const txCreation mcu_creation = {
    .initialChunkSize = 32768,
    .incrementalChunkSize = 4096,
    .initialHeapCount = 4608,
    .incrementalHeapCount = 256,
    .stackCount = MCU_STACK_SLOTS,
    .initialKeyCount = 32,
    .incrementalKeyCount = 32,
    .nameModulo = 127,
    .symbolModulo = 127,
    .parserBufferSize = 2048,
    .parserTableModulo = 127,
};

void *fxAllocateChunks(txMachine *the, txSize size) { return c_malloc(size); }
void fxFreeChunks(txMachine *the, void *chunks) { c_free(chunks); }
txSlot *fxAllocateSlots(txMachine *the, txSize count) { return c_malloc(count * sizeof(txSlot)); }
void fxFreeSlots(txMachine *the, void *slots) { c_free(slots); }
void fxCreateMachinePlatform(txMachine *the) {}
void fxDeleteMachinePlatform(txMachine *the) {}
void fxQueuePromiseJobs(txMachine *the) { the->promiseJobs = 1; }
txID fxFindModule(txMachine *the, txSlot *realm, txID moduleID, txSlot *slot) { return XS_NO_ID; }
void fxLoadModule(txMachine *the, txSlot *module, txID moduleID) {}

#ifdef PICOBOLT_NO_PARSER
txScript *fxParseScript(txMachine *the, void *stream, txGetter getter, txUnsigned flags) {
  return C_NULL;
}
#endif

/* The engine cannot go on (memory, stack, an error that nobody caught): the device starts again from its flash. */
void fxAbort(txMachine *the, int status) {
  char line[160];
  bool isThrown = status == XS_UNHANDLED_EXCEPTION_EXIT || status == XS_UNHANDLED_REJECTION_EXIT;
  snprintf(line, sizeof line, "abort %d: %s", status,
           isThrown                              ? fxToString(the, &mxException)
           : status == XS_NOT_ENOUGH_MEMORY_EXIT ? "memory is full"
           : status == XS_STACK_OVERFLOW_EXIT    ? "the stack is full"
                                                 : "see xs.h");
  mcu_print(line);
  mcu_reset(RESET_CRASH);
}

void engine_install(txMachine *the) {
  picobolt_install_crypto(the);
  board_install(the);
}

void engine_run_jobs(txMachine *the) {
  while (the->promiseJobs) {
    the->promiseJobs = 0;
    fxRunPromiseJobs(the);
  }
  fxEndJob(the);
}

bool engine_run(txMachine *the, txScript *script) {
  bool done = true;
  fxBeginHost(the);
  txSlot *realm = mxProgram.value.reference->next->value.module.realm;
  mxTry(the) {
    fxRunScript(the, script, mxRealmGlobal(realm), C_NULL, mxRealmClosures(realm)->value.reference,
                C_NULL, mxProgram.value.reference);
    mxPop();
  }
  mxCatch(the) {
    done = false;
    printf("! %s\n", fxToString(the, &mxException));
    mxException = mxUndefined;
  }
  fxEndHost(the);
  engine_run_jobs(the);
  return done;
}

void engine_figures(txMachine *the) {
  mcu_figures.chunk_bytes = (uint32_t)the->currentChunksSize;
  mcu_figures.chunk_peak = (uint32_t)the->peakChunksSize;
  mcu_figures.slot_bytes = (uint32_t)(the->currentHeapCount * sizeof(txSlot));
  mcu_figures.slot_peak = (uint32_t)(the->peakHeapCount * sizeof(txSlot));
#ifdef mxInstrument
  mcu_figures.engine_stack_peak = (uint32_t)(the->stackTop - the->stackPeak);
  mcu_figures.collections = (uint32_t)the->garbageCollectionCount;
#endif
  mcu_figures.c_stack_peak = (uint32_t)mcu_stack_peak();
}
