/* What the engine asks of a platform: the C library under its own names, our heap, our end. */
#ifndef PICOBOLT_XS_PLATFORM_H
#define PICOBOLT_XS_PLATFORM_H
#include <ctype.h>
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/types.h>
#include <time.h>
#undef howmany
#define mxExport extern
#define mxImport extern
#define XS_FUNCTION_NORETURN __attribute__((noreturn))
extern void *mcu_malloc(size_t), *mcu_calloc(size_t, size_t), *mcu_realloc(void *, size_t);
extern void mcu_free(void *), mcu_exit(int) __attribute__((noreturn));
extern int mcu_gettimeofday(struct timeval *, void *);
#define c_malloc mcu_malloc
#define c_calloc mcu_calloc
#define c_realloc mcu_realloc
#define c_free mcu_free
#define c_malloc_uint32 mcu_malloc
#define c_free_uint32 mcu_free
#define c_exit mcu_exit
typedef struct timeval c_timeval;
#define c_timezone timezone
#define c_gettimeofday mcu_gettimeofday
#define C_PATH_MAX 128
#define mxUseDefaultCStackLimit 0
#define mxUseDefaultBuildKeys 1
#define mxUseDefaultSharedChunks 1
#ifndef PICOBOLT_NO_PARSER
#define mxUseDefaultParseScript 1
#endif
#define mxMachinePlatform \
  int promiseJobs;        \
  struct sxSlot *fixed;   \
  void *host;             \
  void *waiterCondition;  \
  void *waiterData;       \
  void *waiterLink;
#endif
