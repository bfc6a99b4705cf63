/* event_read_all.h: everything that may be asked of a source of events, and whether two hold the same. */
#ifndef TESTS_EVENT_READ_ALL_H
#define TESTS_EVENT_READ_ALL_H

#include "store/event_source-internal.h"

#include <stdlib.h>

static int open_rows(struct event_source *s, struct event_field f, struct event_view **v)
{
    int rc = s->ops->open(s, f, v, NULL);

    if (rc == 0 && *v && (!s->ops->summary(s, f) || (*v)->n != s->n))
        abort();
    return rc == 0 && *v ? s->ops->rows(s, *v, NULL) : rc;
}

static union event_value unset_in(const struct event_source *s, struct event_field f)
{
    if (f.column < 0)
        return (union event_value){ .s = STR_NULL };
    return event_unset(s->kind, &event_tables[s->kind].columns[f.column]);
}

/* Touches each byte, for the sanitizers. */
static int read_frames(struct event_view *v)
{
    struct event_frame f = { 0 };
    volatile char sum = 0;

    for (size_t row = 0; row < v->n; row = f.first + f.n) {
        int rc = event_view_frame(v, row, &f, NULL);

        if (rc < 0)
            return rc;
        if (f.first != row || f.n == 0 || f.n > v->n - row)
            abort();
        for (size_t i = 0; i < f.at[f.n]; i++)
            sum = (char)(sum + f.bytes[i]);
    }
    return 0;
}

/* The column of `s`, which may prove wrong (then < 0); of `same`, when there is one, it must be the same. */
static int read_column(struct event_source *s, struct event_source *same, struct event_field f)
{
    struct event_view *v, *w = NULL;
    bool is_text = f.column < 0 || event_tables[s->kind].columns[f.column].is_text;
    int rc = open_rows(s, f, &v);

    if (rc == 0 && v && v->form == EVENT_FORM_TEXTS)
        rc = read_frames(v);
    if (rc < 0)
        return rc;
    if (same && open_rows(same, f, &w) < 0)
        abort();
    for (size_t i = 0; i < s->n; i++) {
        union event_value a = unset_in(s, f), b = a;

        if (v && event_view_value(v, i, &a, NULL) < 0)
            return -1;
        if (w && event_view_value(w, i, &b, NULL) < 0)
            abort();
        if (same && (is_text ? !str_eq(a.s, b.s) : a.i != b.i))
            abort();
    }
    return 0;
}

static int read_times(struct event_source *s, struct event_source *same)
{
    const int64_t *a, *b;
    int rc = s->ops->times(s, &a, NULL);

    if (rc < 0)
        return rc;
    for (size_t i = 0; i < s->n; i++)
        if (a[i] < s->first_ns || a[i] > s->last_ns)
            abort();
    if (same && (same->ops->times(same, &b, NULL) < 0 || memcmp(a, b, s->n * sizeof(*a))))
        abort();
    return 0;
}

static int read_all(struct event_source *s, struct event_source *same)
{
    const struct str *names;
    size_t n;
    int rc = read_times(s, same);

    if (same && same->n != s->n)
        abort();
    for (int c = 0; rc == 0 && c < (int)event_tables[s->kind].n; c++)
        rc = read_column(s, same, (struct event_field){ c, STR_NULL });
    if (rc == 0)
        rc = s->ops->attributes(s, &names, &n, NULL);
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = read_column(s, same, (struct event_field){ -1, names[i] });
    return rc;
}

#endif
