/* series_rows.h: the access log rows that a series of Istio's metrics counts.
 *
 * A request is counted when it is over, and so it belongs to a window that it ended in. With a selector of
 * istio_requests_total increase() over the window (from, to] is the number of rows; what the proxies have not sent yet (some
 * 200 ms) is missing on both sides, and a window that ends amidst traffic may cut it at two sides of one flush. */
#ifndef QUERY_SERIES_ROWS_H
#define QUERY_SERIES_ROWS_H

#include "base/arena.h"
#include "store/events.h"
#include "store/matcher.h"

struct series_rows_query {
    /* Of a PromQL selector: labels of Istio's metrics, `pod` and `namespace`, `job` and `instance` (service.name and
     * service.instance.id of whoever reported), `le` of durations; any other is an attribute's name. */
    const struct matcher *matchers;
    size_t n;
    int64_t from_ns, to_ns; /* from exclusive, to inclusive */
    size_t limit;           /* rows that are wanted; 0: the count alone */
};

struct series_row {
    int64_t time_ns; /* when it began */
    union event_value values[ACCESS_LOG_NFIELDS];
    struct labels attributes;
};

/* The newest rows, and how many there are. ERR_INVALID, ERR_UNSUPPORTED: no rows stand behind such a series; ERR_NOMEM,
 * ERR_IO, ERR_CORRUPT. */
int series_rows(struct store *st, const struct series_rows_query *q, struct arena *a, struct series_row **rows, size_t *n,
                uint64_t *count, struct err *e);

#endif
