/* remote_write-internal.h: what remote_write.c and remote_write_exemplars.c share. */
#ifndef COLLECTOR_REMOTE_WRITE_INTERNAL_H
#define COLLECTOR_REMOTE_WRITE_INTERNAL_H

#include "collector/remote_write.h"

/* A Label message; views into it. ERR_PARSE. */
int remote_write_label(struct str message, struct label *l, struct err *e);
/* Adds the exemplars of a TimeSeries message to the batch, for the series `l`, whose array is copied when it is needed.
 * *dropped counts those that are no good. ERR_NOMEM. */
int remote_write_exemplars(struct batch *b, struct str message, struct labels l, uint64_t *dropped);

#endif
