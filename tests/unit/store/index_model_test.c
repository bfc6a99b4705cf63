/* index_model_test.c: the index beside a list of label sets, without memory, and with many readers at once. */
#include "tests/unit/store/index_fixture.h"

#include "base/mem.h"
#include "base/rand.h"

#include <unistd.h>

enum { MOST = 12000, ROUNDS = 300 };

struct model {
    struct fixture f;
    struct rng rng;
    struct labels sets[MOST]; /* by number; v NULL: gone */
    struct buf log;
    size_t records[2 * ROUNDS + 1], nrecords;
    uint32_t end, gone[64];
};

static struct labels random_labels(struct model *md)
{
    static const char *const names[] = { "__name__", "app", "code", "id", "job", "le", "zone" };
    static const uint64_t values[] = { 4, 40, 5, 1000000, 2, 12, 3 };
    struct label *l = arena_array(&md->f.a, COUNT(names), sizeof(*l));
    size_t n = 0;

    ck_assert_ptr_nonnull(l);
    for (size_t i = 0; i < COUNT(names); i++) {
        if (rng_below(&md->rng, 4) == 0)
            continue;
        l[n].name = str_of(names[i]);
        l[n++].value = arena_printf(&md->f.a, "%u", (unsigned)rng_below(&md->rng, values[i]));
    }
    return (struct labels){ l, n };
}

static void model_add(struct model *md)
{
    struct labels l = random_labels(md);

    /* Neighbours differ in little. */
    if (md->end > 1 && md->sets[md->end - 1].n && rng_below(&md->rng, 3)) {
        struct labels before = md->sets[md->end - 1];
        struct label *v = arena_array(&md->f.a, before.n, sizeof(*v));

        ck_assert_ptr_nonnull(v);
        memcpy(v, before.v, before.n * sizeof(*v));
        v[rng_below(&md->rng, before.n)].value = arena_printf(&md->f.a, "%u", (unsigned)rng_below(&md->rng, 99));
        l = (struct labels){ v, before.n };
    }
    if (md->end == MOST || index_find(md->f.ix, key_of(l)))
        return;
    ck_assert_uint_eq(add(md->f.ix, l), md->end);
    md->sets[md->end++] = l;
}

static size_t model_remove(struct model *md)
{
    size_t n = rng_below(&md->rng, COUNT(md->gone));

    for (size_t i = 0; i < n; i++) {
        md->gone[i] = 1 + (uint32_t)rng_below(&md->rng, md->end - 1);
        md->sets[md->gone[i]] = (struct labels){ NULL, 0 };
    }
    index_remove(md->f.ix, md->gone, n);
    return n;
}

static struct matcher random_matcher(struct model *md, struct arena *a)
{
    static const char *const names[] = { "__name__", "app", "code", "id", "job", "le", "zone", "none" };
    static const char *const values[] = { "", "0", "1", "2", "7", "31", "none" };
    static const char *const patterns[] = { ".*", ".+", "", "1|2|3", "1.*", "[02468]", "(1|5)?", "none|0|11", "7|" };
    struct str name = str_of(names[rng_below(&md->rng, COUNT(names))]), value;
    enum match_op op = (enum match_op)rng_below(&md->rng, 4);
    struct matcher m;

    if (op == MATCH_RE || op == MATCH_NRE)
        value = str_of(patterns[rng_below(&md->rng, COUNT(patterns))]);
    else
        value = str_of(values[rng_below(&md->rng, COUNT(values))]);
    ck_assert_int_eq(matcher_init(&m, a, op, name, value, NULL), 0);
    return m;
}

static bool is_multiple(const void *of, uint32_t id)
{
    return id % *(const uint32_t *)of == 0;
}

static void must_be_listed(struct str text, const struct str *texts, bool *seen, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(texts[i], text)) {
            seen[i] = true;
            return;
        }
    ck_abort_msg("%.*s is not listed", STR_ARG(text));
}

/* The values of a name, or the names, in those of the series that are multiples of one of two numbers. */
static void model_list(struct model *md, struct series_index *ix, struct str name, const uint32_t *ids, size_t n)
{
    const uint32_t of[] = { 1 + (uint32_t)rng_below(&md->rng, 300), 1 + (uint32_t)rng_below(&md->rng, 9) };
    struct arena a = ARENA_INIT(0);
    struct index_list *l = index_list_new(ix, name, ids, n, &a);
    bool seen[200] = { false };
    struct str *texts;
    size_t listed;

    ck_assert_ptr_nonnull(l);
    for (size_t i = 0; i < COUNT(of); i++)
        ck_assert_int_ge(index_list_look(l, is_multiple, &of[i]), 0);
    ck_assert_int_eq(index_list_take(l, &a, &texts, &listed), 0);
    ck_assert_uint_le(listed, COUNT(seen));
    for (size_t i = 0; i < (ids ? n : md->end); i++) {
        uint32_t id = ids ? ids[i] : (uint32_t)i;

        for (size_t k = 0; k < md->sets[id].n && (is_multiple(&of[0], id) || is_multiple(&of[1], id)); k++)
            if (!name.p)
                must_be_listed(md->sets[id].v[k].name, texts, seen, listed);
            else if (str_eq(md->sets[id].v[k].name, name))
                must_be_listed(md->sets[id].v[k].value, texts, seen, listed);
    }
    for (size_t i = 0; i < listed; i++)
        if (!seen[i] || (i && str_cmp(texts[i - 1], texts[i]) >= 0))
            ck_abort_msg("%.*s is listed", STR_ARG(texts[i]));
    arena_free(&a);
}

/* The select, and what there is in what it finds. */
static void model_ask(struct model *md, struct series_index *ix)
{
    struct arena a = ARENA_INIT(0);
    size_t nm = rng_below(&md->rng, 4), n, at = 0;
    struct matcher m[3];
    uint32_t *ids;

    for (size_t i = 0; i < nm; i++)
        m[i] = random_matcher(md, &a);
    ck_assert_int_eq(index_select(ix, m, nm, &a, &ids, &n), 0);
    model_list(md, ix, STR("app"), nm ? ids : NULL, n);
    model_list(md, ix, STR_NULL, nm ? ids : NULL, n);
    for (uint32_t id = 1; id < md->end; id++) {
        bool want = md->sets[id].v && matchers_match(m, nm, md->sets[id]);

        if (want != (at < n && ids[at] == id)) /* Check writes down each assertion: too slow for a loop */
            ck_abort_msg("series %u: should %sbe found", id, want ? "" : "not ");
        at += want;
    }
    ck_assert_uint_eq(at, n);
    arena_free(&a);
}

/* One group of the store: added, then kept and logged, or taken back. */
static void model_group(struct model *md)
{
    struct index_mark mark = index_mark(md->f.ix);
    uint32_t end = md->end, n = (uint32_t)rng_below(&md->rng, 60);
    char alias[32];

    for (uint32_t i = 0; i < n; i++)
        model_add(md);
    snprintf(alias, sizeof(alias), "alias %zu %u", md->nrecords, md->end);
    index_alias(md->f.ix, index_key(SEED, str_of(alias)), md->end - 1);
    if (rng_below(&md->rng, 3) == 0)
        model_ask(md, md->f.ix);
    if (rng_below(&md->rng, 4) == 0) {
        index_rollback(md->f.ix, mark);
        if (md->end > end)
            ck_assert_uint_eq(index_find(md->f.ix, index_key(SEED, str_of(alias))), 0);
        md->end = end;
        return;
    }
    n = rng_below(&md->rng, 4) == 0 && md->end > 1 ? (uint32_t)model_remove(md) : 0;
    index_log(md->f.ix, mark, &md->log);
    md->records[++md->nrecords] = md->log.n;
    index_log_removal(md->gone, n, &md->log);
    md->records[++md->nrecords] = md->log.n;
}

static void model_compare(struct model *md, struct series_index *ix)
{
    size_t count = 0;

    ck_assert_uint_eq(index_end(ix), md->end);
    for (uint32_t id = 1; id < md->end; id++) {
        if (index_has(ix, id) != (md->sets[id].v != NULL) || index_order(ix, id) != index_order(md->f.ix, id))
            ck_abort_msg("series %u: is there, or stands in order, otherwise", id);
        if (!md->sets[id].v)
            continue;
        count++;
        assert_labels(ix, id, md->sets[id]);
        if (index_find(ix, key_of(md->sets[id])) != id)
            ck_abort_msg("series %u: is not found", id);
    }
    ck_assert_uint_eq(index_count(ix), count);
    for (int i = 0; i < 60; i++)
        model_ask(md, ix);
}

START_TEST(does_what_a_list_does)
{
    static struct model md;
    struct series_index *again = index_new();
    struct index_mark a, b;

    memset(&md, 0, sizeof(md));
    open_index(&md.f);
    rng_seed(&md.rng);
    md.end = 1;
    md.log = (struct buf)BUF_INIT(1 << 26);
    md.f.ix->column_max = _i ? 20000 : COLUMN_BYTES;
    for (int i = 0; i < ROUNDS; i++)
        model_group(&md);
    ck_assert(!buf_failed(&md.log) && again);
    model_compare(&md, md.f.ix);
    for (size_t i = 0; i < md.nrecords; i++) {
        struct str record = { md.log.p + md.records[i], md.records[i + 1] - md.records[i] };
        struct err e = ERR_INIT;

        ck_assert_msg(index_replay(again, record, &e) == 0, "record %zu: %s", i, e.msg);
    }
    model_compare(&md, again);
    a = index_mark(md.f.ix);
    b = index_mark(again);
    ck_assert(a.names == b.names && a.pairs == b.pairs && a.texts == b.texts);
    ck_assert_uint_le(md.f.ix->column_bytes, md.f.ix->column_max);
    index_free(again);
    buf_free(&md.log);
    close_index(&md.f);
}
END_TEST

/* --- memory that runs out --- */

/* Adds enough to make every kind of chunk, asks, logs, replays. Each step fails cleanly or not at all. */
static void scenario(struct series_index *ix, struct series_index *again, struct index_key key, struct labels l,
                     const struct matcher *m)
{
    struct index_mark mark = index_mark(ix), after;
    struct buf log = BUF_INIT(1 << 20);
    struct arena a = ARENA_INIT(0);
    struct err e = ERR_INIT;
    uint32_t *ids, id = index_add(ix, key, l, &e);
    size_t n;

    if (!id) {
        after = index_mark(ix);
        ck_assert_int_eq(e.code, ERR_NOMEM);
        ck_assert_mem_eq(&mark, &after, sizeof(mark));
        ck_assert_uint_eq(index_find(ix, key), 0);
        return;
    }
    index_alias(ix, index_key(SEED, STR("alias")), id);
    if (index_select(ix, m, 1, &a, &ids, &n) == 0)
        ck_assert_uint_eq(n, 1);
    index_sort(ix, (uint32_t[]){ 1, 1, 1 }, 3);
    index_log(ix, mark, &log);
    if (!buf_failed(&log) && index_replay(again, buf_view(&log), &e) < 0) {
        ck_assert_int_eq(e.code, ERR_NOMEM);
        ck_assert_uint_eq(index_end(again), 1);
        ck_assert_uint_eq(again->texts.npairs + again->texts.nnames + (uint32_t)again->texts.taken, 0);
    }
    buf_free(&log);
    arena_free(&a);
}

START_TEST(a_failed_allocation_changes_nothing)
{
    struct arena a = ARENA_INIT(0);
    struct labels l = parse(&a, "__name__=up,job=a,le=1"), other = parse(&a, "job=b");
    struct index_key key = key_of(l);
    struct matcher m[1];
    long fails = 0;

    parse_matchers(&a, "job =~ a.*", m);
    for (long n = 1;; n++, fails++) {
        struct series_index *ix = index_new(), *again = index_new();

        ck_assert(ix && again);
        mem_fail_at(n);
        scenario(ix, again, key, l, m);
        if (!mem_has_failed()) {
            mem_fail_at(0);
            index_free(ix);
            index_free(again);
            break;
        }
        mem_fail_at(0);
        add(ix, other); /* goes on as if nothing had been */
        index_free(ix);
        index_free(again);
    }
    ck_assert_int_gt(fails, 20);
    arena_free(&a);
}
END_TEST

enum { GROWN = 200 };

/* A label set whose names and values are new now and then, so that each table grows. */
static struct labels grown(struct arena *a, int i)
{
    struct label *l = arena_array(a, 2, sizeof(*l));

    ck_assert_ptr_nonnull(l);
    l[0] = (struct label){ arena_printf(a, "a%d", i % 100), STR("same") };
    l[1] = (struct label){ STR("b"), arena_printf(a, "%d", i) };
    return (struct labels){ l, 2 };
}

/* With one allocation failing on the way: that add changes nothing, and succeeds when tried again. */
static void grow(struct series_index *ix, const struct labels *sets, const struct index_key *keys)
{
    for (int i = 0; i < GROWN; i++) {
        struct index_mark mark = index_mark(ix), after;

        if (index_add(ix, keys[i], sets[i], NULL))
            continue;
        after = index_mark(ix);
        ck_assert_mem_eq(&mark, &after, sizeof(mark));
        ck_assert_uint_eq(index_add(ix, keys[i], sets[i], NULL), (unsigned)i + 1);
    }
}

START_TEST(growth_may_fail_anywhere)
{
    struct arena a = ARENA_INIT(0);
    struct labels sets[GROWN];
    struct index_key keys[GROWN];
    bool failed = true;

    for (int i = 0; i < GROWN; i++) {
        sets[i] = grown(&a, i);
        keys[i] = key_of(sets[i]);
    }
    for (long n = 1; failed; n++) {
        struct series_index *ix = index_new();

        ck_assert_ptr_nonnull(ix);
        mem_fail_at(n);
        grow(ix, sets, keys);
        failed = mem_has_failed();
        mem_fail_at(0);
        for (int i = 0; i < GROWN; i++)
            assert_labels(ix, index_find(ix, keys[i]), sets[i]);
        index_free(ix);
    }
    arena_free(&a);
}
END_TEST

/* --- many readers --- */

enum { READERS = 4, ADDED = 5000 };

struct shared {
    struct series_index *ix;
    pthread_rwlock_t lock;
    atomic_int writing;
    atomic_int wrong;
};

static void *read_main(void *arg)
{
    static const char *const names[] = { "a", "b", "c" };
    struct shared *sh = arg;

    for (unsigned round = 0; atomic_load(&sh->writing) || round < 20; round++) {
        struct arena a = ARENA_INIT(0);
        struct matcher m;
        uint32_t *ids;
        size_t n;

        if (matcher_init(&m, &a, round % 2 ? MATCH_RE : MATCH_NE, str_of(names[round % 3]), STR("1.*"), NULL) < 0)
            atomic_fetch_add(&sh->wrong, 1);
        pthread_rwlock_rdlock(&sh->lock);
        if (index_select(sh->ix, &m, 1, &a, &ids, &n) < 0)
            atomic_fetch_add(&sh->wrong, 1);
        for (size_t i = 0; i < n; i += 50) {
            struct labels l = index_labels(sh->ix, ids[i], &a);

            if (!l.v || !matchers_match(&m, 1, l))
                atomic_fetch_add(&sh->wrong, 1);
        }
        if (index_bytes(sh->ix) == 0)
            atomic_fetch_add(&sh->wrong, 1);
        pthread_rwlock_unlock(&sh->lock);
        arena_free(&a);
        usleep(100); /* lets the writer in */
    }
    return NULL;
}

static void write_some(struct shared *sh, unsigned round)
{
    struct index_mark mark;

    pthread_rwlock_wrlock(&sh->lock);
    mark = index_mark(sh->ix);
    for (unsigned i = 0; i < 50; i++) {
        char a[16], b[16];
        struct label l[] = { { STR("a"), { a, 0 } }, { STR("b"), { b, 0 } }, { STR("c"), STR("1") } };

        l[0].value.n = (size_t)snprintf(a, sizeof(a), "%u", round);
        l[1].value.n = (size_t)snprintf(b, sizeof(b), "%u", i);
        if (!index_add(sh->ix, key_of((struct labels){ l, 3 }), (struct labels){ l, 3 }, NULL))
            atomic_fetch_add(&sh->wrong, 1);
    }
    if (round % 5 == 4)
        index_rollback(sh->ix, mark);
    if (round % 7 == 6)
        index_remove(sh->ix, &round, 1);
    pthread_rwlock_unlock(&sh->lock);
}

START_TEST(readers_build_together)
{
    struct shared sh = { .ix = index_new(), .writing = 1 };
    pthread_t readers[READERS];

    ck_assert_ptr_nonnull(sh.ix);
    sh.ix->column_max = 4000; /* so that they take each other's columns away */
    ck_assert_int_eq(pthread_rwlock_init(&sh.lock, NULL), 0);
    for (int i = 0; i < READERS; i++)
        ck_assert_int_eq(pthread_create(&readers[i], NULL, read_main, &sh), 0);
    for (unsigned round = 0; round < ADDED / 50; round++)
        write_some(&sh, round);
    atomic_store(&sh.writing, 0);
    for (int i = 0; i < READERS; i++)
        pthread_join(readers[i], NULL);
    ck_assert_int_eq(atomic_load(&sh.wrong), 0);
    pthread_rwlock_destroy(&sh.lock);
    index_free(sh.ix);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("index: model");
    TCase *tc = tcase_create("model");

    tcase_add_loop_test(tc, does_what_a_list_does, 0, 2);
    tcase_add_test(tc, a_failed_allocation_changes_nothing);
    tcase_add_test(tc, growth_may_fail_anywhere);
    tcase_add_test(tc, readers_build_together);
    tcase_set_timeout(tc, 120);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(make_suite)
