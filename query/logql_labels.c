/* logql_labels.c: which stream labels there are in a window, and with which values. */
#include "query/logql-internal.h"

#include <stdlib.h>

enum { MOST_VALUES = 10000 };

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

/* The values of one label in one table, "" left out. */
static int add_values(struct store *st, enum event_kind kind, struct str name, struct logql_window w, size_t most,
                      struct names *list, struct err *e)
{
    struct field f;
    struct str *values;
    size_t n;
    int rc;

    if (!logql_stream_field(kind, name, &f))
        return 0;
    if (f.kind == FIELD_KIND) {
        rc = has_events(st, kind, w, list->a, e);
        return rc > 0 ? add(list, event_tables[kind].name) : rc;
    }
    rc = events_distinct(st, kind, f.column, w.from_ns, w.to_ns, most, list->a, &values, &n, e);
    for (size_t i = 0; rc == 0 && i < n; i++)
        if (values[i].n)
            rc = add(list, values[i]);
    return rc;
}

static int out_of_memory(int rc, struct err *e)
{
    return rc == ERR_NOMEM ? err_set(e, ERR_NOMEM, "labels: no memory to list them") : rc;
}

int logql_label_names(struct store *st, struct logql_window w, struct arena *a, struct str **out, size_t *n,
                      struct err *e)
{
    struct err mine = ERR_INIT;
    struct names list = { .a = a };
    int rc = 0;

    e = e ? e : &mine;
    for (size_t i = 0; rc == 0 && i < STREAM_LABELS; i++) {
        struct names values = { .a = a };

        for (int kind = 0; rc == 0 && kind < EVENT_KINDS; kind++)
            rc = add_values(st, (enum event_kind)kind, logql_stream_labels[i], w, 2, &values, e);
        if (rc == 0 && values.n)
            rc = add(&list, logql_stream_labels[i]);
    }
    finish(&list, 0, out, n);
    return out_of_memory(rc, e);
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
    finish(&list, w.limit, out, n);
    return out_of_memory(rc, e);
}
