/* Included before every source of the engine: which of its parts this image has. */
#define INCLUDE_XSPLATFORM 1
#define XSPLATFORM "xs-platform.h"
#define mxRun 1
#define mxParse 1
#define mxSloppy 1
#define mxMinusZero 1
#define mxCESU8 1
#define mxMisalignedSettersCrash 1

/* Chunks of the frozen machine are neither marked nor moved (build.ts patches the engine's collector with this). */
#ifdef __riscv
#define mxIsInFlash(pointer) ((unsigned long)(pointer) < 0x80000000ul)
#else
#define mxIsInFlash(pointer) 0
#endif
