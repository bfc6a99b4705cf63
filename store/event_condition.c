#include "store/event_condition-internal.h"

#include "base/num.h"

static bool numeric(enum event_op op)
{
    return op == EVENT_LT || op == EVENT_LE || op == EVENT_GT || op == EVENT_GE;
}

static bool by_regex(enum event_op op)
{
    return op == EVENT_RE || op == EVENT_NRE;
}

int event_condition_check(enum event_kind kind, const struct event_condition *c, struct err *e)
{
    const struct event_table *t = &event_tables[kind];
    struct str name = c->attribute;
    bool text = true;

    if (c->column >= 0) {
        if ((size_t)c->column >= t->n)
            return err_set(e, ERR_INVALID, "%.*s: column %d, should be less than %zu", STR_ARG(t->name), c->column,
                           t->n);
        name = t->columns[c->column].name;
        text = t->columns[c->column].is_text;
    }
    if (by_regex(c->op) && !c->re)
        return err_set(e, ERR_INVALID, "%.*s: a regular expression is missing", STR_ARG(name));
    if (!text && c->op != EVENT_EQ && c->op != EVENT_NE && !numeric(c->op))
        return err_set(e, ERR_INVALID, "%.*s: a number cannot be searched for text", STR_ARG(name));
    if (text && c->column >= 0 && numeric(c->op))
        return err_set(e, ERR_INVALID, "%.*s: a text cannot be compared as a number", STR_ARG(name));
    return 0;
}

bool event_condition_by_text(enum event_kind kind, const struct event_condition *c)
{
    return !by_regex(c->op) && !numeric(c->op) && (c->column < 0 || event_tables[kind].columns[c->column].is_text);
}

static bool number_in_text(const struct event_condition *c, struct str text)
{
    double v, than = (double)c->value.i;

    if (!num_double(text, &v))
        return false;
    switch (c->op) {
    case EVENT_LT:
        return v < than;
    case EVENT_LE:
        return v <= than;
    case EVENT_GT:
        return v > than;
    default:
        return v >= than;
    }
}

bool event_condition_text(const struct event_condition *c, struct str text)
{
    switch (c->op) {
    case EVENT_EQ:
        return str_eq(text, c->value.s);
    case EVENT_NE:
        return !str_eq(text, c->value.s);
    case EVENT_CONTAINS:
        return str_find(text, c->value.s) >= 0;
    case EVENT_LACKS:
        return str_find(text, c->value.s) < 0;
    case EVENT_RE:
        return regex_match(c->re, text);
    case EVENT_NRE:
        return !regex_match(c->re, text);
    default:
        return number_in_text(c, text);
    }
}

struct event_interval event_condition_interval(const struct event_condition *c)
{
    const struct event_interval none = { 1, 0, false };
    int64_t v = c->value.i;

    switch (c->op) {
    case EVENT_EQ:
        return (struct event_interval){ v, v, false };
    case EVENT_NE:
        return (struct event_interval){ v, v, true };
    case EVENT_LT:
        return v == INT64_MIN ? none : (struct event_interval){ INT64_MIN, v - 1, false };
    case EVENT_LE:
        return (struct event_interval){ INT64_MIN, v, false };
    case EVENT_GT:
        return v == INT64_MAX ? none : (struct event_interval){ v + 1, INT64_MAX, false };
    default:
        return (struct event_interval){ v, INT64_MAX, false };
    }
}

bool event_condition_value(const struct event_condition *c, bool is_text, union event_value v)
{
    struct event_interval in;

    if (is_text)
        return event_condition_text(c, v.s);
    in = event_condition_interval(c);
    return (v.i >= in.lo && v.i <= in.hi) != in.outside;
}
