/* event_count-internal.h: counting the rows of one source. */
#ifndef STORE_EVENT_COUNT_INTERNAL_H
#define STORE_EVENT_COUNT_INTERNAL_H

#include "store/event_groups-internal.h"
#include "store/event_select-internal.h"

struct event_counting {
    struct event_wanted rows;
    const struct event_field *by;
    size_t nby;
    int64_t step_ns; /* 0: one step */
    enum event_measure measure;
    int column;
};

/* Adds the source's rows to the groups: all of them, or none when it fails with ERR_CORRUPT. ERR_NOMEM, ERR_IO, ERR_LIMIT. */
int event_count(const struct event_counting *c, struct event_source *s, struct event_groups *g, struct err *e);

#endif
