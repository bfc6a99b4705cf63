/* fixture.h: a store in a directory of its own, and short ways to write and read it. */
#ifndef TESTS_UNIT_STORE_FIXTURE_H
#define TESTS_UNIT_STORE_FIXTURE_H

#include "base/mem.h"
#include "store/series.h"
#include "store/store-internal.h"
#include "tests/unit/unit.h"

#include <ftw.h>
#include <stdio.h>
#include <unistd.h>

static inline void fixture_dir(char path[64])
{
    const char *tmp = getenv("TMPDIR");

    snprintf(path, 64, "%s/vigla-store-XXXXXX", tmp && strlen(tmp) < 32 ? tmp : "/tmp");
    ck_assert_ptr_nonnull(mkdtemp(path));
}

static inline int fixture_unlink(const char *path, const struct stat *sb, int type, struct FTW *at)
{
    (void)sb;
    (void)type;
    (void)at;
    return remove(path);
}

static inline void fixture_remove(const char *path)
{
    nftw(path, fixture_unlink, 8, FTW_DEPTH | FTW_PHYS);
}

static inline struct store *fixture_open(const char *dir)
{
    struct err e = ERR_INIT;
    struct store *st = store_open(dir, NULL, &e);

    ck_assert_msg(st != NULL, "%s", e.msg);
    return st;
}

/* Seals after so many samples: passes happen while a test runs. */
static inline struct store *fixture_open_sealing(const char *dir, size_t samples)
{
    const struct store_tuning tuning = {.seal_samples = samples};
    struct err e = ERR_INIT;
    struct store *st = store_open_tuned(dir, NULL, &tuning, &e);

    ck_assert_msg(st != NULL, "%s", e.msg);
    return st;
}

/* {__name__=name, i=instance}; "" leaves the instance out. */
static inline struct labels fixture_labels(struct arena *a, const char *name, const char *instance)
{
    struct label *v = arena_array(a, 2, sizeof(*v));

    ck_assert_ptr_nonnull(v);
    v[0] = (struct label){ STR("__name__"), str_of(name) };
    v[1] = (struct label){ STR("i"), str_of(instance) };
    return (struct labels){ v, instance[0] ? 2 : 1 };
}

static inline void fixture_add(struct batch *b, const char *name, const char *instance, int64_t start_ms,
                               const struct sample *s, size_t n)
{
    struct batch_series bs = { .labels = fixture_labels(b->arena, name, instance), .start_ms = start_ms, .samples = s,
                               .n = n };

    ck_assert_int_eq(batch_add_series(b, &bs), 0);
}

/* One batch with one series. */
static inline int fixture_write(struct store *st, const char *name, const char *instance, int64_t start_ms,
                                const struct sample *s, size_t n)
{
    struct arena a = ARENA_INIT(0);
    struct err e = ERR_INIT;
    struct batch b;
    int rc;

    batch_init(&b, &a);
    fixture_add(&b, name, instance, start_ms, s, n);
    rc = store_commit(st, &b, &e);
    arena_free(&a);
    return rc;
}

/* All samples of {__name__=name, i=instance} in the range, in `a`. */
static inline size_t fixture_read(struct store *st, const char *name, const char *instance, int64_t from_ms,
                                  int64_t to_ms, struct arena *a, struct sample **out)
{
    struct err e = ERR_INIT;
    struct matcher m[2];
    struct series_query q = { .matchers = m, .n = 2, .from_ms = from_ms, .to_ms = to_ms };
    struct series_set *set;
    struct sample_columns c;
    struct labels l;
    size_t n = 0, cap = 0;
    int rc;

    matcher_init(&m[0], a, MATCH_EQ, STR("__name__"), str_of(name), NULL);
    matcher_init(&m[1], a, MATCH_EQ, STR("i"), str_of(instance), NULL);
    *out = NULL;
    set = series_open(st, &q, a, &e);
    ck_assert_msg(set != NULL, "%s", e.msg);
    while ((rc = series_next(set, &l, &e)) == 1)
        while ((rc = series_samples(set, &c, &e)) == 1)
            for (size_t i = 0; i < c.n; i++) {
                ck_assert_int_eq(arena_grow(a, out, &cap, n + 1, sizeof(**out)), 0);
                (*out)[n++] = (struct sample){ c.t[i], c.v[i] };
            }
    ck_assert_msg(rc == 0, "%s", e.msg);
    return n;
}

#endif
