/* event_combine-internal.h: numbers in the place of values: rows with the same values have the same number. */
#ifndef STORE_EVENT_COMBINE_INTERNAL_H
#define STORE_EVENT_COMBINE_INTERNAL_H

#include "store/event_select-internal.h"

/* Numbers values as they come, from 0. */
struct event_numbering {
    bool is_text;
    size_t n;
    union event_value *values; /* by number; texts are not copied */
    uint64_t *hashes;
    uint32_t *slots;           /* number + 1; 0: free. A power of two of them */
    size_t mask;
};

/* Room for `most` values, in `a`. ERR_NOMEM. */
int event_numbering_init(struct event_numbering *n, bool is_text, size_t most, struct arena *a, struct err *e);
uint32_t event_number(struct event_numbering *n, union event_value v);
/* The distinct values of selected rows of a view whose rows are loaded. */
int event_number_rows(struct event_view *v, const struct event_selection *s, struct arena *a,
                      struct event_numbering *out, uint32_t *codes, struct err *e);

struct event_combination {
    size_t n;        /* codes are below it */
    uint32_t *codes; /* one for each selected row; NULL: all rows have the same values, and n is 1 */
};

/* The combinations of values of several columns with their rows; views[i] NULL: unset in all. Lives in `a`. ERR_NOMEM,
 * ERR_CORRUPT. */
int event_combine(struct event_view *const *views, size_t nviews, const struct event_selection *s, struct arena *a,
                  struct event_combination *out, struct err *e);

#endif
