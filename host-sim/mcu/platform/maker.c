/* Makes the frozen machine: built-ins and the preloaded program as slots and bytecode, as Moddable's linker does; not in the device. */
#include "engine.h"
#include "mcu.h"

/* Of the compiled program (program.c, made by compile.c). */
extern const unsigned char program_code[];
extern const unsigned program_code_bytes, program_names, program_first_name, program_fixed;
/* The names that the program mentions, by number, and a zero. */
extern const unsigned short program_uses[];
extern const char *const program_name[];

extern char *mcu_arena, *mcu_arena_stack;
#define IMAGE_MAGIC 0x52584f4du
#define ARENA_A ((char *)0x80200000)
#define ARENA_B ((char *)0x80500000)
#define ARENA_BYTES 0x100000
/* Where the maker says which of the two arenas is to be used. */
#define WHICH_ARENA (*(volatile uint32_t *)0x203ffff0u)
typedef struct {
  uint32_t magic;
  txMachine *root;
  /* For pack.ts: where slots and chunks are. */
  txSlot *firstHeap;
  txBlock *firstBlock;
} ImageHead;

/* Built-ins that the engine itself looks up by name. */
static const txID engine_uses[] = {
    mxID(_add),    mxID(_then),  mxID(_resolve), mxID(_next),   mxID(_return),      mxID(_throw),
    mxID(_get),    mxID(_set),   mxID(_has),     mxID(_join),   mxID(_toString),    mxID(_valueOf),
    mxID(_length), mxID(_from),  mxID(_sort),    mxID(_size),   mxID(_byteLength),  mxID(_name),
    mxID(_message), mxID(_Array), mxID(_ArrayBuffer), mxID(_Object), mxID(_Promise), mxID(_Error),
};
static uint8_t is_id_used[XS_ID_COUNT];

static void note_uses(void) {
  for (unsigned i = 0; i < sizeof engine_uses / sizeof *engine_uses; i++) is_id_used[engine_uses[i]] = 1;
  for (const unsigned short *id = program_uses; *id; id++) {
    if (*id < XS_ID_COUNT) is_id_used[*id] = 1;
  }
}

static bool is_host_function(txSlot *instance) {
  return instance && instance->next && instance->next->kind == XS_CALLBACK_KIND;
}

static bool is_used_constructor(txMachine *the, txSlot *instance) {
  for (txID id = XS_SYMBOL_ID_COUNT; id < XS_INTRINSICS_COUNT; id++) {
    txSlot *slot = &the->stackPrototypes[-1 - id];
    if (slot->kind == XS_REFERENCE_KIND && slot->value.reference == instance) return is_id_used[id];
  }
  return false;
}

/* Does the property hold a function of the engine that neither the program nor the engine ever names? */
static bool is_unused(txMachine *the, txSlot *instance, txSlot *property) {
  txID id = property->ID;
  if (instance == mxGlobal.value.reference && id >= XS_INTRINSICS_COUNT) return false;
  if (property->flag & XS_INTERNAL_FLAG || id < XS_SYMBOL_ID_COUNT || id >= XS_ID_COUNT) return false;
  bool isReference = property->kind == XS_REFERENCE_KIND;
  if (instance == mxGlobal.value.reference) return isReference && !is_id_used[id];
  if (property->kind == XS_ACCESSOR_KIND) {
    return !is_id_used[id] && (is_host_function(property->value.accessor.getter) ||
                               is_host_function(property->value.accessor.setter));
  }
  if (!isReference || !is_host_function(property->value.reference)) return false;
  return id == mxID(_constructor) ? !is_used_constructor(the, property->value.reference)
                                  : !is_id_used[id];
}

/* As Moddable's linker strips: what nobody names is in no table, and is not linked either. */
static void strip(txMachine *the, txSlot *instance) {
  for (txSlot **address = &instance->next; *address;) {
    txSlot *property = *address;
    if (!is_unused(the, instance, property)) {
      address = &property->next;
      continue;
    }
    if (instance == mxGlobal.value.reference) instance->next->value.table.address[property->ID] = C_NULL;
    *address = property->next;
  }
}
static void strip_slot(txMachine *the, txSlot *slot) {
  if (slot->kind == XS_INSTANCE_KIND) strip(the, slot);
}

#define FORGET(NAME) (NAME).kind = XS_UNDEFINED_KIND
static void strip_intrinsics(txMachine *the) {
  for (txID id = XS_SYMBOL_ID_COUNT; id < XS_INTRINSICS_COUNT; id++) {
    txSlot *slot = &the->stackPrototypes[-1 - id];
    if (!is_id_used[id] && slot->kind == XS_REFERENCE_KIND) FORGET(*slot);
  }
  /* compile.c refuses programs that need one of these. */
  FORGET(mxAsyncFromSyncIteratorPrototype);
  FORGET(mxAsyncGeneratorFunctionPrototype);
  FORGET(mxAsyncGeneratorPrototype);
  FORGET(mxAsyncIteratorPrototype);
  FORGET(mxCompartmentGlobal);
  FORGET(mxCompartmentPrototype);
  FORGET(mxDatePrototype);
  FORGET(mxEmptyRegExp);
  FORGET(mxExecuteRegExpFunction);
  FORGET(mxFinalizationRegistryPrototype);
  FORGET(mxInitializeRegExpFunction);
  FORGET(mxModuleSourcePrototype);
  FORGET(mxProxyPrototype);
  FORGET(mxRegExpPrototype);
  FORGET(mxRegExpStringIteratorPrototype);
  FORGET(mxSharedArrayBufferPrototype);
  FORGET(mxWeakMapPrototype);
  FORGET(mxWeakRefPrototype);
  FORGET(mxWeakSetPrototype);
}

static void run_program(txMachine *the) {
  static txScript script;
  for (unsigned i = 0; i < program_names; i++) {
    txID id = fxNewNameX(the, (txString)program_name[i]);
    if (id == program_first_name + i) continue;
    printf("name %s is %u, was compiled as %u\n", program_name[i], (unsigned)id,
           program_first_name + i);
    mcu_exit(1);
  }
  script.codeBuffer = (txByte *)program_code;
  script.codeSize = (txSize)program_code_bytes;
  if (!engine_run(the, &script)) mcu_exit(1);
}

/* The variables of the program's own scope, one behind the other: its functions reach them by number, and close over none. */
static void make_fixed(txMachine *the) {
  mxPush(mxArrayPrototype);
  the->fixed = fxNewArrayInstance(the)->next;
  fxSetIndexSize(the, the->fixed, program_fixed, XS_CHUNK);
  txSlot *item = the->fixed->value.array.address;
  for (txIndex i = 0; i < program_fixed; i++, item++) {
    *(txIndex *)item = i;
    mxInitSlotKind(item, XS_UNINITIALIZED_KIND);
  }
}

/* Chunks in flash are never marked and never moved: their slots become the X kinds. */
static void settle(txSlot *slot) {
  if (slot->kind == XS_STRING_KIND) slot->kind = XS_STRING_X_KIND;
  else if (slot->kind == XS_BIGINT_KIND) slot->kind = XS_BIGINT_X_KIND;
  else if (slot->kind == XS_CODE_KIND) slot->kind = XS_CODE_X_KIND;
  else if (slot->kind == XS_KEY_KIND) slot->kind = XS_KEY_X_KIND;
}

/* Of maps and their like the inner slot says whether they may change. */
static bool is_held_inside(txSlot *slot) {
  switch (slot->kind) {
    case XS_ARRAY_BUFFER_KIND:
    case XS_DATE_KIND:
    case XS_MAP_KIND:
    case XS_REGEXP_KIND:
    case XS_SET_KIND:
    case XS_WEAK_MAP_KIND:
    case XS_WEAK_SET_KIND:
      return true;
    default:
      return false;
  }
}

/* All but the global object: stricter than Moddable, which leaves plain objects to be copied when they are written. */
static void freeze(txMachine *the, txSlot *instance) {
  if (instance == mxGlobal.value.reference) return;
  for (txSlot *property = instance->next; property; property = property->next) {
    bool isInner = (property->flag & XS_INTERNAL_FLAG) != 0;
    if (property->kind == XS_ARRAY_KIND) {
      txSlot *item = property->value.array.address;
      for (txInteger left = (txInteger)fxGetIndexSize(the, property); left > 0; left--, item++) {
        if (item->kind != XS_ACCESSOR_KIND) item->flag |= XS_DONT_SET_FLAG;
        item->flag |= XS_DONT_DELETE_FLAG;
      }
    }
    if (isInner && !is_held_inside(property) && property->kind != XS_ARRAY_KIND) {
      property->flag |= XS_DONT_SET_FLAG | XS_DONT_DELETE_FLAG;
      continue;
    }
    if (property->kind != XS_ACCESSOR_KIND) property->flag |= XS_DONT_SET_FLAG;
    property->flag |= XS_DONT_DELETE_FLAG;
  }
  instance->flag |= XS_DONT_PATCH_FLAG;
}

static void each_slot(txMachine *the, void (*visit)(txMachine *, txSlot *)) {
  for (txSlot *heap = the->firstHeap; heap; heap = heap->next) {
    for (txSlot *slot = heap + 1; slot < heap->value.reference; slot++) visit(the, slot);
  }
}
static void freeze_slot(txMachine *the, txSlot *slot) {
  if (slot->kind == XS_INSTANCE_KIND) freeze(the, slot);
}
static void settle_slot(txMachine *the, txSlot *slot) {
  settle(slot);
  if (slot->kind != XS_ARRAY_KIND) return;
  txSlot *item = slot->value.array.address;
  for (txInteger left = (txInteger)fxGetIndexSize(the, slot); left > 0; left--) settle(item++);
}

/* What never changes again needs no place in the table of copies that each machine has in RAM. */
static void fix_closure(txMachine *the, txSlot *slot) {
  if (slot->kind == XS_CLOSURE_KIND) slot->value.closure->flag |= XS_DONT_SET_FLAG;
}

/* image.ts reads them. */
static void print_words(const char *name, const uint32_t *from, const uint32_t *to) {
  printf("%s %x\n", name, (unsigned)(uintptr_t)from);
  for (; from < to; from++) printf("%08x\n", (unsigned)*from);
}

static void make(void) {
  ImageHead *head = (ImageHead *)(WHICH_ARENA == 1 ? ARENA_B : ARENA_A);
  memset(head, 0, ARENA_BYTES);
  mcu_arena = (char *)(head + 1);
  mcu_arena_stack = (char *)head + ARENA_BYTES;
  txCreation creation = mcu_creation;
  creation.initialChunkSize = 57344;
  creation.incrementalChunkSize = 2048;
  creation.initialHeapCount = 8192;
  creation.initialKeyCount = (txSize)(program_first_name + program_names + 8);
  creation.stackCount = MAKING_STACK_SLOTS;
  txMachine *the = fxCreateMachine(&creation, "image", NULL, XS_NO_ID);
  engine_install(the);
  make_fixed(the);
  run_program(the);
  note_uses();
  each_slot(the, strip_slot);
  strip_intrinsics(the);
  /* The table of the globals is filled by looking: nothing is to be written into it later. */
  for (txID id = XS_SYMBOL_ID_COUNT; id < XS_INTRINSICS_COUNT; id++) {
    mxPush(mxGlobal);
    fxGetID(the, id);
    mxPop();
  }
  fxCollectGarbage(the);
  each_slot(the, freeze_slot);
  each_slot(the, fix_closure);
  fxShareMachine(the);
  each_slot(the, settle_slot);
  for (txSlot *slot = the->stack; slot < the->stackTop; slot++) settle(slot);
  head->magic = IMAGE_MAGIC;
  head->root = the;
  head->firstHeap = the->firstHeap;
  head->firstBlock = the->firstBlock;
  /* What a clone of the machine never looks at leads nowhere. */
  the->firstHeap = the->freeHeap = C_NULL;
  the->firstBlock = C_NULL;
  the->dtoa = the->colors = the->aliasArray = C_NULL;
  the->stackPeak = C_NULL;
  printf("\nslots %d chunks %d names %u aliases %d\n", (int)the->currentHeapCount,
         (int)the->currentChunksSize, (unsigned)the->keyIndex, (int)the->aliasCount);
  print_words("HEAP", (uint32_t *)head, (uint32_t *)mcu_arena);
  print_words("STACK", (uint32_t *)the->stack, (uint32_t *)the->stackTop);
  printf("END\n");
  mcu_exit(0);
}

txMachine *image_root(void) { make(); }
