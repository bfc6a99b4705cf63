/* event_order-internal.h: the rows of a selection by time. */
#ifndef STORE_EVENT_ORDER_INTERNAL_H
#define STORE_EVENT_ORDER_INTERNAL_H

#include "store/event_select-internal.h"

struct event_placed {
    int64_t time_ns;
    uint32_t row;
};

/* *out: the selected rows by rising time, those of one time by rising row; s->n of them, in source->arena. */
int event_order(const struct event_selection *s, struct event_source *source, struct event_placed **out, struct err *e);

#endif
