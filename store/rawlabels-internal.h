/* rawlabels-internal.h: a label set as remote write spells it. Source: prometheus.io/docs/specs/prw/remote_write_spec. */
#ifndef STORE_RAWLABELS_INTERNAL_H
#define STORE_RAWLABELS_INTERNAL_H

#include "base/arena.h"
#include "base/err.h"
#include "base/labels.h"

/* `raw` is a run of fields 1 (labels) of a TimeSeries. *l is normalised, its texts are views of raw. ERR_INVALID: no label
 * set of a series (not UTF-8, a name twice, no __name__, …); ERR_PARSE: not even protobuf; ERR_LIMIT; ERR_NOMEM. */
int raw_labels_parse(struct str raw, struct arena *a, struct labels *l, struct err *e);
/* Whether `l`, normalised, may name a series. ERR_INVALID, ERR_LIMIT. (validate.c) */
int series_labels_check(struct labels l, struct err *e);

#endif
