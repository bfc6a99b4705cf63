/* event_columns-internal.h: values of the rows of one source, column by column. */
#ifndef STORE_EVENT_COLUMNS_INTERNAL_H
#define STORE_EVENT_COLUMNS_INTERNAL_H

#include "store/event_source-internal.h"

struct event_columns {
    uint64_t wanted;
    struct event_view *columns[EVENT_MAX_COLUMNS]; /* NULL: not wanted, or unset in all rows */
    const struct str *names;                       /* of attributes, in order */
    struct event_view **attributes;                /* one for each name */
    size_t nattributes;
};

/* Loads columns (bit i: column i) and, when asked for, all attributes, into the source's arena. ERR_NOMEM, ERR_IO,
 * ERR_CORRUPT. */
int event_columns_load(struct event_columns *c, struct event_source *s, uint64_t wanted, bool attributes, struct err *e);
/* columns[i][at] of each wanted column i becomes the row's value. */
int event_columns_read(const struct event_columns *c, enum event_kind kind, size_t row,
                       union event_value *const columns[EVENT_MAX_COLUMNS], size_t at, struct err *e);
/* The row's attributes: the pairs live in `a`, the texts with the source. */
int event_columns_attributes(const struct event_columns *c, size_t row, struct arena *a, struct labels *out,
                             struct err *e);

#endif
