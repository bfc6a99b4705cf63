#include "store/series_index-internal.h"
#include "tests/unit/unit.h"

#include "base/mem.h"
#include "base/rand.h"

#include <stdio.h>

struct fixture {
    struct epoch ep;
    struct series_index ix;
    struct arena a;
};

static void open_index(struct fixture *f)
{
    memset(f, 0, sizeof(*f));
    ck_assert_int_eq(epoch_init(&f->ep), 0);
}

static void close_index(struct fixture *f)
{
    index_fini(&f->ix);
    epoch_fini(&f->ep);
    arena_free(&f->a);
}

/* From "a=1,b=2". */
static struct labels parse(struct arena *a, const char *text)
{
    struct str rest = str_of(text);
    struct label *v = NULL;
    size_t n = 0, cap = 0;

    while (rest.p && rest.n) {
        struct str value = str_cut(&rest, ','), name = str_cut(&value, '=');

        ck_assert_int_eq(arena_grow(a, &v, &cap, n + 1, sizeof(*v)), 0);
        v[n++] = (struct label){ arena_str(a, name), arena_str(a, value) };
    }
    return (struct labels){ v, n };
}

/* With one sample at t=100, so that it is seen. */
static struct series *add(struct fixture *f, uint64_t id, const char *text)
{
    struct series *s = index_add(&f->ix, id, parse(&f->a, text));
    struct sample one = { 100, 1 };

    ck_assert_ptr_nonnull(s);
    ck_assert_int_eq(head_stage(&s->head, &f->ep, &one, 1), 0);
    head_publish(&s->head, &f->ep);
    return s;
}

static const char *const known[] = {
    "__name__=up,job=a", "__name__=up,job=b", "__name__=up,job=ab,env=x", "__name__=req,code=200,job=a",
    "__name__=req,code=404,job=a", "__name__=req,code=503,job=b", "__name__=req,job=b", "env=x",
};

START_TEST(finds_by_labels)
{
    struct fixture f;

    open_index(&f);
    ck_assert_ptr_null(index_find(&f.ix, parse(&f.a, "a=1")));
    for (size_t i = 0; i < COUNT(known); i++)
        add(&f, i + 1, known[i]);
    for (size_t i = 0; i < COUNT(known); i++) {
        ck_assert_uint_eq(index_find(&f.ix, parse(&f.a, known[i]))->id, i + 1);
        ck_assert_uint_eq(index_by_id(&f.ix, i + 1)->id, i + 1);
    }
    ck_assert_ptr_null(index_find(&f.ix, parse(&f.a, "__name__=up")));
    ck_assert_ptr_null(index_find(&f.ix, parse(&f.a, "__name__=up,job=c")));
    ck_assert_ptr_null(index_by_id(&f.ix, 99));
    close_index(&f);
}
END_TEST

/* Which series each set of matchers selects, as bits in the order of `known`. */
static const struct {
    const char *text; /* name, operator, value; blanks between */
    unsigned want;
} selections[] = {
    { "", 0xff },
    { "__name__ = up", 0x07 },
    { "__name__ = nothing", 0 },
    { "nothing = x", 0 },
    { "nothing = ", 0xff },
    { "nothing != x", 0xff },
    { "nothing != ", 0 },
    { "code = ", 0xc7 },
    { "code != ", 0x38 },
    { "code != 200", 0xf7 },
    { "code =~ 200|404", 0x18 },
    { "code =~ (200)?", 0xcf },
    { "code =~ .*", 0xff },
    { "code =~ .+", 0x38 },
    { "code !~ 4.*", 0xef },
    { "code !~ .+", 0xc7 },
    { "job =~ a", 0x19 },
    { "__name__ = req , job = b", 0x60 },
    { "__name__ = req , code != , job = b", 0x20 },
    { "__name__ =~ u.|r.+ , env = ", 0x7b },
    { "env = x , __name__ = ", 0x80 },
    { "__name__ != up , job != a", 0xe0 },
};

static size_t parse_matchers(struct arena *a, const char *text, struct matcher *m)
{
    char name[32], op[4], value[32];
    size_t n = 0;

    for (const char *p = text; *p; n++) {
        const char *end = strstr(p, " , ");
        char one[96];
        int got;
        enum match_op o;

        snprintf(one, sizeof(one), "%.*s", (int)(end ? (size_t)(end - p) : strlen(p)), p);
        value[0] = '\0';
        got = sscanf(one, "%31s %3s %31s", name, op, value);
        ck_assert_int_ge(got, 2);
        o = op[0] == '=' ? (op[1] ? MATCH_RE : MATCH_EQ) : (op[1] == '~' ? MATCH_NRE : MATCH_NE);
        ck_assert_int_eq(matcher_init(&m[n], a, o, arena_str(a, str_of(name)), arena_str(a, str_of(value)), NULL), 0);
        p = end ? end + 3 : p + strlen(p);
    }
    return n;
}

START_TEST(selects_as_prometheus)
{
    struct matcher m[4];
    struct series **found;
    struct fixture f;
    unsigned got = 0, naive = 0;
    size_t n, count;

    open_index(&f);
    for (size_t i = 0; i < COUNT(known); i++)
        add(&f, i + 1, known[i]);
    n = parse_matchers(&f.a, selections[_i].text, m);
    ck_assert_int_eq(index_select(&f.ix, m, n, 0, 1000, &f.a, &found, &count), 0);
    for (size_t i = 0; i < count; i++)
        got |= 1u << (found[i]->id - 1);
    for (size_t i = 0; i < COUNT(known); i++)
        naive |= (unsigned)matchers_match(m, n, parse(&f.a, known[i])) << i;
    ck_assert_msg(got == selections[_i].want, "{%s}: got %#x", selections[_i].text, got);
    ck_assert_uint_eq(naive, selections[_i].want);
    ck_assert_int_eq(index_select(&f.ix, m, n, 101, 1000, &f.a, &found, &count), 0);
    ck_assert_uint_eq(count, 0); /* nobody has samples there */
    close_index(&f);
}
END_TEST

/* Against a list of texts, while series come and go. */
START_TEST(agrees_with_a_plain_list)
{
    enum { MAX = 400 };
    struct series *list[MAX] = { NULL };
    char text[MAX][64];
    struct fixture f;
    struct rng r;
    uint64_t id = 0;
    size_t alive = 0;

    rng_seed(&r);
    open_index(&f);
    for (int round = 0; round < 4000; round++) {
        size_t i = rng_below(&r, MAX), n = 0;
        struct series *gone[8];

        if (!list[i]) {
            snprintf(text[i], sizeof(text[i]), "__name__=m%d,i=%zu,shared=%d", (int)rng_below(&r, 5), i,
                     (int)rng_below(&r, 3));
            list[i] = add(&f, ++id, text[i]);
            alive++;
            continue;
        }
        for (size_t k = i; k < MAX && n < 8; k++)
            if (list[k]) {
                gone[n++] = list[k];
                list[k] = NULL;
            }
        index_remove(&f.ix, &f.ep, gone, n);
        alive -= n;
    }
    ck_assert_uint_eq(f.ix.n, alive);
    for (size_t i = 0; i < MAX; i++)
        if (list[i])
            ck_assert_ptr_eq(index_find(&f.ix, parse(&f.a, text[i])), list[i]);
    for (int shared = 0; shared < 3; shared++) {
        struct matcher m[1];
        struct series **found;
        char want[32];
        size_t count, expected = 0;

        snprintf(want, sizeof(want), "shared = %d", shared);
        ck_assert_uint_eq(parse_matchers(&f.a, want, m), 1);
        ck_assert_int_eq(index_select(&f.ix, m, 1, 0, 1000, &f.a, &found, &count), 0);
        for (size_t i = 0; i < MAX; i++)
            expected += list[i] && text[i][strlen(text[i]) - 1] == '0' + shared;
        ck_assert_uint_eq(count, expected);
    }
    close_index(&f);
}
END_TEST

START_TEST(readers_keep_removed_series)
{
    struct epoch_reader reader;
    struct fixture f;
    struct series *s;
    struct labels l;

    open_index(&f);
    s = add(&f, 1, "__name__=up,job=a");
    epoch_enter(&f.ep, &reader);
    index_remove(&f.ix, &f.ep, &s, 1);
    epoch_collect(&f.ep);
    l = series_labels(s, &f.a);
    ck_assert(labels_cmp(l, parse(&f.a, "__name__=up,job=a")) == 0);
    epoch_leave(&f.ep, &reader);
    epoch_collect(&f.ep);
    ck_assert_ptr_null(index_find(&f.ix, parse(&f.a, "__name__=up,job=a")));
    close_index(&f);
}
END_TEST

START_TEST(order_is_that_of_labels_cmp)
{
    struct fixture f;

    open_index(&f);
    for (size_t i = 0; i < COUNT(known); i++)
        add(&f, i + 1, known[i]);
    for (size_t i = 0; i < COUNT(known); i++)
        for (size_t k = 0; k < COUNT(known); k++) {
            int want = labels_cmp(parse(&f.a, known[i]), parse(&f.a, known[k]));
            int got = series_cmp(f.ix.all[i], f.ix.all[k]);

            ck_assert_int_eq((want > 0) - (want < 0), (got > 0) - (got < 0));
        }
    close_index(&f);
}
END_TEST

/* Each allocation fails once: the index is as before, and works. */
START_TEST(survives_failing_memory)
{
    for (long at = 1;; at++) {
        struct fixture f;
        struct series *s;
        int failed;

        open_index(&f);
        add(&f, 1, "__name__=up,job=a");
        mem_fail_at(at);
        s = index_add(&f.ix, 2, parse(&f.a, "__name__=up,job=b,new=x"));
        failed = mem_has_failed();
        mem_fail_at(0);
        if (!s) {
            ck_assert(failed);
            ck_assert_uint_eq(f.ix.n, 1);
            s = index_add(&f.ix, 2, parse(&f.a, "__name__=up,job=b,new=x"));
        }
        ck_assert_ptr_eq(index_find(&f.ix, parse(&f.a, "__name__=up,job=b,new=x")), s);
        close_index(&f);
        if (!failed)
            break;
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("series_index");
    TCase *tc = tcase_create("series_index");

    tcase_add_test(tc, finds_by_labels);
    tcase_add_loop_test(tc, selects_as_prometheus, 0, COUNT(selections));
    tcase_add_test(tc, agrees_with_a_plain_list);
    tcase_add_test(tc, readers_keep_removed_series);
    tcase_add_test(tc, order_is_that_of_labels_cmp);
    tcase_add_test(tc, survives_failing_memory);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(suite)
