/* series_log-internal.h: the log of series in vigla.db, written anew.
 *
 * Series come and go, and the log would only grow, and with it what the index keeps of those that are gone. So once most
 * are gone, an index with only the living is made, which has them under the same numbers, and a log that makes it. */
#ifndef STORE_SERIES_LOG_INTERNAL_H
#define STORE_SERIES_LOG_INTERNAL_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

struct db;
struct series_index;

/* Whether it would be worth it; `dead` series that are gone may stay in any case. */
bool series_log_is_old(const struct series_index *ix, size_t dead);
/* Puts a log of the living in the place of all there is, in one transaction, and makes *fresh from it, which the caller
 * owns; NULL: only the log is wanted. ERR_IO, ERR_FULL, ERR_NOMEM: nothing has changed. */
int series_log_rewrite(struct db *db, const struct series_index *ix, struct series_index **fresh, struct err *e);

#endif
