/* The one function of xs-install.c. */
#ifndef PICOBOLT_XS_INSTALL_H
#define PICOBOLT_XS_INSTALL_H

void picobolt_install_crypto(xsMachine *machine);

#endif
