/* The engine on this machine: how it is made, run, and frozen into flash. */
#ifndef PICOBOLT_ENGINE_H
#define PICOBOLT_ENGINE_H
#include "xsAll.h"
#include "xsScript.h"

/* engine.c */
extern const txCreation mcu_creation;
void engine_install(txMachine *the); /* the globals that scripts have: picoboltNative and picoboltBoard */
bool engine_run(txMachine *the, txScript *script);
void engine_run_jobs(txMachine *the);
void engine_figures(txMachine *the);

/* natives.c */
void board_install(txMachine *the);

/* image.c: the frozen machine of this image; made and printed where the image has none yet. */
txMachine *image_root(void);

#endif
