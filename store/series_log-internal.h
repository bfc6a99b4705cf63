/* series_log-internal.h: the log of series in vigla.db, written anew. */
#ifndef STORE_SERIES_LOG_INTERNAL_H
#define STORE_SERIES_LOG_INTERNAL_H

#include "base/err.h"

struct db;
struct series_index;

/* Puts one record that makes this index in the place of all there are. ERR_IO, ERR_FULL, ERR_NOMEM: nothing has changed. */
int series_log_rewrite(struct db *db, const struct series_index *ix, struct err *e);
/* Does so when most of what the log brought is gone again: series come and go, and the log would only grow. */
int series_log_tidy(struct db *db, const struct series_index *ix, struct err *e);

#endif
