/* event_attributes-internal.h: maps of attributes as columns: one for each name, and one of label sets for names that
 * are too many. */
#ifndef STORE_EVENT_ATTRIBUTES_INTERNAL_H
#define STORE_EVENT_ATTRIBUTES_INTERNAL_H

#include "base/buf.h"
#include "base/labels.h"
#include "store/event_source-internal.h"

/* Attributes that become columns, at most; what has other names is kept as packed label sets in one column more. */
enum { EVENT_ATTRIBUTE_COLUMNS = 1000 };

struct event_attributes {
    size_t rows, n; /* n: columns */
    struct str names[EVENT_ATTRIBUTE_COLUMNS];
    uint32_t starts[EVENT_ATTRIBUTE_COLUMNS + 2]; /* of each column's entries; then of those of the overflow */
    struct event_attribute {
        uint32_t row;
        uint16_t column;
        const struct label *label;
    } *entries; /* owned; column by column, in each by rising row */
    union event_value *values; /* owned; a column's, or NULL when there are no attributes at all */
    struct buf overflow;
};

/* Of maps[0..n). ERR_NOMEM. event_attributes_fini is due in any case. */
int event_attributes_init(struct event_attributes *at, const struct labels *maps, size_t n, struct err *e);
void event_attributes_fini(struct event_attributes *at);
/* Column i's values, one for each row; valid until the next call. */
const union event_value *event_attributes_column(struct event_attributes *at, size_t i);
/* The packed label sets of what has no column; NULL: everything has one, or ERR_NOMEM is in `at->overflow`. */
const union event_value *event_attributes_overflow(struct event_attributes *at);

/* --- reading the overflow: `sets` is its column with its rows --- */

/* Which name has which values. */
struct event_overflow;

/* In the view's arena. ERR_CORRUPT, ERR_NOMEM. */
int event_overflow_read(struct event_view *sets, struct event_overflow **out, struct err *e);
/* Makes *v the view of one name's values, with its rows, in `a`; *there false: no row has it. ERR_NOMEM. */
int event_overflow_open(const struct event_overflow *o, struct str name, struct arena *a, struct event_view *v,
                        bool *there, struct err *e);
/* Its names, n of them. */
const struct str *event_overflow_names(const struct event_overflow *o, size_t *n);

#endif
