/* event_rows.h: random rows of every shape that a column may have, and whether a source holds just these. */
#ifndef TESTS_EVENT_ROWS_H
#define TESTS_EVENT_ROWS_H

#include "base/rand.h"
#include "store/batch.h"
#include "store/event_source-internal.h"
#include "tests/unit/unit.h"

/* For what is asked millions of times: Check notes each of its own assertions in a file. */
#define MUST(condition, ...)                                                                                 \
    do {                                                                                                     \
        if (!(condition))                                                                                    \
            ck_abort_msg(__VA_ARGS__);                                                                       \
    } while (0)

enum shape {
    SHAPE_UNSET, SHAPE_CONST, SHAPE_FEW, SHAPE_RARE, SHAPE_ANY, SHAPE_LONG, SHAPE_IDS, SHAPE_MIXED_IDS, SHAPE_ZERO_IDS,
    SHAPE_NUMBERED, SHAPES
};

static struct rng rng_of(uint64_t seed)
{
    return (struct rng){ { seed + 1, 0x9e3779b97f4a7c15, 0xbf58476d1ce4e5b9, 0x94d049bb133111eb } };
}

static struct str random_bytes(struct rng *r, struct arena *a, size_t n)
{
    char *p = arena_alloc(a, n + 1);

    MUST(p, "no memory");
    for (size_t i = 0; i < n; i++)
        p[i] = (char)rng_next(r);
    return (struct str){ p, n };
}

static struct str random_id(struct rng *r, struct arena *a, unsigned kind)
{
    char *p = arena_alloc(a, 37);

    MUST(p, "no memory");
    if (kind % 3 == 0)
        rng_uuid4(r, p);
    else
        rng_hex(r, p, kind % 3 == 1 ? 32 : 16);
    return str_of(p);
}

/* A text for a column of this shape; `salt` is the column's. */
static struct str random_text(struct rng *r, struct arena *a, enum shape shape, uint64_t salt)
{
    switch (shape) {
    case SHAPE_UNSET:
        return STR_NULL;
    case SHAPE_CONST:
        return arena_printf(a, "constant-%lx", salt);
    case SHAPE_FEW:
        return arena_printf(a, "value %lu", rng_below(r, 1 + salt % 300));
    case SHAPE_RARE:
        return rng_below(r, 30) ? STR_NULL : arena_printf(a, "rare %lu", rng_below(r, 50));
    case SHAPE_ANY:
        return random_bytes(r, a, rng_below(r, 20));
    case SHAPE_LONG:
        return random_bytes(r, a, rng_below(r, 50) ? rng_below(r, 5) : rng_below(r, 70000));
    case SHAPE_IDS:
        return rng_below(r, 20) ? random_id(r, a, (unsigned)salt) : STR_NULL;
    case SHAPE_MIXED_IDS:
        return rng_below(r, 12) ? random_id(r, a, (unsigned)salt) : random_id(r, a, (unsigned)rng_next(r));
    case SHAPE_ZERO_IDS:
        return rng_below(r, 40) ? random_id(r, a, 1) : STR("00000000000000000000000000000000");
    default:
        if (rng_below(r, 2))
            return arena_printf(a, "/orders/%lu/items", rng_below(r, 1ull << (salt % 40)));
        return arena_printf(a, "10.0.0.%lu:%lu", salt % 30, rng_below(r, 1ull << (salt % 16)));
    }
}

static int64_t random_number(struct rng *r, enum shape shape, uint64_t salt, int64_t unset)
{
    switch (shape) {
    case SHAPE_UNSET:
        return unset;
    case SHAPE_CONST:
        return (int64_t)salt;
    case SHAPE_FEW:
        return 200 + (int64_t)rng_below(r, 1 + salt % 400);
    case SHAPE_RARE:
        return rng_below(r, 30) ? unset : (int64_t)rng_below(r, 50);
    case SHAPE_ANY:
        return (int64_t)rng_next(r);
    case SHAPE_LONG:
        return rng_below(r, 2) ? INT64_MIN : INT64_MAX;
    default:
        return (int64_t)((rng_next(r) >> salt % 64) * (shape == SHAPE_IDS ? 1000 : 1));
    }
}

/* Times tell rows apart, and from a time follows the row. Some are whole microseconds or seconds. */
#define BEGIN_NS 1700000000000000000
static int64_t random_time(struct rng *r, size_t row, int64_t unit)
{
    return BEGIN_NS + ((int64_t)(rng_below(r, row % 5 ? 100 : 10000)) * EVENT_SOURCE_ROWS + (int64_t)row) * unit;
}

static inline uint32_t row_of_time(int64_t ns, int64_t unit)
{
    return (uint32_t)((ns - BEGIN_NS) / unit % EVENT_SOURCE_ROWS);
}

static const int64_t units[] = { 1, 1000, 1000000000, 7 };

/* n rows, at times of `unit` ns; up to `attributes` of `names` different names in each. */
static void add_random_rows(struct rng *r, struct batch *b, enum event_kind kind, size_t n, size_t attributes,
                            size_t names, int64_t unit)
{
    const struct event_table *t = &event_tables[kind];
    enum shape shapes[EVENT_MAX_COLUMNS];
    uint64_t salts[EVENT_MAX_COLUMNS];

    for (size_t c = 0; c < t->n; c++) {
        shapes[c] = (enum shape)rng_below(r, SHAPES);
        salts[c] = rng_next(r) >> 1;
    }
    for (size_t i = 0; i < n; i++) {
        struct label *v = arena_array(b->arena, attributes, sizeof(*v));
        size_t nv = 0;

        for (size_t c = 0; c < t->n; c++) {
            union event_value x = event_unset(kind, &t->columns[c]);

            if (t->columns[c].is_text)
                x.s = random_text(r, b->arena, shapes[c], salts[c]);
            else
                x.i = random_number(r, shapes[c], salts[c], x.i);
            if (rng_below(r, 50) && shapes[c] != SHAPE_UNSET)
                MUST(batch_set_event(b, kind, (int)c, x) == 0, "no memory");
        }
        for (size_t k = 0; names && k < attributes; k++)
            if (rng_below(r, 3)) {
                size_t name = k % 2 ? rng_below(r, names) : k % names, twice = 0;

                for (size_t j = 0; j < nv; j++)
                    twice |= str_eq(v[j].name, arena_printf(b->arena, "name.%zu", name));
                if (!twice)
                    v[nv++] = (struct label){ arena_printf(b->arena, "name.%zu", name),
                                              random_text(r, b->arena, (enum shape)(name % SHAPES), name) };
            }
        MUST(labels_normalise(v, &nv, NULL) == 0 &&
                 batch_end_event(b, kind, random_time(r, b->events[kind].n, unit), (struct labels){ v, nv }) == 0,
             "no memory");
    }
}

/* --- what a source must be --- */

static void must_value(struct event_view *v, bool is_text, size_t row, union event_value want, union event_value unset)
{
    union event_value got = unset;
    struct err e = ERR_INIT;

    if (v)
        MUST(event_view_value(v, row, &got, &e) == 0, "row %zu: %s", row, e.msg);
    if (!is_text)
        MUST(got.i == want.i, "row %zu: %lld, should be %lld", row, (long long)got.i, (long long)want.i);
    else
        MUST(str_eq(got.s, want.s), "row %zu: \"%.*s\", should be \"%.*s\"", row, STR_ARG(got.s),
                      STR_ARG(want.s));
}

/* What the view says of itself agrees with its rows, and with the summary. */
static void must_agree(const struct event_view *v, const struct event_summary *s, bool is_text)
{
    size_t rows = 0;

    ck_assert(s && v->is_text == is_text && s->is_text == is_text);
    if (s->distinct)
        ck_assert_uint_eq(s->distinct, v->distinct);
    if (v->form == EVENT_FORM_DICT) {
        for (size_t i = 0; i < v->distinct; i++)
            rows += v->counts[i];
        ck_assert_uint_eq(rows, v->n);
    }
}

static struct event_view *open_with_rows(struct event_source *s, struct event_field f)
{
    struct err e = ERR_INIT;
    struct event_view *v;

    ck_assert_msg(s->ops->open(s, f, &v, &e) == 0, "%s", e.msg);
    if (v)
        ck_assert_msg(s->ops->rows(s, v, &e) == 0, "%s", e.msg);
    return v;
}

/* Row i of the source is row order[i] of `rows` (NULL: the same). */
static void must_hold(struct event_source *s, const struct event_rows *rows, const uint32_t *order)
{
    const struct event_table *t = &event_tables[s->kind];
    const int64_t *ns;
    const struct str *names;
    struct err e = ERR_INIT;
    size_t n, labels = 0;

    ck_assert_uint_eq(s->n, rows->n);
    ck_assert_msg(s->ops->times(s, &ns, &e) == 0, "%s", e.msg);
    for (size_t i = 0; i < s->n; i++) {
        MUST(ns[i] == rows->time_ns[order ? order[i] : i], "row %zu: time %lld", i, (long long)ns[i]);
        MUST(ns[i] >= s->first_ns && ns[i] <= s->last_ns, "row %zu: time %lld", i, (long long)ns[i]);
    }
    for (size_t c = 0; c < t->n; c++) {
        struct event_field f = { (int)c, STR_NULL };
        struct event_view *v = open_with_rows(s, f);
        union event_value unset = event_unset(s->kind, &t->columns[c]);

        if (v)
            must_agree(v, s->ops->summary(s, f), t->columns[c].is_text);
        for (size_t i = 0; i < s->n; i++)
            must_value(v, t->columns[c].is_text, i,
                       rows->columns[c] ? rows->columns[c][order ? order[i] : i] : unset, unset);
    }
    ck_assert_msg(s->ops->attributes(s, &names, &n, &e) == 0, "%s", e.msg);
    for (size_t k = 0; k < n; k++) {
        struct event_view *v = open_with_rows(s, (struct event_field){ -1, names[k] });

        ck_assert_ptr_nonnull(v);
        must_agree(v, s->ops->summary(s, (struct event_field){ -1, names[k] }), true);
        for (size_t i = 0; i < s->n; i++) {
            struct str want = labels_get(rows->attributes[order ? order[i] : i], names[k]);

            labels += want.n > 0;
            must_value(v, true, i, (union event_value){ .s = want }, (union event_value){ .s = STR_NULL });
        }
    }
    for (size_t i = 0; i < rows->n; i++)
        labels -= rows->attributes[i].n;
    ck_assert_uint_eq(labels, 0);
    ck_assert_ptr_null(open_with_rows(s, (struct event_field){ -1, STR("nobody.has.this") }));
}

#endif
