#include "store/catalog.h"
#include "tests/unit/store/fixture.h"

static char dir[64];
static struct store *st;
static struct arena a;

static void setup(void)
{
    fixture_dir(dir);
    st = fixture_open(dir);
    a = (struct arena)ARENA_INIT(0);
}

static void teardown(void)
{
    arena_free(&a);
    store_close(st);
    fixture_remove(dir);
}

static struct catalog_change change(const char *kind, const char *ns, const char *name, const char *body)
{
    return (struct catalog_change){ { str_of(kind), str_of(ns), str_of(name) }, str_of(body), body == NULL };
}

/* body NULL removes. */
static int apply(const char *kind, const char *ns, const char *name, const char *body, uint64_t expect, uint64_t *rev)
{
    const struct catalog_change c = change(kind, ns, name, body);

    return catalog_apply(st, &c, 1, expect, rev, NULL);
}

/* "kind/ns/name=body@revision" of each, with blanks between. */
static const char *list(const char *kind, uint64_t revision)
{
    struct catalog_document *d;
    struct buf b = BUF_INIT(1 << 16);
    struct str text;
    size_t n;

    ck_assert_int_eq(catalog_list(st, str_of(kind), revision, &a, &d, &n, NULL), 0);
    for (size_t i = 0; i < n; i++)
        buf_printf(&b, "%s%.*s/%.*s/%.*s=%.*s@%llu", i ? " " : "", STR_ARG(d[i].key.kind), STR_ARG(d[i].key.ns),
                   STR_ARG(d[i].key.name), STR_ARG(d[i].body), (unsigned long long)d[i].revision);
    text = arena_str(&a, buf_view(&b));
    buf_free(&b);
    return text.p;
}

static void four_revisions(void)
{
    const struct catalog_change two[] = { change("VS", "gb", "a", "one"), change("GW", "gb", "z", "gate") };
    uint64_t rev = 99;

    ck_assert_uint_eq(catalog_revision(st), 0);
    ck_assert_int_eq(catalog_apply(st, two, 2, 0, &rev, NULL), 0);
    ck_assert_uint_eq(rev, 1);
    ck_assert_int_eq(apply("VS", "gb", "a", "two", 1, &rev), 0);
    ck_assert_uint_eq(rev, 2);
    ck_assert_int_eq(apply("NS", "", "gb", "ns", 0, &rev), 0);
    ck_assert_int_eq(apply("GW", "gb", "z", NULL, 0, &rev), 0);
    ck_assert_uint_eq(rev, 4);
}

static const struct {
    const char *kind;
    uint64_t revision;
    const char *want;
} lists[] = {
    { "", 0, "NS//gb=ns@3 VS/gb/a=two@2" },
    { "", 1, "GW/gb/z=gate@1 VS/gb/a=one@1" },
    { "", 2, "GW/gb/z=gate@1 VS/gb/a=two@2" },
    { "", 3, "GW/gb/z=gate@1 NS//gb=ns@3 VS/gb/a=two@2" },
    { "VS", 1, "VS/gb/a=one@1" },
    { "GW", 0, "" },
    { "GW", 3, "GW/gb/z=gate@1" },
    { "none", 0, "" },
};

START_TEST(lists_any_revision)
{
    four_revisions();
    ck_assert_str_eq(list(lists[_i].kind, lists[_i].revision), lists[_i].want);
    store_close(st);
    st = fixture_open(dir);
    ck_assert_uint_eq(catalog_revision(st), 4);
    ck_assert_str_eq(list(lists[_i].kind, lists[_i].revision), lists[_i].want);
}
END_TEST

START_TEST(equal_body_is_no_change)
{
    uint64_t rev = 0;

    four_revisions();
    ck_assert_int_eq(apply("VS", "gb", "a", "two", 0, &rev), 0);
    ck_assert_uint_eq(rev, 4);
    ck_assert_uint_eq(catalog_revision(st), 4);
}
END_TEST

START_TEST(conflicts_and_absences_change_nothing)
{
    const struct catalog_change mixed[] = { change("VS", "gb", "new", "x"), change("VS", "gb", "absent", NULL) };
    struct err e = ERR_INIT;
    uint64_t rev = 77;

    four_revisions();
    ck_assert_int_eq(apply("VS", "gb", "a", "three", 3, &rev), ERR_CONFLICT);
    ck_assert_int_eq(apply("GW", "gb", "z", NULL, 0, &rev), ERR_NOTFOUND); /* removed before */
    ck_assert_int_eq(apply("", "gb", "z", "x", 0, &rev), ERR_INVALID);
    ck_assert_int_eq(catalog_apply(st, mixed, 2, 0, &rev, &e), ERR_NOTFOUND);
    ck_assert_str_eq(e.msg, "VS gb/absent: not there");
    ck_assert_uint_eq(rev, 77);
    ck_assert_uint_eq(catalog_revision(st), 4);
    ck_assert_str_eq(list("", 0), "NS//gb=ns@3 VS/gb/a=two@2");
}
END_TEST

START_TEST(history_is_newest_first)
{
    const struct catalog_key vs = { STR("VS"), STR("gb"), STR("a") }, all = { STR_NULL, STR_NULL, STR_NULL };
    struct catalog_document *d;
    uint64_t rev;
    size_t n;

    four_revisions();
    ck_assert_int_eq(catalog_history(st, vs, 10, &a, &d, &n, NULL), 0);
    ck_assert_uint_eq(n, 2);
    ck_assert(str_eqz(d[0].body, "two") && d[0].revision == 2 && !d[0].deleted);
    ck_assert(str_eqz(d[1].body, "one") && d[1].revision == 1);
    ck_assert_int_eq(d[0].created_ms, d[1].changed_ms);
    ck_assert_int_eq(catalog_history(st, all, 3, &a, &d, &n, NULL), 0);
    ck_assert_uint_eq(n, 3);
    ck_assert(d[0].deleted && d[0].body.n == 0 && d[0].revision == 4);
    ck_assert_int_eq(apply("GW", "gb", "z", "gate", 0, &rev), 0); /* comes again */
    ck_assert_uint_eq(rev, 5);
    ck_assert_str_eq(list("GW", 0), "GW/gb/z=gate@5");
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("catalog");
    TCase *tc = tcase_create("catalog");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, lists_any_revision, 0, COUNT(lists));
    tcase_add_test(tc, equal_body_is_no_change);
    tcase_add_test(tc, conflicts_and_absences_change_nothing);
    tcase_add_test(tc, history_is_newest_first);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(suite)
