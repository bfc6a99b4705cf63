/* event_condition-internal.h: a condition, judged: on a value, on what is known of a column, on its distinct values.
 *
 * An absent text is the empty one, an absent number the table's unset one (event_unset). A comparison as numbers of an
 * attribute, which is a text, holds only where the text is a number. */
#ifndef STORE_EVENT_CONDITION_INTERNAL_H
#define STORE_EVENT_CONDITION_INTERNAL_H

#include "store/event_source-internal.h"

/* What can be said of a condition and all rows of a source. */
enum event_verdict { EVENT_NO_ROW, EVENT_SOME_ROWS, EVENT_EVERY_ROW };

/* ERR_INVALID: it makes no sense for its column. */
int event_condition_check(enum event_kind kind, const struct event_condition *c, struct err *e);

/* Whether its `value` is a text that it looks at. */
bool event_condition_by_text(enum event_kind kind, const struct event_condition *c);
bool event_condition_text(const struct event_condition *c, struct str text);
bool event_condition_value(const struct event_condition *c, bool is_text, union event_value v);

/* The numbers of a column for which it holds: those in [lo, hi], lo > hi for none; or, when `outside`, all others. */
struct event_interval {
    int64_t lo, hi;
    bool outside;
};
struct event_interval event_condition_interval(const struct event_condition *c);

/* By the summary of its column, NULL when there is no such column. */
enum event_verdict event_prune_summary(enum event_kind kind, const struct event_condition *c,
                                       const struct event_summary *s);
/* By the column's filter, which is read; never EVENT_EVERY_ROW. */
int event_prune_filter(const struct event_condition *c, const struct event_summary *s, struct event_source *source,
                       enum event_verdict *out, struct err *e);
/* By the values of a column that is CONST or DICT; holds[i] says it of values[i]. */
enum event_verdict event_prune_values(const struct event_condition *c, const struct event_view *v, bool *holds);

#endif
