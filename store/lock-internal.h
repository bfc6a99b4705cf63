/* lock-internal.h: one server per data directory. */
#ifndef STORE_LOCK_INTERNAL_H
#define STORE_LOCK_INTERNAL_H

#include "base/err.h"

/* Takes DIR/LOCK and writes our pid into it. The descriptor holds the lock until it is closed, by whatever end the
 * process comes to. ERR_CONFLICT names the holder; ERR_IO. */
int lock_take(const char *dir, struct err *e);
void lock_drop(int fd);

#endif
