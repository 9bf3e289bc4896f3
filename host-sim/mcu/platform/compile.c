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
    if (the->keyIndex != before) {
      written++;
      fprintf(out, "  \"%s\",\n", at);
    }
    at += strlen((char *)at) + 1;
  }
  fprintf(out, "  0};\nconst unsigned program_names = %u, program_first_name = %u;\n", written,
          first);
  fxRemapIDs(the, script->codeBuffer, script->codeSize, ids);
  free(ids);
}

/* Functions and strings stay where they are, in flash: the opcodes of archives say so. */
static void keep_in_place(txScript *script) {
  txU1 *at = (txU1 *)script->codeBuffer, *end = at + script->codeSize;
  while (at < end) {
    txU1 code = *at;
    txS1 bytes = gxCodeSizes[code];
    if (code >= XS_CODE_CODE_1 && code <= XS_CODE_CODE_4) {
      *at = code - XS_CODE_CODE_1 + XS_CODE_CODE_ARCHIVE_1;
    } else if (code >= XS_CODE_STRING_1 && code <= XS_CODE_STRING_4) {
      *at = code - XS_CODE_STRING_1 + XS_CODE_STRING_ARCHIVE_1;
    }
    if (bytes > 0) at += bytes;
    else if (bytes == 0) at += 1 + sizeof(txID);
    else if (bytes == -1) at += 2 + at[1];
    else if (bytes == -2) at += 3 + (at[1] | at[2] << 8);
    else at += 5 + (at[1] | at[2] << 8 | at[3] << 16 | (txU4)at[4] << 24);
  }
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
  keep_in_place(script);
  fprintf(out, "const unsigned program_code_bytes = %u;\n", (unsigned)script->codeSize);
  fprintf(out, "const unsigned char program_code[] __attribute__((aligned(4))) = {");
  for (txSize i = 0; i < script->codeSize; i++) {
    fprintf(out, "%u,", (unsigned)(txU1)script->codeBuffer[i]);
  }
  fprintf(out, "};\n");
  return fclose(out) == 0 ? 0 : 1;
}
