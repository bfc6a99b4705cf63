/* event_select-internal.h: the rows of one source that a query asks for. */
#ifndef STORE_EVENT_SELECT_INTERNAL_H
#define STORE_EVENT_SELECT_INTERNAL_H

#include "store/event_source-internal.h"

/* A query's range and conditions, checked; the texts of the conditions are copies. */
struct event_wanted {
    enum event_kind kind;
    int64_t from_ns, to_ns;
    const struct event_condition *conditions;
    size_t n;
    const struct event_needle *needles;
    size_t nneedles;
};

/* Lives in `a`. ERR_INVALID, ERR_NOMEM. */
int event_wanted_make(const struct event_query *q, struct arena *a, struct event_wanted *out, struct err *e);

struct event_selection {
    size_t n;
    uint32_t *rows; /* rising; NULL: all rows of the source, n of them */
};

static inline uint32_t event_selection_row(const struct event_selection *s, size_t i)
{
    return s->rows ? s->rows[i] : (uint32_t)i;
}

/* What is loaded for it, and the selection, live in s->arena. ERR_NOMEM, ERR_IO, ERR_CORRUPT. */
int event_select(const struct event_wanted *w, struct event_source *s, struct event_selection *out, struct err *e);

/* Takes rows out of the selection of which no column has the needle's text. (event_needle.c) */
int event_needle_narrow(const struct event_needle *needle, const struct event_wanted *w, struct event_source *s,
                        struct event_selection *rows, struct err *e);

/* Leaves of the selection the rows for which the condition holds, by a view whose rows are loaded; a selection of all rows
 * becomes a list in `a`. holds[i]: what the condition says of a dictionary's values[i]. (event_scan.c) */
int event_scan_rows(const struct event_condition *c, const bool *holds, struct event_view *v, struct arena *a,
                    struct event_selection *rows, struct err *e);

/* A column without its rows, and with them; *v NULL: it is unset everywhere. ERR_CORRUPT when it is no text where the
 * table says so, or the other way round. */
int event_open(struct event_source *s, struct event_field f, struct event_view **v, struct err *e);
int event_load(struct event_source *s, struct event_field f, struct event_view **v, struct err *e);

#endif
