/* metric_tags.h: labels that a record's metrics have beside Istio's, instead of them, or not at all (record_obey). */
#ifndef PROXY_METRIC_TAGS_H
#define PROXY_METRIC_TAGS_H

#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

enum { METRIC_TAGS_READ_MOST = 32 };

struct metric_tags {
    size_t n;
    struct {
        struct str name, value; /* value p NULL: the label is removed */
    } v[METRIC_TAGS_READ_MOST];
};

/* Of the metrics in `*left` (1 << enum istio_metric) takes the first and all that have the same labels: they are taken
 * out of `*left` and returned, with these labels in `to`. `texts`: record.metric_tags. */
uint32_t metric_tags_next(struct str texts, uint32_t *left, struct metric_tags *to);
/* Whether a label of that name is set or removed, and its value. */
bool metric_tags_find(const struct metric_tags *t, struct str name, struct str *value);

#endif
