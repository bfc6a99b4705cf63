/* statedir-internal.h: the folder of one vigla mesh up: who has it, and what the Pods of earlier runs left there. */
#ifndef CMD_STATEDIR_INTERNAL_H
#define CMD_STATEDIR_INTERNAL_H

#include "base/err.h"

/* Takes the folder. The descriptor that holds it until it is closed, or ERR_IO, ERR_CONFLICT: another one has it. */
int statedir_hold(const char *state, struct err *e);
/* What the Pods of an earlier run kept: nobody comes back to it, their names are never used again. */
void statedir_remove_pods(const char *state);
/* Asks the process that has the folder to end, and waits for it. ERR_NOTFOUND, ERR_TIMEOUT. */
int statedir_end(const char *state, struct err *e);

#endif
