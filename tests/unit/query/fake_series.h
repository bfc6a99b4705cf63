/* fake_series.h: series in plain arrays behind the face of store/series.h, so that a test decides in which order they
 * come, in which pieces, and how they are split among threads. A test that includes this links no storage engine. */
#ifndef TESTS_UNIT_QUERY_FAKE_SERIES_H
#define TESTS_UNIT_QUERY_FAKE_SERIES_H

#include "store/series.h"
#include "tests/unit/unit.h"

struct fake_series {
    struct labels labels;
    int64_t *t;
    double *v;
    size_t n;
};

/* What the queries see. piece: samples handed out at once. */
static struct {
    struct fake_series *v;
    size_t n, piece;
} fake;

struct series_set {
    const struct fake_series **found;
    size_t n, next, at, end;
    int64_t from_ms, to_ms;
};

struct series_set *series_open(struct store *st, const struct series_query *q, struct arena *a, struct err *e)
{
    struct series_set *set = ARENA_NEW(a, struct series_set);

    (void)st;
    if (set)
        set->found = arena_array(a, fake.n, sizeof(*set->found));
    if (!set || !set->found) {
        err_set(e, ERR_NOMEM, "no memory for the set");
        return NULL;
    }
    set->from_ms = q->from_ms;
    set->to_ms = q->to_ms;
    for (size_t i = 0; i < fake.n; i++)
        if (matchers_match(q->matchers, q->n, fake.v[i].labels))
            set->found[set->n++] = &fake.v[i];
    return set;
}

size_t series_count(const struct series_set *set)
{
    return set->n - set->next;
}

int series_split(struct series_set *set, size_t n, struct arena *const *arenas, struct series_set **parts, size_t *nparts,
                 struct err *e)
{
    for (size_t i = 0; i < n; i++) {
        parts[i] = ARENA_NEW(arenas[i], struct series_set);
        if (!parts[i])
            return err_set(e, ERR_NOMEM, "no memory for a part");
        *parts[i] = *set;
        parts[i]->next = set->n * i / n;
        parts[i]->n = set->n * (i + 1) / n;
    }
    *nparts = n;
    return 0;
}

int series_next(struct series_set *set, struct labels *labels, struct err *e)
{
    const struct fake_series *s;

    (void)e;
    if (set->next == set->n)
        return 0;
    s = set->found[set->next++];
    *labels = s->labels;
    for (set->at = 0; set->at < s->n && s->t[set->at] < set->from_ms;)
        set->at++;
    for (set->end = set->at; set->end < s->n && s->t[set->end] <= set->to_ms;)
        set->end++;
    return 1;
}

int series_samples(struct series_set *set, struct sample_columns *out, struct err *e)
{
    const struct fake_series *s = set->found[set->next - 1];
    size_t n = set->end - set->at;

    (void)e;
    n = n < fake.piece ? n : fake.piece;
    *out = (struct sample_columns){ SAMPLE_FLOAT, s->t + set->at, s->v + set->at, n };
    set->at += n;
    return n > 0;
}

int64_t series_changes(struct store *st, uint64_t *mark)
{
    (void)st;
    (void)mark;
    return INT64_MIN;
}

#endif
