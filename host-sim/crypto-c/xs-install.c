/* Gives an XS machine the global picoboltNative, the NativeFunctions of firmware/crypto/native.ts: for images whose scripts cannot name C functions. */
#include "picobolt-crypto.h"
#include "xsmc.h"

#include "xs-crypto.h"
#include "xs-install.h"

/* Takes a machine that runs no script at the moment, or is in a host function. */
void picobolt_install_crypto(xsMachine *machine) {
  xsBeginHost(machine);
  xsmcVars(2);
  xsVar(0) = xsNewObject();
#define INSTALL(name, length)                               \
  xsVar(1) = xsNewHostFunction(xs_picobolt_##name, length); \
  xsmcDefine(xsVar(0), xsID(#name), xsVar(1), xsDontSet | xsDontDelete);
  PICOBOLT_XS_FUNCTIONS(INSTALL)
  xsmcDefine(xsGlobal, xsID("picoboltNative"), xsVar(0), xsDontEnum);
  xsEndHost(machine);
}
