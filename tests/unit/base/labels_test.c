#include "base/labels.h"

#include "base/mem.h"
#include "tests/unit/unit.h"

#define L(n, v) { STR_INIT(n), STR_INIT(v) }

static const struct label abc[] = { L("a", "1"), L("b", "2"), L("c", "") };
static const struct label ab[] = { L("a", "1"), L("b", "2") };
static const struct label ab3[] = { L("a", "1"), L("b", "3") };
static const struct label aa[] = { L("aa", "0") };
static const struct label b2[] = { L("b", "2") };
static const struct label bx[] = { L("b", "2"), L("x", "") };

static const struct {
    struct labels a, b;
    int cmp;
    bool contains;
} pairs[] = {
    { { NULL, 0 }, { NULL, 0 }, 0, true },
    { { ab, 2 }, { NULL, 0 }, 1, true },
    { { ab, 2 }, { ab, 2 }, 0, true },
    { { ab, 2 }, { ab3, 2 }, -1, false },
    { { ab, 1 }, { ab, 2 }, -1, false },
    { { ab, 2 }, { aa, 1 }, -1, false },  /* "a" before "aa", whatever the values are */
    { { ab, 2 }, { b2, 1 }, -1, true },
    { { ab, 2 }, { bx, 2 }, -1, true },   /* an absent label and an empty one are the same */
    { { ab3, 2 }, { b2, 1 }, -1, false },
};

START_TEST(compares)
{
    struct labels a = pairs[_i].a, b = pairs[_i].b;
    int c = labels_cmp(a, b);

    ck_assert_int_eq((c > 0) - (c < 0), pairs[_i].cmp);
    c = labels_cmp(b, a);
    ck_assert_int_eq((c > 0) - (c < 0), -pairs[_i].cmp);
    ck_assert((labels_hash(a) == labels_hash(b)) == (pairs[_i].cmp == 0));
    ck_assert(labels_contain(a, b) == pairs[_i].contains);
}
END_TEST

START_TEST(gets)
{
    struct labels l = { abc, 3 };

    ck_assert(str_eqz(labels_get(l, STR("b")), "2"));
    ck_assert_ptr_null(labels_get(l, STR("d")).p);
    ck_assert_ptr_null(labels_get((struct labels){ NULL, 0 }, STR("a")).p);
}
END_TEST

/* Name and value do not run into each other, nor one pair into the next. */
START_TEST(hash_keeps_borders)
{
    static const struct label one[] = { L("ab", "c") }, other[] = { L("a", "bc") }, swapped[] = { L("c", "ab") };

    ck_assert_uint_ne(labels_hash((struct labels){ one, 1 }), labels_hash((struct labels){ other, 1 }));
    ck_assert_uint_ne(labels_hash((struct labels){ one, 1 }), labels_hash((struct labels){ swapped, 1 }));
}
END_TEST

static const struct {
    struct label in[4];
    size_t n;
    int rc;
    const char *out;
} norms[] = {
    { { { { NULL, 0 }, { NULL, 0 } } }, 0, 0, "{}" },
    { { L("b", "2"), L("a", "1") }, 2, 0, "{a=\"1\", b=\"2\"}" },
    { { L("b", ""), L("a", "1"), L("Z", "0") }, 3, 0, "{Z=\"0\", a=\"1\"}" },
    { { L("a", ""), L("a", "1") }, 2, 0, "{a=\"1\"}" },
    { { L("b", "1"), L("a", "1"), L("b", "1") }, 3, ERR_INVALID, "label \"b\" stands twice" },
};

START_TEST(normalises)
{
    struct label v[4];
    struct err e = ERR_INIT;
    struct buf b = BUF_INIT(1000);
    size_t n = norms[_i].n;

    memcpy(v, norms[_i].in, sizeof(v));
    ck_assert_int_eq(labels_normalise(v, &n, &e), norms[_i].rc);
    if (norms[_i].rc == 0) {
        labels_print(&b, (struct labels){ v, n });
        ck_assert_str_eq(buf_cstr(&b), norms[_i].out);
    } else {
        ck_assert_str_eq(e.msg, norms[_i].out);
    }
    buf_free(&b);
}
END_TEST

static const struct {
    struct label in;
    const char *out;
} prints[] = {
    { L("a_1", "plain"), "{a_1=\"plain\"}" },
    { L("1a", "x"), "{\"1a\"=\"x\"}" },
    { L("http.url", "x"), "{\"http.url\"=\"x\"}" },
    { L("a", "q\"b\\n\nt\tr\r"), "{a=\"q\\\"b\\\\n\\nt\\tr\\r\"}" },
    { L("a", "\x01\x7f caf\xc3\xa9"), "{a=\"\\x01\\x7f caf\xc3\xa9\"}" },
};

START_TEST(prints_as_prometheus)
{
    struct buf b = BUF_INIT(1000);

    labels_print(&b, (struct labels){ &prints[_i].in, 1 });
    ck_assert_str_eq(buf_cstr(&b), prints[_i].out);
    buf_free(&b);
}
END_TEST

START_TEST(copies)
{
    struct arena a = ARENA_INIT(0);
    struct labels l = labels_copy(&a, (struct labels){ ab, 2 }), none = labels_copy(&a, (struct labels){ NULL, 0 });

    ck_assert_int_eq(labels_cmp(l, (struct labels){ ab, 2 }), 0);
    ck_assert(l.v[0].name.p != ab[0].name.p && l.v[1].value.p != ab[1].value.p);
    ck_assert(none.v != NULL && none.n == 0);
    arena_free(&a);
}
END_TEST

START_TEST(says_when_memory_is_short)
{
    for (size_t max = 16;; max += 16) {
        struct arena a = ARENA_INIT(max);
        struct labels l = labels_copy(&a, (struct labels){ ab, 2 });

        ck_assert((l.v != NULL) == (l.n == 2));
        arena_free(&a);
        if (l.v)
            break;
        ck_assert_uint_lt(max, 1000);
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("labels");
    TCase *t = tcase_create("labels");

    tcase_add_loop_test(t, compares, 0, COUNT(pairs));
    tcase_add_test(t, gets);
    tcase_add_test(t, hash_keeps_borders);
    tcase_add_loop_test(t, normalises, 0, COUNT(norms));
    tcase_add_loop_test(t, prints_as_prometheus, 0, COUNT(prints));
    tcase_add_test(t, copies);
    tcase_add_test(t, says_when_memory_is_short);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
