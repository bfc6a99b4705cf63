/* event_fixture.h: numbered rows: row k follows from k, so that a test can say of any rows that were read which they are,
 * that each is as it was written, and that each is there once. Read through sources alone, without queries. */
#ifndef TESTS_UNIT_STORE_EVENT_FIXTURE_H
#define TESTS_UNIT_STORE_EVENT_FIXTURE_H

#include "tests/unit/store/blocks_fixture.h"

#include "store/event_source-internal.h"

/* Row k of the day: k seconds and nanoseconds behind its start, some out of order. */
static inline int64_t row_time(int64_t day, uint64_t k)
{
    return day * PARTITION_MS * 1000000 + (int64_t)((k ^ 5) % 80000) * 1000000000 + (int64_t)k;
}

/* The texts live in the batch's arena. */
static inline void add_row(struct batch *b, enum event_kind kind, int64_t day, uint64_t k)
{
    struct label *l = arena_array(b->arena, 1, sizeof(*l));
    struct str text = arena_printf(b->arena, "row %llu of day %lld", (unsigned long long)k, (long long)day);
    int rc = l && text.p ? 0 : ERR_NOMEM;

    for (size_t c = 0; rc == 0 && c < 3; c++) { /* the first column of texts, and of numbers */
        const struct event_column *column = &event_tables[kind].columns[c];
        union event_value v = { .i = (int64_t)k };

        if (column->is_text)
            v.s = c ? STR("same") : text;
        rc = batch_set_event(b, kind, (int)c, v);
    }
    if (rc == 0) {
        l[0] = (struct label){ STR("row"), text };
        rc = batch_end_event(b, kind, row_time(day, k), (struct labels){ l, k % 3 == 0 });
    }
    ck_assert_int_eq(rc, 0);
}

/* Rows [first, first + n) in one batch. */
static inline int commit_rows(struct store *st, enum event_kind kind, int64_t day, uint64_t first, size_t n, struct err *e)
{
    struct arena a = ARENA_INIT(0);
    struct batch b;
    int rc;

    batch_init(&b, &a);
    for (size_t i = 0; i < n; i++)
        add_row(&b, kind, day, first + i);
    rc = store_commit(st, &b, e);
    arena_free(&a);
    return rc;
}

static inline void must_commit(struct store *st, enum event_kind kind, int64_t day, uint64_t first, size_t n)
{
    struct err e = ERR_INIT;

    ck_assert_msg(commit_rows(st, kind, day, first, n, &e) == 0, "%s", e.msg);
}

/* What was read of a table: how often each row of a day. */
struct rows_read {
    int64_t day;
    uint64_t most;  /* rows below */
    uint8_t *times; /* of each: how often */
    uint64_t n, sources;
};

static inline int read_source(struct event_source *s, struct rows_read *r, struct err *e)
{
    const struct event_field text = { 0, STR_NULL }, attribute = { -1, STR("row") };
    struct event_view *v = NULL, *l = NULL;
    const int64_t *ns = NULL;
    int rc = s->ops->times(s, &ns, e);

    rc = rc < 0 ? rc : s->ops->open(s, text, &v, e);
    rc = rc < 0 ? rc : s->ops->rows(s, v, e);
    rc = rc < 0 ? rc : s->ops->open(s, attribute, &l, e);
    rc = rc < 0 || !l ? rc : s->ops->rows(s, l, e);
    for (size_t i = 0; rc == 0 && i < s->n; i++) {
        struct str got = STR_NULL, label = STR_NULL;
        char want[64];
        uint64_t k;

        rc = event_view_text(v, i, &got, e);
        if (rc == 0 && l)
            rc = event_view_text(l, i, &label, e);
        if (rc < 0)
            break;
        k = strtoull(got.p + 4, NULL, 10); /* "row ", k, " of" */
        snprintf(want, sizeof(want), "row %llu of day %lld", (unsigned long long)k, (long long)r->day);
        if (!str_eqz(got, want) || ns[i] != row_time(r->day, k) || k >= r->most || (k % 3 == 0) != (label.n > 0) ||
            (label.n && !str_eq(label, got)))
            ck_abort_msg("\"%.*s\" (\"%.*s\") at %lld", STR_ARG(got), STR_ARG(label), (long long)ns[i]);
        r->times[k]++;
        r->n++;
    }
    r->sources++;
    return rc;
}

/* All rows of the day, out of [0, most) (whose counts are the caller's to free), or those committed after `after`. */
static inline int read_rows_after(struct store *st, enum event_kind kind, int64_t day, uint64_t most, uint64_t after,
                                  struct rows_read *r, struct err *e)
{
    int64_t from = day * PARTITION_MS * 1000000;
    struct arena a = ARENA_INIT(0);
    struct event_sources all;
    int rc;

    *r = (struct rows_read){ day, most, calloc(most + 1, 1), 0, 0 };
    rc = event_sources_hold(st, kind, from, from + PARTITION_MS * 1000000, after, &a, &all, e);
    for (size_t i = 0; rc == 0 && i < all.n; i++)
        rc = read_source(all.v[i], r, e);
    event_sources_release(st, &all);
    arena_free(&a);
    return rc;
}

/* Rows [from, most) are there once each, and no others. Returns from how many sources they came. */
static inline uint64_t must_have_after(struct store *st, enum event_kind kind, int64_t day, uint64_t from, uint64_t most,
                                       uint64_t after)
{
    struct rows_read r;
    struct err e = ERR_INIT;

    ck_assert_msg(read_rows_after(st, kind, day, most, after, &r, &e) == 0, "%s", e.msg);
    for (uint64_t k = 0; k < most; k++)
        if (r.times[k] != (k >= from))
            ck_abort_msg("row %llu of %llu: %u times", (unsigned long long)k, (unsigned long long)most, r.times[k]);
    free(r.times);
    return r.sources;
}

static inline uint64_t must_have(struct store *st, enum event_kind kind, int64_t day, uint64_t n)
{
    return must_have_after(st, kind, day, 0, n, 0);
}

#endif
