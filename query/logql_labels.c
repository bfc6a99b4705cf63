/* logql_labels.c: which labels there are in a window, with which values; which streams, and how much of each. */
#include "query/logql_row-internal.h"

#include <stdlib.h>

enum { MOST_VALUES = 10000, SAMPLED_ROWS = 2000 };

struct names {
    struct arena *a;
    struct str *v;
    size_t n, cap;
};

static int add(struct names *list, struct str s)
{
    if (arena_grow(list->a, &list->v, &list->cap, list->n + 1, sizeof(s)) < 0)
        return ERR_NOMEM;
    list->v[list->n++] = s;
    return 0;
}

static int by_text(const void *a, const void *b)
{
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

/* Sorted, each once, at most `limit` (0: all). */
static void finish(struct names *list, size_t limit, struct str **out, size_t *n)
{
    size_t kept = 0;

    if (list->n > 1)
        qsort(list->v, list->n, sizeof(*list->v), by_text);
    for (size_t i = 0; i < list->n; i++)
        if (kept == 0 || !str_eq(list->v[kept - 1], list->v[i]))
            list->v[kept++] = list->v[i];
    *out = list->v;
    *n = limit && kept > limit ? limit : kept;
}

static int out_of_memory(int rc, struct err *e)
{
    return rc == ERR_NOMEM ? err_set(e, ERR_NOMEM, "labels: no memory to list them") : rc;
}

/* 1 when the table has an event in the window. */
static int has_events(struct store *st, enum event_kind kind, struct logql_window w, struct arena *a, struct err *e)
{
    struct event_query q = { .kind = kind, .from_ns = w.from_ns, .to_ns = w.to_ns, .limit = 1 };
    struct event_cursor *c = events_open(st, &q, a, e);
    struct event_page page = { 0 };
    int rc;

    if (!c)
        return e->code;
    rc = events_next(c, &page, e);
    events_close(c);
    return rc;
}

/* The values of a column in one table, "" left out; what is no column has none here. */
static int add_values(struct store *st, enum event_kind kind, struct str name, struct logql_window w, size_t most,
                      struct names *list, struct err *e)
{
    struct field f = logql_field(kind, name);
    struct str *values;
    size_t n;
    int rc;

    if (f.kind == FIELD_KIND) {
        rc = has_events(st, kind, w, list->a, e);
        return rc > 0 ? add(list, event_tables[kind].name) : rc;
    }
    if (f.kind != FIELD_COLUMN || logql_is_number(kind, &f))
        return 0;
    rc = events_distinct(st, kind, f.column, w.from_ns, w.to_ns, most, list->a, &values, &n, e);
    for (size_t i = 0; rc == 0 && i < n; i++)
        if (values[i].n)
            rc = add(list, values[i]);
    return rc;
}

/* --- names ------------------------------------------------------------------------------------------------------- */

/* The names of log lines' attributes, as far as the newest lines have them. */
static int add_attributes(struct store *st, struct logql_window w, struct names *list, struct err *e)
{
    struct event_query q = { .kind = EVENT_LOG, .from_ns = w.from_ns, .to_ns = w.to_ns, .attributes = true,
                             .newest_first = true, .limit = SAMPLED_ROWS };
    struct event_cursor *c = events_open(st, &q, list->a, e);
    struct event_page page;
    int rc;

    if (!c)
        return e->code;
    while ((rc = events_next(c, &page, e)) == 1) {
        for (size_t i = 0; rc == 1 && i < page.n; i++)
            for (size_t k = 0; rc == 1 && k < page.attributes[i].n; k++) {
                struct str name = page.attributes[i].v[k].name;
                bool known = false;

                for (size_t j = 0; j < list->n && !known; j++)
                    known = str_eq(list->v[j], name);
                if (!known && (!(name = arena_str(list->a, name)).p || add(list, name) < 0))
                    rc = ERR_NOMEM;
            }
        if (rc < 0)
            break;
    }
    events_close(c);
    return rc;
}

int logql_label_names(struct store *st, struct logql_window w, struct arena *a, struct str **out, size_t *n,
                      struct err *e)
{
    static const struct str always[] = { STR_INIT("app"),     STR_INIT("kind"),    STR_INIT("namespace"),
                                         STR_INIT("reporter"), STR_INIT("service"), STR_INIT("version"),
                                         STR_INIT("workload") };
    struct err mine = ERR_INIT;
    struct names list = { .a = a };
    int rc = 0;

    e = e ? e : &mine;
    for (size_t i = 0; rc == 0 && i < sizeof(always) / sizeof(always[0]); i++) {
        struct names values = { .a = a };

        for (int kind = 0; rc == 0 && kind < EVENT_KINDS; kind++)
            rc = add_values(st, (enum event_kind)kind, always[i], w, 2, &values, e);
        if (rc == 0 && values.n)
            rc = add(&list, always[i]);
    }
    if (rc == 0)
        rc = add_attributes(st, w, &list, e);
    finish(&list, 0, out, n);
    return out_of_memory(rc, e);
}

/* --- values ------------------------------------------------------------------------------------------------------ */

/* What log lines have as the attribute `name`. */
static int add_attribute_values(struct store *st, struct str name, struct logql_window w, struct names *list,
                                struct err *e)
{
    struct matcher m[2];
    struct log_query q = { .matchers = m, .nmatchers = 2 };
    struct logql_expr x = { .lines = &q };
    struct logql_volume *v;
    size_t n = 0;
    int rc;

    rc = matcher_init(&m[0], list->a, MATCH_EQ, STR("kind"), event_tables[EVENT_LOG].name, e);
    if (rc == 0)
        rc = matcher_init(&m[1], list->a, MATCH_NE, name, STR_NULL, e);
    if (rc == 0)
        rc = logql_volumes(st, &x, w, &name, 1, false, NULL, list->a, &v, &n, e);
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = add(list, labels_get(v[i].labels, name));
    return rc;
}

int logql_label_values(struct store *st, struct str name, struct logql_window w, struct arena *a, struct str **out,
                       size_t *n, struct err *e)
{
    struct err mine = ERR_INIT;
    struct names list = { .a = a };
    int rc = 0;

    e = e ? e : &mine;
    for (int kind = 0; rc == 0 && kind < EVENT_KINDS; kind++)
        rc = add_values(st, (enum event_kind)kind, name, w, w.limit ? w.limit + 1 : MOST_VALUES, &list, e);
    if (rc == 0 && logql_field(EVENT_LOG, name).kind == FIELD_ATTRIBUTE)
        rc = add_attribute_values(st, name, w, &list, e);
    finish(&list, w.limit, out, n);
    return out_of_memory(rc, e);
}

/* --- streams ----------------------------------------------------------------------------------------------------- */

static int64_t ms_above(int64_t ns)
{
    return ns / 1000000 + (ns % 1000000 > 0);
}

static int64_t ms_below(int64_t ns)
{
    return ns / 1000000 - (ns % 1000000 < 0);
}

static int by_labels(const void *a, const void *b)
{
    return labels_cmp(((const struct logql_volume *)a)->labels, ((const struct logql_volume *)b)->labels);
}

static struct promql_value *count(struct store *st, const struct logql_expr *x, struct promql_window at, int64_t range_ms,
                                  const struct str *by, size_t nby, bool bytes, const struct promql_limits *limits,
                                  struct arena *a, struct err *e)
{
    struct promql_limits own = limits ? *limits : (struct promql_limits){ 0 };
    struct promql_expr expr;

    own.cache = NULL;
    if (!x->lines) {
        err_set(e, ERR_INVALID, "query: should be one for lines, as in {app=\"web\"}");
        return NULL;
    }
    if (log_count_expr(a, x->lines, range_ms, by, nby, bytes, &expr) < 0) {
        out_of_memory(ERR_NOMEM, e);
        return NULL;
    }
    return promql_eval(st, &expr, at, &own, a, e);
}

/* A window from inclusive to exclusive is one of PromQL's, from exclusive to inclusive, 1 ns earlier, and then wider by
 * less than a millisecond at both ends. */
int logql_volumes(struct store *st, const struct logql_expr *x, struct logql_window w, const struct str *by, size_t nby,
                  bool bytes, const struct promql_limits *limits, struct arena *a, struct logql_volume **out, size_t *n,
                  struct err *e)
{
    int64_t from = ms_below(w.from_ns - 1), to = ms_above(w.to_ns - 1);
    struct err mine = ERR_INIT;
    struct promql_value *v;

    e = e ? e : &mine;
    *n = 0;
    *out = NULL;
    if (to <= from)
        return 0;
    v = count(st, x, (struct promql_window){ to, to, 0 }, to - from, by, nby, bytes, limits, a, e);
    if (!v)
        return e->code;
    *out = arena_array(a, v->n + 1, sizeof(**out));
    if (!*out)
        return out_of_memory(ERR_NOMEM, e);
    for (; *n < v->n; ++*n)
        (*out)[*n] = (struct logql_volume){ v->series[*n].labels, v->series[*n].v[0] };
    qsort(*out, *n, sizeof(**out), by_labels);
    return 0;
}

struct promql_value *logql_volume_steps(struct store *st, const struct logql_expr *x, struct logql_window w,
                                        int64_t step_ms, const struct str *by, size_t nby,
                                        const struct promql_limits *limits, struct arena *a, struct err *e)
{
    const struct promql_window at = { w.from_ns / 1000000 + step_ms, w.to_ns / 1000000, step_ms };

    if (step_ms > 0 && at.end_ms >= at.start_ms)
        return count(st, x, at, step_ms, by, nby, true, limits, a, e);
    err_set(e, ERR_INVALID, "step: should be more than zero and not longer than the range");
    return NULL;
}

int logql_selector_names(const struct logql_expr *x, struct arena *a, struct str **names, size_t *n)
{
    struct names list = { .a = a };
    int rc = 0;

    for (size_t i = 0; rc == 0 && x->lines && i < x->lines->nmatchers; i++)
        rc = add(&list, x->lines->matchers[i].name);
    finish(&list, 0, names, n);
    return rc;
}
