/* exemplars.h: examples behind samples: a value, its time, and labels such as a trace's id.
 *
 * They come with batches (batch_add_exemplar). The newest 100,000 of all series are kept, as examples are for looking
 * at the present. One that comes twice is kept once. */
#ifndef STORE_EXEMPLARS_H
#define STORE_EXEMPLARS_H

#include "store/series.h"

/* Those of the matching series in the range, by series, then time. All of it lives in `a`. ERR_NOMEM, ERR_IO,
 * ERR_CORRUPT. */
int exemplars_find(struct store *st, const struct series_query *q, struct arena *a, struct batch_exemplar **out,
                   size_t *n, struct err *e);

#endif
