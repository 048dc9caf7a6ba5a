/* SPDX-License-Identifier: Apache-2.0 */
/* Ctrl-C and kill for commands that only read: a stop token that SIGINT, SIGTERM and SIGHUP set. */
#ifndef CMD_INTERRUPT_H
#define CMD_INTERRUPT_H

#include "base/stop.h"

/* The same token each time; it lives as long as the process.  The first call installs the handlers. */
const struct stop *interrupt_token(void);

#endif
