/* The frozen machine in flash: what maker.c made, as image.ts linked it. */
#include "engine.h"

extern txMachine *const frozen_root;

txMachine *image_root(void) { return frozen_root; }
