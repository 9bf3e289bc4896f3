/* The bytecode compiler, for the host (32 bits): resolves every name to the number that it will have in the image. */
#include "engine.h"
#include "mcu.h"

/* Nothing of the machine is here but the engine, with the same globals installed in the same order. */
volatile Figures mcu_figures;
char *fxCStackLimit(void) { return C_NULL; }
int mcu_gettimeofday(struct timeval *time, void *zone) { return gettimeofday(time, NULL); }
uint32_t modMilliseconds(void) { return 0; }
uint32_t mcu_milliseconds(void) { return 0; }
size_t mcu_stack_peak(void) { return 0; }
void mcu_print(const char *line) { fprintf(stderr, "%s\n", line); }
void mcu_exit(int status) { exit(status); }
void mcu_reset(int reason) { exit(1); }
int mcu_reset_reason(void) { return 0; }
void uart_put(int byte) {}
bool nor_program(uint32_t offset, const uint8_t *bytes, uint32_t length) { return false; }
void nor_erase(uint32_t sector) {}
bool nor_is_erased(uint32_t offset, uint32_t length) { return false; }
uint32_t retained_read(uint8_t *bytes) { return 0; }
void retained_write(const uint8_t *bytes, uint32_t length) {}
void *mcu_malloc(size_t bytes) { return malloc(bytes); }
void *mcu_calloc(size_t count, size_t size) { return calloc(count, size); }
void *mcu_realloc(void *pointer, size_t bytes) { return realloc(pointer, bytes); }
void mcu_free(void *pointer) { free(pointer); }

static char *read_whole(const char *path) {
  FILE *file = fopen(path, "rb");
  if (!file) return NULL;
  fseek(file, 0, SEEK_END);
  long bytes = ftell(file);
  rewind(file);
  char *text = malloc((size_t)bytes + 1);
  text[fread(text, 1, (size_t)bytes, file)] = 0;
  fclose(file);
  return text;
}

/* Built-ins whose prototypes the image does without (maker.c, strip_intrinsics). */
static void refuse_name(txID id, const char *name) {
  static const txID refused[] = {
      mxID(_Compartment), mxID(_Date),    mxID(_FinalizationRegistry), mxID(_ModuleSource),
      mxID(_Proxy),       mxID(_RegExp),  mxID(_SharedArrayBuffer),    mxID(_Atomics),
      mxID(_WeakMap),     mxID(_WeakRef), mxID(_WeakSet)};
  for (unsigned i = 0; i < sizeof refused / sizeof *refused; i++) {
    if (id != refused[i]) continue;
    fprintf(stderr, "the program names %s, which is not in the image\n", name);
    exit(1);
  }
}

/* Names that the machine does not know yet are written out, in the order of their numbers. */
static void write_names(txMachine *the, txScript *script, FILE *out) {
  txByte *at = script->symbolsBuffer;
  txID count;
  mxDecodeID(at, count);
  txID *ids = calloc(count, sizeof(txID));
  unsigned first = the->keyIndex, written = 0;
  fprintf(out, "const char *const program_name[] = {\n");
  ids[0] = XS_NO_ID;
  for (txID i = 1; i < count; i++) {
    txID before = the->keyIndex;
    ids[i] = fxNewNameC(the, (txString)at);
    refuse_name(ids[i], (char *)at);
    if (the->keyIndex != before) {
      written++;
      fprintf(out, "  \"%s\",\n", at);
    }
    at += strlen((char *)at) + 1;
  }
  fprintf(out, "  0};\nconst unsigned short program_uses[] = {");
  for (txID i = 1; i < count; i++) fprintf(out, "%u,", (unsigned)ids[i]);
  fprintf(out, "0};\nconst unsigned program_names = %u, program_first_name = %u;\n", written,
          first);
  fxRemapIDs(the, script->codeBuffer, script->codeSize, ids);
  free(ids);
}

/* Where a function's code begins and how long it is, for bytecode.ts. */
static void write_function(txScript *script, const txU1 *at, unsigned code, FILE *out) {
  unsigned width = code == XS_CODE_CODE_1 ? 1 : code == XS_CODE_CODE_2 ? 2 : 4;
  unsigned length = at[1];
  if (width > 1) length |= (unsigned)at[2] << 8;
  if (width > 2) length |= (unsigned)at[3] << 16 | (unsigned)at[4] << 24;
  fprintf(out, "/* function %u %u */\n", (unsigned)(at - (txU1 *)script->codeBuffer) + 1 + width,
          length);
}

/* What the image does without (maker.c, engine.patch). */
static void refuse(unsigned code) {
  static const unsigned refused[] = {XS_CODE_ARGUMENTS_SLOPPY, XS_CODE_ASYNC_GENERATOR_FUNCTION,
                                     XS_CODE_EVAL, XS_CODE_EVAL_TAIL, XS_CODE_FOR_AWAIT_OF,
                                     XS_CODE_IMPORT, XS_CODE_REGEXP, XS_CODE_WITH};
  for (unsigned i = 0; i < sizeof refused / sizeof *refused; i++) {
    if (code != refused[i]) continue;
    fprintf(stderr, "the program has %s, which is not in the image\n", gxCodeNames[code]);
    exit(1);
  }
}

/* Functions and strings stay where they are, in flash: the opcodes of archives say so. Returns how many variables are fixed (engine.patch). */
static unsigned keep_in_place(txScript *script, FILE *out) {
  txU1 *at = (txU1 *)script->codeBuffer, *end = at + script->codeSize;
  unsigned fixed = 0;
  while (at < end) {
    txU1 code = *at;
    txS1 bytes = gxCodeSizes[code];
    refuse(code);
    if (code == XS_CODE_FIXED_GET || code == XS_CODE_FIXED_SET || code == XS_CODE_FIXED_CALL) {
      unsigned number = at[1] | (unsigned)at[2] << 8;
      if (number >= fixed) fixed = number + 1;
    }
    if (code >= XS_CODE_CODE_1 && code <= XS_CODE_CODE_4) {
      *at = code - XS_CODE_CODE_1 + XS_CODE_CODE_ARCHIVE_1;
    } else if (code >= XS_CODE_STRING_1 && code <= XS_CODE_STRING_4) {
      *at = code - XS_CODE_STRING_1 + XS_CODE_STRING_ARCHIVE_1;
    }
    if (code >= XS_CODE_CODE_1 && code <= XS_CODE_CODE_4) write_function(script, at, code, out);
    if (bytes > 0) at += bytes;
    else if (bytes == 0) at += 1 + sizeof(txID);
    else if (bytes == -1) at += 2 + at[1];
    else if (bytes == -2) at += 3 + (at[1] | at[2] << 8);
    else at += 5 + (at[1] | at[2] << 8 | at[3] << 16 | (txU4)at[4] << 24);
  }
  return fixed;
}

int main(int count, char **words) {
  txCreation creation = mcu_creation;
  creation.initialChunkSize = 65536;
  creation.initialHeapCount = 16384;
  creation.initialKeyCount = 8192;
  creation.stackCount = 8192;
  char *text = count == 3 ? read_whole(words[1]) : NULL;
  FILE *out = text ? fopen(words[2], "w") : NULL;
  if (!out) {
    fprintf(stderr, "usage: compile program.js program.c\n");
    return 1;
  }
  txMachine *the = fxCreateMachine(&creation, "compiler", NULL, XS_NO_ID);
  engine_install(the);
  txStringCStream stream = {.buffer = text, .offset = 0, .size = (txSize)strlen(text)};
  txScript *script = fxParseScript(the, &stream, fxStringCGetter, mxProgramFlag);
  if (!script) return 1;
  write_names(the, script, out);
  unsigned fixed = keep_in_place(script, out);
  fprintf(out, "const unsigned program_fixed = %u;\n", fixed);
  fprintf(out, "const unsigned program_code_bytes = %u;\n", (unsigned)script->codeSize);
  fprintf(out, "const unsigned char program_code[] __attribute__((aligned(4))) = {");
  for (txSize i = 0; i < script->codeSize; i++) {
    fprintf(out, "%u,", (unsigned)(txU1)script->codeBuffer[i]);
  }
  fprintf(out, "};\n");
  return fclose(out) == 0 ? 0 : 1;
}
