/* event_prune.c: which sources, and which conditions of a query, need not be looked at row by row.
 *
 * From what costs nothing to what costs a read:
 *
 *     summary      in memory     a column that is not there or is the same everywhere; numbers beyond min and max
 *     filter       about 4 KB    a word of a needle, or a shelf of ids (event_build.c) an id, that no row has
 *     dictionary   a few KB      distinct values, each judged once: when none holds no row does
 *
 * Each may also say that every row holds; then the condition needs no look at rows either. */
#include "store/event_condition-internal.h"

static enum event_verdict all_or_none(bool holds)
{
    return holds ? EVENT_EVERY_ROW : EVENT_NO_ROW;
}

static enum event_verdict opposite(enum event_verdict v)
{
    return v == EVENT_SOME_ROWS ? v : all_or_none(v == EVENT_NO_ROW);
}

static enum event_verdict by_interval(struct event_interval in, int64_t min, int64_t max)
{
    enum event_verdict v = EVENT_SOME_ROWS;

    if (in.lo > in.hi || max < in.lo || min > in.hi)
        v = EVENT_NO_ROW;
    else if (min >= in.lo && max <= in.hi)
        v = EVENT_EVERY_ROW;
    return in.outside ? opposite(v) : v;
}

enum event_verdict event_prune_summary(enum event_kind kind, const struct event_condition *c,
                                       const struct event_summary *s)
{
    if (!s) {
        bool is_text = c->column < 0 || event_tables[kind].columns[c->column].is_text;

        return all_or_none(event_condition_value(
            c, is_text, is_text ? (union event_value){ .s = STR_NULL }
                                : event_unset(kind, &event_tables[kind].columns[c->column])));
    }
    if (!s->is_text)
        return by_interval(event_condition_interval(c), s->min, s->max);
    if ((c->op == EVENT_CONTAINS || c->op == EVENT_LACKS) && c->value.s.n == 0)
        return all_or_none(c->op == EVENT_CONTAINS);
    if ((c->op == EVENT_EQ || c->op == EVENT_NE) && c->value.s.n == 0 && !s->has_unset)
        return all_or_none(c->op == EVENT_NE);
    return EVENT_SOME_ROWS;
}

/* Whether the column's filter knows of rows for which it holds. A text that contains a whole id is that id. */
static bool in_filter(const struct event_condition *c, const struct event_summary *s)
{
    if (c->op == EVENT_CONTAINS && s->form == EVENT_FORM_IDS)
        return s->id_length && c->value.s.n >= s->id_length;
    return c->op == EVENT_EQ || (c->op == EVENT_CONTAINS && s->form == EVENT_FORM_TEXTS);
}

int event_prune_filter(const struct event_condition *c, const struct event_summary *s, struct event_source *source,
                       enum event_verdict *out, struct err *e)
{
    const struct event_field f = { c->column, c->attribute };
    bool may = true;
    int rc = 0;

    if (s && s->filtered && s->is_text && c->value.s.n && in_filter(c, s))
        rc = source->ops->may_hold(source, f, c->value.s, &may, e);
    *out = may ? EVENT_SOME_ROWS : EVENT_NO_ROW;
    return rc;
}

enum event_verdict event_prune_values(const struct event_condition *c, const struct event_view *v, bool *holds)
{
    size_t n = v->form == EVENT_FORM_CONST ? 1 : v->distinct, held = 0;

    for (size_t i = 0; i < n; i++) {
        holds[i] = event_condition_value(c, v->is_text, v->values[i]);
        held += holds[i];
    }
    return held == 0 ? EVENT_NO_ROW : held == n ? EVENT_EVERY_ROW : EVENT_SOME_ROWS;
}
