/* index_fixture.h: what the tests of the index share. */
#ifndef TESTS_UNIT_STORE_INDEX_FIXTURE_H
#define TESTS_UNIT_STORE_INDEX_FIXTURE_H

#include "store/index_state-internal.h"
#include "tests/unit/unit.h"

#include <stdio.h>

/* Keys of the tests. */
static inline const struct hash128_key *seeded(uint64_t seed)
{
    static struct hash128_key keys[8];

    hash128_key_init(&keys[seed % 8], seed);
    return &keys[seed % 8];
}

#define SEED seeded(7)

struct fixture {
    struct series_index *ix;
    struct arena a;
};

static inline void open_index(struct fixture *f)
{
    memset(f, 0, sizeof(*f));
    f->ix = index_new();
    ck_assert_ptr_nonnull(f->ix);
}

static inline void close_index(struct fixture *f)
{
    index_free(f->ix);
    arena_free(&f->a);
}

/* What there is in these series, or in all when ids is NULL. */
static inline int list_texts(struct series_index *ix, struct str name, const uint32_t *ids, size_t n, struct arena *a,
                             struct str **texts, size_t *count)
{
    struct index_list *l = index_list_new(ix, name, ids, n, a);

    if (!l || index_list_look(l, NULL, NULL) < 0)
        return ERR_NOMEM;
    return index_list_take(l, a, texts, count);
}

/* From "a=1,b=2", sorted already. */
static inline struct labels parse(struct arena *a, const char *text)
{
    struct str rest = arena_str(a, str_of(text));
    struct label *v = NULL;
    size_t n = 0, cap = 0;

    while (rest.p && rest.n) {
        struct str value = str_cut(&rest, ','), name = str_cut(&value, '=');

        ck_assert_int_eq(arena_grow(a, &v, &cap, n + 1, sizeof(*v)), 0);
        v[n++] = (struct label){ name, value };
    }
    return (struct labels){ v, n };
}

static inline struct index_key key_of(struct labels l)
{
    struct buf b = BUF_INIT(1 << 24);
    struct index_key key;

    labels_canonical(&b, l);
    if (buf_failed(&b))
        ck_abort();
    key = index_key(SEED, buf_view(&b));
    buf_free(&b);
    return key;
}

static inline uint32_t add(struct series_index *ix, struct labels l)
{
    uint32_t id = index_add(ix, key_of(l), l, NULL);

    if (!id)
        ck_abort();
    return id;
}

static inline uint32_t add_text(struct fixture *f, const char *text)
{
    return add(f->ix, parse(&f->a, text));
}

static inline void assert_labels(struct series_index *ix, uint32_t id, struct labels want)
{
    struct arena a = ARENA_INIT(0);
    struct labels got = index_labels(ix, id, &a);

    if (!got.v || labels_cmp(got, want) != 0)
        ck_abort_msg("series %u has other labels", id);
    arena_free(&a);
}

static const char *const known[] = {
    "__name__=up,job=a", "__name__=up,job=b", "__name__=up,env=x,job=ab", "__name__=req,code=200,job=a",
    "__name__=req,code=404,job=a", "__name__=req,code=503,job=b", "__name__=req,job=b", "env=x",
};

static inline void add_known(struct fixture *f)
{
    for (size_t i = 0; i < COUNT(known); i++)
        ck_assert_uint_eq(add_text(f, known[i]), i + 1);
}

static inline size_t parse_matchers(struct arena *a, const char *text, struct matcher *m)
{
    char name[32], op[4], value[32];
    size_t n = 0;

    for (const char *p = text; *p; n++) {
        const char *end = strstr(p, " , ");
        enum match_op o;
        char one[96];

        snprintf(one, sizeof(one), "%.*s", (int)(end ? (size_t)(end - p) : strlen(p)), p);
        value[0] = '\0';
        ck_assert_int_ge(sscanf(one, "%31s %3s %31s", name, op, value), 2);
        o = op[0] == '=' ? (op[1] ? MATCH_RE : MATCH_EQ) : (op[1] == '~' ? MATCH_NRE : MATCH_NE);
        ck_assert_int_eq(matcher_init(&m[n], a, o, arena_str(a, str_of(name)), arena_str(a, str_of(value)), NULL), 0);
        p = end ? end + 3 : p + strlen(p);
    }
    return n;
}

#endif
