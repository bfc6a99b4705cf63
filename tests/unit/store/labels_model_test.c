/* labels_model_test.c: which series, label names and label values there are about a range, beside a reference that goes
 * through everything: each series of the index, each head, each page of each block.
 *
 * Samples come in any order and over three days; they are sealed all the time; ranges are deleted, series forgotten, and
 * the store is closed and opened in between. The seed of a failing run is in its message. */
#include "store/bits-internal.h"
#include "tests/unit/store/blocks_fixture.h"

enum { SERIES = 60, TIMES = 400, STEP_MS = 600000, ROUNDS = 400 };

struct range {
    int64_t from, to;
};

static char dir[64];

static void setup(void)
{
    blocks_fixture_dir(dir);
}

static void teardown(void)
{
    fixture_remove(dir);
}

/* --- what is done to the store --- */

/* Four metrics; a zone on some series; a name of its own on every tenth. */
static struct labels labels_of(struct arena *a, size_t k)
{
    struct label *v = arena_array(a, 4, sizeof(*v));
    size_t n = 0;

    ck_assert_ptr_nonnull(v);
    v[n++] = (struct label){ STR("__name__"), arena_printf(a, "m%zu", k % 4) };
    v[n++] = (struct label){ STR("i"), arena_printf(a, "%zu", k / 2) };
    if (k % 10 == 9)
        v[n++] = (struct label){ arena_printf(a, "own%zu", k), STR("x") };
    if (k % 3 == 0)
        v[n++] = (struct label){ STR("zone"), arena_printf(a, "z%zu", k % 5) };
    return (struct labels){ v, n };
}

static void write_some(struct store *st, struct rng *r)
{
    struct arena a = ARENA_INIT(0);
    size_t parts = 1 + rng_below(r, 6), base = rng_below(r, TIMES);
    struct batch b;

    batch_init(&b, &a);
    for (size_t p = 0; p < parts; p++) {
        size_t k = rng_below(r, SERIES), n = 1 + rng_below(r, 12);
        struct sample *s = arena_array(&a, n, sizeof(*s));
        const struct batch_series bs = { .labels = labels_of(&a, k), .samples = s, .n = n };

        for (size_t i = 0; i < n; i++)
            s[i].t = (int64_t)(rng_below(r, 8) ? (base + i) % TIMES : rng_below(r, TIMES)) * STEP_MS;
        ck_assert_int_eq(batch_add_series(&b, &bs), 0);
    }
    ck_assert_int_eq(store_commit(st, &b, NULL), 0);
    arena_free(&a);
}

static struct range random_range(struct rng *r)
{
    int64_t at = (int64_t)rng_below(r, TIMES) * STEP_MS;

    switch (rng_below(r, 6)) {
    case 0:
        return (struct range){ INT64_MIN / 4, INT64_MAX / 4 };
    case 1:
        return (struct range){ at, at };
    case 2:
        return (struct range){ at, INT64_MAX / 4 };
    case 3:
        return (struct range){ INT64_MIN / 4, at };
    default:
        return (struct range){ at, at + (int64_t)rng_below(r, 40) * STEP_MS };
    }
}

static size_t random_matchers(struct rng *r, struct arena *a, struct matcher *m)
{
    static const char *const values[] = { "m0", "m1|m3", "m.*", "none" };
    size_t n = rng_below(r, 3);

    if (n > 0)
        matcher_init(&m[0], a, MATCH_RE, STR("__name__"), str_of(values[rng_below(r, 4)]), NULL);
    if (n > 1)
        matcher_init(&m[1], a, rng_below(r, 2) ? MATCH_EQ : MATCH_NE, STR("zone"), STR("z1"), NULL);
    return n;
}

static void delete_some(struct store *st, struct rng *r)
{
    struct arena a = ARENA_INIT(0);
    struct range range = random_range(r);
    struct matcher m;
    const struct series_query q = { .matchers = &m, .n = 1, .from_ms = range.from, .to_ms = range.to };

    matcher_init(&m, &a, MATCH_EQ, STR("i"), arena_printf(&a, "%zu", rng_below(r, SERIES / 2)), NULL);
    ck_assert_int_eq(series_delete(st, &q, NULL), 0);
    arena_free(&a);
}

/* --- the reference; the store's `writing` is held, so that no block comes or goes --- */

struct reference {
    struct arena a;
    uint64_t *there; /* bits by series: something about the range */
    bool everything; /* the range takes in all there is */
    uint32_t end;
    /* Those that match: all of the index, those without samples behind the others. */
    struct labels v[SERIES];
    size_t n, n_there;
};

static void look_at(struct reference *ref, const struct series_query *q, uint32_t id, int64_t first, int64_t last)
{
    if (first <= q->to_ms && last >= q->from_ms && id < ref->end)
        bits_set(ref->there, id);
    ref->everything &= first >= q->from_ms && last <= q->to_ms;
}

static void look_at_head(struct reference *ref, const struct series_query *q, const struct head *h)
{
    for (uint32_t id = 1; h && id < ref->end; id++) {
        struct head_view v;
        int64_t first, last;

        if (!head_look(h, id, &v))
            continue;
        head_view_range(&v, &first, &last);
        look_at(ref, q, id, first, last);
    }
}

static void look_at_block(struct reference *ref, const struct series_query *q, struct store *st, struct block *b)
{
    struct block_directory d;

    ck_assert_int_eq(blocks_directory(st->blocks, b, &ref->a, &d, NULL), 0);
    for (size_t p = 0; p < d.n; p++)
        for (uint32_t i = 0; i < d.pages[p].n; i++)
            look_at(ref, q, d.ids[d.pages[p].first_column + i], d.pages[p].first, d.pages[p].last);
}

static void list_series(struct reference *ref, const struct series_query *q, const struct series_index *ix, bool there)
{
    for (uint32_t id = 1; id < ref->end; id++) {
        struct labels l;

        if (!index_has(ix, id) || bits_test(ref->there, id) != there)
            continue;
        l = index_labels(ix, id, &ref->a);
        if (matchers_match(q->matchers, q->n, l))
            ref->v[ref->n++] = labels_copy(&ref->a, l);
    }
}

static void refer(struct reference *ref, struct store *st, const struct series_query *q)
{
    struct block_list *list;

    pthread_rwlock_rdlock(&st->lock);
    list = blocks_hold(st->blocks);
    *ref = (struct reference){ .everything = true, .end = index_end(st->index) };
    ref->there = arena_array(&ref->a, bits_words(ref->end), sizeof(*ref->there));
    ck_assert_ptr_nonnull(ref->there);
    look_at_head(ref, q, st->head);
    look_at_head(ref, q, st->frozen);
    for (size_t i = 0; i < list->n; i++)
        look_at_block(ref, q, st, list->blocks[i]);
    list_series(ref, q, st->index, true);
    ref->n_there = ref->n;
    list_series(ref, q, st->index, false);
    pthread_rwlock_unlock(&st->lock);
    blocks_release(st->blocks, list);
}

static uint64_t sum_of(const struct reference *ref)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < ref->n_there; i++)
        sum += labels_hash(ref->v[i]);
    return sum;
}

static int by_str(const void *a, const void *b)
{
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

static struct str join(struct arena *a, const struct str *v, size_t n)
{
    struct str all = STR("");

    for (size_t i = 0; i < n; i++)
        if (i == 0 || !str_eq(v[i - 1], v[i]))
            all = arena_printf(a, "%.*s %.*s", STR_ARG(all), STR_ARG(v[i]));
    return all;
}

/* The values of `name`, or the names when that is empty, of the first n series: as one text. */
static struct str texts_of(struct reference *ref, size_t n, struct str name)
{
    struct str v[4 * SERIES];
    size_t found = 0;

    for (size_t k = 0; k < n; k++)
        for (size_t i = 0; i < ref->v[k].n; i++)
            if (name.n == 0 || str_eq(ref->v[k].v[i].name, name))
                v[found++] = name.n ? ref->v[k].v[i].value : ref->v[k].v[i].name;
    qsort(v, found, sizeof(v[0]), by_str);
    return join(&ref->a, v, found);
}

/* --- beside it: what is wrong, or STR_NULL --- */

/* When the range takes in everything, series that lost all their samples may show until they are forgotten. */
static struct str compare_texts(struct reference *ref, struct store *st, const struct series_query *q, const char *name)
{
    struct str want = texts_of(ref, ref->n_there, str_of(name)), got, *v;
    struct err e = ERR_INIT;
    size_t n;
    int rc = name[0] ? series_label_values(st, q, str_of(name), &ref->a, &v, &n, &e)
                     : series_label_names(st, q, &ref->a, &v, &n, &e);

    ck_assert_msg(rc == 0, "%s", e.msg);
    got = join(&ref->a, v, n);
    if (str_eq(got, want) || (ref->everything && str_eq(got, texts_of(ref, ref->n, str_of(name)))))
        return STR_NULL;
    return arena_printf(&ref->a, "\"%s\":%.*s, should be%.*s", name, STR_ARG(got), STR_ARG(want));
}

/* Each series once, and the right ones: then their hashes sum up to the same. */
static struct str compare_series(struct reference *ref, struct store *st, const struct series_query *q)
{
    struct series_query names = *q;
    struct series_set *set;
    uint64_t got = 0;
    struct labels l;
    size_t n;

    names.labels_only = true;
    set = series_open(st, &names, &ref->a, NULL);
    ck_assert_ptr_nonnull(set);
    for (n = 0; series_next(set, &l, NULL) == 1; n++)
        got += labels_hash(l);
    if (n == ref->n_there && got == sum_of(ref))
        return STR_NULL;
    return arena_printf(&ref->a, "%zu series, should be %zu", n, ref->n_there);
}

/* With `writing` held. All the same a frozen head may be let go of meanwhile, and its blocks tell of shorter stretches
 * of time: then nothing can be said. */
static void compare(struct store *st, struct rng *r, uint64_t seed)
{
    static const char *const names[] = { "", "__name__", "i", "zone", "own9", "none" };
    struct range range = random_range(r);
    struct arena a = ARENA_INIT(0);
    struct matcher m[2];
    const struct series_query q = { m, random_matchers(r, &a, m), range.from, range.to, false };
    struct reference before, after;
    struct str wrong;

    refer(&before, st, &q);
    wrong = compare_series(&before, st, &q);
    for (size_t i = 0; !wrong.n && i < COUNT(names); i++)
        wrong = compare_texts(&before, st, &q, names[i]);
    refer(&after, st, &q);
    if (before.n_there == after.n_there && sum_of(&before) == sum_of(&after))
        ck_assert_msg(!wrong.n, "seed %llu: from %lld to %lld: %.*s", (unsigned long long)seed, (long long)q.from_ms,
                      (long long)q.to_ms, STR_ARG(wrong));
    arena_free(&before.a);
    arena_free(&after.a);
    arena_free(&a);
}

START_TEST(agrees_with_the_reference)
{
    struct rng r, seeds;
    struct store *st = fixture_open_sealing(dir, 300);
    uint64_t seed;

    rng_seed(&seeds);
    seed = rng_next(&seeds);
    r = (struct rng){ { seed, 1, 2, 3 } };
    for (int round = 0; round < ROUNDS; round++) {
        switch (rng_below(&r, 24)) {
        case 0:
            store_close(st);
            st = fixture_open_sealing(dir, 50 + rng_below(&r, 2000));
            break;
        case 1:
            delete_some(st, &r);
            break;
        case 2:
            ck_assert_int_eq(store_retain(st, 0, NULL), 0); /* forgets series left empty */
            break;
        case 3:
        case 4:
        case 5:
        case 6:
            pthread_mutex_lock(&st->writing);
            for (int i = 0; i < 8; i++)
                compare(st, &r, seed);
            pthread_mutex_unlock(&st->writing);
            break;
        default:
            write_some(st, &r);
        }
    }
    store_close(st);
}
END_TEST

/* A block of the second day with three series a page; the pages' bytes are never read. */
static void put_block(struct store *st, struct rng *r)
{
    struct err e = ERR_INIT;
    struct block_writer *w = block_writer_new(st->blocks, 1, &e);

    ck_assert_msg(w != NULL, "%s", e.msg);
    for (uint32_t id = 1; id + 2 <= SERIES; id += 3) {
        int64_t first = PARTITION_MS + (int64_t)rng_below(r, 100) * STEP_MS;
        const uint32_t ids[] = { id, id + 1, id + 2 };

        ck_assert_int_eq(block_writer_add(w, STR("page"), ids, rng_below(r, 4) ? 3 : 1, first,
                                          first + (int64_t)rng_below(r, 40) * STEP_MS, 3, &e), 0);
    }
    ck_assert_int_eq(block_writer_commit(w, NULL, 0, &e), 0);
}

START_TEST(a_page_counts_by_its_own_times)
{
    struct store *st = fixture_open_sealing(dir, 1 << 20);
    struct arena a = ARENA_INIT(0);
    const struct sample s = { 0, 0 };
    struct rng r, seeds;
    struct batch b;
    uint64_t seed;

    rng_seed(&seeds);
    seed = rng_next(&seeds);
    r = (struct rng){ { seed, 1, 2, 3 } };
    batch_init(&b, &a);
    for (size_t k = 0; k < SERIES; k++)
        ck_assert_int_eq(batch_add_series(&b, &(struct batch_series){ .labels = labels_of(&a, k), .samples = &s, .n = 1 }),
                         0);
    ck_assert_int_eq(store_commit(st, &b, NULL), 0);
    pthread_mutex_lock(&st->writing); /* nobody shall merge what has no samples */
    for (int blocks = 0; blocks < 3; blocks++) {
        put_block(st, &r);
        for (int i = 0; i < 100; i++)
            compare(st, &r, seed);
    }
    pthread_mutex_unlock(&st->writing);
    store_close(st);
    arena_free(&a);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("model of labels");
    TCase *tc = tcase_create("model");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 120);
    tcase_add_loop_test(tc, agrees_with_the_reference, 0, 4);
    tcase_add_test(tc, a_page_counts_by_its_own_times);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(suite)
