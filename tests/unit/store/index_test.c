#include "tests/unit/store/index_fixture.h"

/* --- bytes and keys --- */

static const struct {
    const char *labels, *bytes;
    size_t n;
} canonical[] = {
    { "", "", 0 },
    { "a=1", "\x0a\x06\x0a\x01"
             "a\x12\x01"
             "1", 8 },
    { "__name__=up,job=x", "\x0a\x0e\x0a\x08__name__\x12\x02up\x0a\x08\x0a\x03job\x12\x01x", 26 },
};

START_TEST(writes_what_remote_write_sends)
{
    struct arena a = ARENA_INIT(0);
    struct buf b = BUF_INIT(1 << 20);

    labels_canonical(&b, parse(&a, canonical[_i].labels));
    ck_assert_uint_eq(b.n, canonical[_i].n);
    ck_assert(b.n == 0 || memcmp(b.p, canonical[_i].bytes, b.n) == 0);
    buf_free(&b);
    arena_free(&a);
}
END_TEST

START_TEST(lengths_are_varints)
{
    static const char head[] = "\x0a\xb2\x02\x0a\x01"
                               "n\x12\xac\x02"; /* 306 = 3 + 3 + 300, and 300 */
    struct buf b = BUF_INIT(1 << 20);
    char value[300];
    struct label l = { STR("n"), { value, sizeof(value) } };

    memset(value, 'v', sizeof(value));
    labels_canonical(&b, (struct labels){ &l, 1 });
    ck_assert_uint_eq(b.n, sizeof(head) - 1 + sizeof(value));
    ck_assert_mem_eq(b.p, head, sizeof(head) - 1);
    buf_free(&b);
}
END_TEST

START_TEST(keys_depend_on_bytes_and_seed)
{
    struct index_key a = index_key(seeded(1), STR("x")), b = index_key(seeded(2), STR("x")), c = index_key(seeded(1), STR("y"));
    struct index_key again = index_key(seeded(1), STR("x"));

    ck_assert(a.lo == again.lo && a.hi == again.hi);
    ck_assert(a.lo != b.lo && a.hi != b.hi);
    ck_assert(a.lo != c.lo && a.hi != c.hi);
}
END_TEST

/* --- order --- */

static const char *const in_order[] = {
    "__name__=h,job=a,le=-Inf", "__name__=h,job=a,le=-2.5", "__name__=h,job=a,le=0.005", "__name__=h,job=a,le=0.5",
    "__name__=h,job=a,le=1",    "__name__=h,job=a,le=2.5",  "__name__=h,job=a,le=10",    "__name__=h,job=a,le=100",
    "__name__=h,job=a,le=1e3",  "__name__=h,job=a,le=+Inf",
};

START_TEST(buckets_stand_by_bound)
{
    enum { N = COUNT(in_order) };
    struct fixture f;
    uint32_t ids[N], plain, text;

    open_index(&f);
    for (size_t i = 0; i < N; i++)
        ids[N - 1 - i] = add_text(&f, in_order[N - 1 - i]);
    plain = add_text(&f, "__name__=h,job=a");
    text = add_text(&f, "__name__=h,job=a,le=many");
    for (size_t i = 1; i < N; i++)
        ck_assert_uint_lt(index_order(f.ix, ids[i - 1]), index_order(f.ix, ids[i]));
    ck_assert_uint_lt(index_order(f.ix, plain), index_order(f.ix, ids[0]));
    ck_assert_uint_eq(index_order(f.ix, plain), index_order(f.ix, text));
    for (size_t i = 0; i < N; i++)
        ck_assert_uint_eq(index_order(f.ix, ids[i]) >> 16, index_order(f.ix, plain) >> 16);
    close_index(&f);
}
END_TEST

/* The formula of index_order.c, once more: what is stored on disk must not change by accident. */
START_TEST(order_is_what_is_documented)
{
    const uint64_t k = 0x9e3779b97f4a7c15u, m = 0xd6e8feb86659fd93u;
    struct fixture f;
    uint64_t sum = 0, want;

    open_index(&f);
    add_text(&f, "__name__=h,a=1,b=2,le=1");
    for (int i = 0; i < 2; i++) {
        uint64_t h = str_hash_stable(i ? STR("b") : STR("a")) * k + str_hash_stable(i ? STR("2") : STR("1"));

        h = (h ^ h >> 32) * m;
        sum += h ^ h >> 32;
    }
    want = str_hash_stable(STR("h")) >> 48 << 48 | (sum * k >> 32) << 16 | 0xbff0;
    ck_assert_uint_eq(index_order(f.ix, 1), want);
    close_index(&f);
}
END_TEST

START_TEST(sorts_by_order_then_number)
{
    enum { MOST = 3000 };
    static const size_t sizes[] = { 0, 1, 2, 40, MOST };
    struct fixture f;
    uint32_t ids[MOST];
    size_t n = sizes[_i];
    char text[64];

    open_index(&f);
    for (size_t i = 0; i < MOST; i++) {
        snprintf(text, sizeof(text), "__name__=m%zu,i=%zu,le=%zu", i % 3, i / 2, i % 2);
        add_text(&f, text);
    }
    for (size_t i = 0; i < n; i++)
        ids[i] = (uint32_t)(i * 1009 % MOST + 1);
    ck_assert_int_eq(index_sort(f.ix, ids, n), 0);
    for (size_t i = 1; i < n; i++) {
        uint64_t x = index_order(f.ix, ids[i - 1]), y = index_order(f.ix, ids[i]);

        ck_assert(x < y || (x == y && ids[i - 1] < ids[i]));
    }
    close_index(&f);
}
END_TEST

/* --- finding --- */

START_TEST(finds_by_key)
{
    struct fixture f;

    open_index(&f);
    ck_assert_uint_eq(index_end(f.ix), 1);
    ck_assert_uint_eq(index_find(f.ix, key_of(parse(&f.a, "a=1"))), 0);
    add_known(&f);
    for (size_t i = 0; i < COUNT(known); i++) {
        struct labels l = parse(&f.a, known[i]);

        ck_assert_uint_eq(index_find(f.ix, key_of(l)), i + 1);
        assert_labels(f.ix, (uint32_t)i + 1, l);
    }
    ck_assert_uint_eq(index_find(f.ix, key_of(parse(&f.a, "__name__=up"))), 0);
    ck_assert_uint_eq(index_count(f.ix), COUNT(known));
    ck_assert(!index_has(f.ix, 0) && index_has(f.ix, 1) && !index_has(f.ix, COUNT(known) + 1));
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
    { "nothing =~ .*", 0xff },
    { "nothing =~ .+", 0 },
    { "code = ", 0xc7 },
    { "code != ", 0x38 },
    { "code != 200", 0xf7 },
    { "code != 201", 0xff },
    { "code =~ 200|404", 0x18 },
    { "code !~ 200|404", 0xe7 },
    { "code =~ 200|", 0xcf },
    { "code !~ 200|", 0x30 },
    { "code =~ 404|nothing|503", 0x30 },
    { "code =~ nothing|no", 0 },
    { "code =~ (200)?", 0xcf },
    { "code =~ .*", 0xff },
    { "code =~ .+", 0x38 },
    { "code !~ .*", 0 },
    { "code !~ 4.*", 0xef },
    { "code !~ .+", 0xc7 },
    { "code =~ 20\\d", 0x08 },
    { "job =~ a", 0x19 },
    { "__name__ = req , job = b", 0x60 },
    { "__name__ = req , code != , job = b", 0x20 },
    { "__name__ =~ u.|r.+ , env = ", 0x7b },
    { "env = x , __name__ = ", 0x80 },
    { "__name__ != up , job != a", 0xe0 },
    { "job = a , job != a", 0 },
};

START_TEST(selects_as_prometheus)
{
    unsigned got = 0, naive = 0;
    struct matcher m[4];
    struct fixture f;
    uint32_t *ids;
    size_t n, count;

    open_index(&f);
    add_known(&f);
    n = parse_matchers(&f.a, selections[_i].text, m);
    ck_assert_int_eq(index_select(f.ix, m, n, &f.a, &ids, &count), 0);
    for (size_t i = 0; i < count; i++)
        got |= 1u << (ids[i] - 1);
    for (size_t i = 0; i < COUNT(known); i++)
        naive |= (unsigned)matchers_match(m, n, parse(&f.a, known[i])) << i;
    ck_assert_msg(got == selections[_i].want, "{%s}: got %#x", selections[_i].text, got);
    ck_assert_uint_eq(naive, selections[_i].want);
    close_index(&f);
}
END_TEST

START_TEST(an_empty_index_answers)
{
    struct matcher m[1];
    struct fixture f;
    struct str *texts;
    uint32_t *ids;
    size_t n;

    open_index(&f);
    parse_matchers(&f.a, "a =~ .*", m);
    ck_assert_int_eq(index_select(f.ix, m, 1, &f.a, &ids, &n), 0);
    ck_assert_uint_eq(n, 0);
    ck_assert_int_eq(list_texts(f.ix, STR_NULL, NULL, 0, &f.a, &texts, &n), 0);
    ck_assert_uint_eq(n, 0);
    ck_assert_int_eq(list_texts(f.ix, STR("a"), NULL, 0, &f.a, &texts, &n), 0);
    ck_assert_uint_eq(n, 0);
    close_index(&f);
}
END_TEST

/* "" for all series. Numbers by blanks. */
static const struct {
    const char *name, *ids, *want; /* name "" asks for names */
} lists[] = {
    { "", NULL, "__name__ code env job" },
    { "", "1 2", "__name__ job" },
    { "", "8", "env" },
    { "", "", "" },
    { "job", NULL, "a ab b" },
    { "job", "8", "" },
    { "job", "2 7 3", "ab b" },
    { "code", NULL, "200 404 503" },
    { "code", "4 4 5 1", "200 404" },
    { "nothing", NULL, "" },
    { "nothing", "1", "" },
};

START_TEST(lists_names_and_values)
{
    char got[128] = "";
    struct str *texts;
    struct fixture f;
    uint32_t ids[8];
    size_t n = 0, count;
    const char *p = lists[_i].ids;

    open_index(&f);
    add_known(&f);
    for (; p && *p; p += strcspn(p, " "), p += *p == ' ')
        ids[n++] = (uint32_t)atoi(p);
    if (lists[_i].name[0])
        ck_assert_int_eq(
            list_texts(f.ix, str_of(lists[_i].name), p ? ids : NULL, n, &f.a, &texts, &count), 0);
    else
        ck_assert_int_eq(list_texts(f.ix, STR_NULL, p ? ids : NULL, n, &f.a, &texts, &count), 0);
    for (size_t i = 0; i < count; i++)
        snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s%.*s", i ? " " : "", STR_ARG(texts[i]));
    ck_assert_str_eq(got, lists[_i].want);
    close_index(&f);
}
END_TEST

static bool counts_calls(const void *arg, uint32_t id)
{
    ++*(unsigned *)(uintptr_t)arg;
    return id > 1;
}

/* Of the jobs a, b and ab: series 1 and 4, 2, 3. */
START_TEST(asks_only_while_something_is_left)
{
    unsigned calls = 0;
    struct index_list *l;
    struct fixture f;

    open_index(&f);
    add_known(&f);
    l = index_list_new(f.ix, STR("job"), NULL, 0, &f.a);
    ck_assert_int_eq(index_list_look(l, counts_calls, &calls), 0);
    ck_assert_uint_eq(calls, 4);
    ck_assert_int_eq(index_list_look(l, counts_calls, &calls), 0);
    ck_assert_uint_eq(calls, 4);
    for (unsigned round = 0; round < 2; round++) { /* the second time each name knows whom to ask */
        calls = 0;
        l = index_list_new(f.ix, STR_NULL, NULL, 0, &f.a);
        ck_assert_int_eq(index_list_look(l, counts_calls, &calls), 0);
        ck_assert_uint_eq(calls, 4);
    }
    close_index(&f);
}
END_TEST

START_TEST(a_series_may_be_large)
{
    static char names[INDEX_MAX_LABELS + 1][16], value[1 << 20];
    static struct label l[INDEX_MAX_LABELS + 1];
    struct fixture f;
    struct err e = ERR_INIT;

    open_index(&f);
    memset(value, 'v', sizeof(value));
    for (int i = 0; i <= INDEX_MAX_LABELS; i++) {
        snprintf(names[i], sizeof(names[i]), "n%03d", i);
        l[i] = (struct label){ str_of(names[i]), { value, i == 100 ? sizeof(value) : 1 } };
    }
    ck_assert_uint_eq(index_add(f.ix, key_of((struct labels){ l, 256 }), (struct labels){ l, 256 }, &e), 0);
    ck_assert_int_eq(e.code, ERR_LIMIT);
    for (size_t n = INDEX_MAX_LABELS; n > 0; n--) {
        ck_assert_uint_ne(add(f.ix, (struct labels){ l, n }), 0);
        assert_labels(f.ix, index_end(f.ix) - 1, (struct labels){ l, n });
    }
    for (uint32_t id = 1; id < index_end(f.ix); id++)
        assert_labels(f.ix, id, (struct labels){ l, INDEX_MAX_LABELS + 1 - id });
    close_index(&f);
}
END_TEST

/* Records of every size against the end of a chunk. */
START_TEST(small_series_fill_chunks)
{
    enum { N = 40000 };
    struct fixture f;
    char x[16], y[16];
    struct label l[] = { { STR("x"), { x, 0 } }, { STR("y"), { y, 0 } } };

    open_index(&f);
    for (unsigned round = 0; round < 2; round++)
        for (unsigned i = 0; i < N; i++) {
            struct labels set = { l, 1 + i % 5 % 2 };

            l[0].value.n = (size_t)snprintf(x, sizeof(x), "%u", i / 3);
            l[1].value.n = (size_t)snprintf(y, sizeof(y), "%u", i % 7 + 1);
            if (round == 0 && !index_find(f.ix, key_of(set)))
                add(f.ix, set);
            if (round == 1)
                assert_labels(f.ix, index_find(f.ix, key_of(set)), set);
        }
    ck_assert_uint_gt(f.ix->records.nchunks, 2);
    close_index(&f);
}
END_TEST

/* --- going --- */

START_TEST(numbers_are_never_used_again)
{
    uint32_t gone[] = { 2, 8, 2, 0, 77 }, *ids;
    struct fixture f;
    struct str *texts;
    size_t n;

    open_index(&f);
    add_known(&f);
    index_alias(f.ix, index_key(SEED, STR("other")), 2);
    index_alias(f.ix, index_key(SEED, STR("stays")), 3);
    ck_assert_uint_eq(index_find(f.ix, index_key(SEED, STR("other"))), 2);
    index_remove(f.ix, gone, COUNT(gone));
    ck_assert_uint_eq(index_count(f.ix), COUNT(known) - 2);
    ck_assert(!index_has(f.ix, 2) && !index_has(f.ix, 8) && index_has(f.ix, 3));
    ck_assert_uint_eq(index_find(f.ix, key_of(parse(&f.a, known[1]))), 0);
    ck_assert_uint_eq(index_find(f.ix, index_key(SEED, STR("other"))), 0);
    ck_assert_uint_eq(index_find(f.ix, index_key(SEED, STR("stays"))), 3);
    ck_assert_int_eq(index_select(f.ix, NULL, 0, &f.a, &ids, &n), 0);
    ck_assert_uint_eq(n, COUNT(known) - 2);
    ck_assert_int_eq(list_texts(f.ix, STR("env"), NULL, 0, &f.a, &texts, &n), 0);
    ck_assert_uint_eq(n, 1);
    ck_assert_uint_eq(add_text(&f, known[1]), COUNT(known) + 1);
    close_index(&f);
}
END_TEST

START_TEST(values_go_with_their_last_series)
{
    uint32_t gone[] = { 3, 8 };
    struct fixture f;
    struct str *texts;
    size_t n;

    open_index(&f);
    add_known(&f);
    index_remove(f.ix, gone, COUNT(gone));
    ck_assert_int_eq(list_texts(f.ix, STR("env"), NULL, 0, &f.a, &texts, &n), 0);
    ck_assert_uint_eq(n, 0);
    ck_assert_int_eq(list_texts(f.ix, STR_NULL, NULL, 0, &f.a, &texts, &n), 0);
    ck_assert_uint_eq(n, 3);
    ck_assert_uint_eq(add_text(&f, known[7]), COUNT(known) + 1);
    ck_assert_int_eq(list_texts(f.ix, STR("env"), NULL, 0, &f.a, &texts, &n), 0);
    ck_assert_uint_eq(n, 1);
    close_index(&f);
}
END_TEST

START_TEST(aliases_are_no_more_than_series)
{
    struct fixture f;
    size_t there = 0;
    char text[32];

    open_index(&f);
    add_known(&f);
    for (int i = 0; i < 100; i++) {
        snprintf(text, sizeof(text), "alias %d", i);
        index_alias(f.ix, index_key(SEED, str_of(text)), 1);
    }
    index_alias(f.ix, key_of(parse(&f.a, known[1])), 1); /* a series' own key stays its own */
    index_alias(f.ix, index_key(SEED, STR("none")), 99);
    for (int i = 0; i < 100; i++) {
        snprintf(text, sizeof(text), "alias %d", i);
        there += index_find(f.ix, index_key(SEED, str_of(text))) == 1;
    }
    ck_assert_uint_eq(there, COUNT(known));
    ck_assert_uint_eq(index_find(f.ix, key_of(parse(&f.a, known[1]))), 2);
    ck_assert_uint_eq(index_find(f.ix, index_key(SEED, STR("none"))), 0);
    close_index(&f);
}
END_TEST

START_TEST(taking_back_leaves_what_was)
{
    struct index_mark mark, after;
    struct fixture f;
    uint32_t *ids;
    struct matcher m[1];
    struct str *texts;
    size_t n;

    open_index(&f);
    add_known(&f);
    parse_matchers(&f.a, "job != ", m);
    ck_assert_int_eq(index_select(f.ix, m, 1, &f.a, &ids, &n), 0);
    mark = index_mark(f.ix);
    for (int round = 0; round < 3; round++) {
        ck_assert_uint_eq(add_text(&f, "__name__=new,job=c,le=1"), COUNT(known) + 1);
        ck_assert_uint_eq(add_text(&f, round % 2 ? "fresh=1" : "job=d"), COUNT(known) + 2);
        index_alias(f.ix, index_key(SEED, STR("new")), COUNT(known) + 1);
        index_alias(f.ix, index_key(SEED, STR("old")), 1);
        ck_assert_int_eq(index_select(f.ix, m, 1, &f.a, &ids, &n), 0);
        ck_assert_uint_eq(n, round % 2 ? 8 : 9);
        index_rollback(f.ix, mark);
        after = index_mark(f.ix);
        ck_assert_mem_eq(&mark, &after, sizeof(mark));
        ck_assert_uint_eq(index_find(f.ix, index_key(SEED, STR("new"))), 0);
        ck_assert_uint_eq(index_find(f.ix, index_key(SEED, STR("old"))), 1);
        ck_assert_int_eq(index_select(f.ix, m, 1, &f.a, &ids, &n), 0);
        ck_assert_uint_eq(n, 7);
        ck_assert_int_eq(list_texts(f.ix, STR_NULL, NULL, 0, &f.a, &texts, &n), 0);
        ck_assert_uint_eq(n, 4);
    }
    close_index(&f);
}
END_TEST

/* --- the log --- */

START_TEST(a_bad_record_changes_nothing)
{
    struct buf log = BUF_INIT(1 << 20);
    struct index_mark start, mark;
    struct fixture f, g;
    struct err e = ERR_INIT;

    open_index(&f);
    open_index(&g);
    start = index_mark(f.ix);
    add_known(&f);
    index_log(f.ix, start, &log);
    ck_assert(!buf_failed(&log));
    for (size_t i = 0; i < log.n; i++) {
        log.p[i] ^= 1;
        ck_assert_int_eq(index_replay(g.ix, buf_view(&log), &e), ERR_CORRUPT);
        log.p[i] ^= 1;
        ck_assert_int_eq(index_replay(g.ix, (struct str){ log.p, i }, &e), ERR_CORRUPT);
    }
    mark = index_mark(g.ix);
    ck_assert_mem_eq(&mark, &start, sizeof(mark));
    ck_assert_int_eq(index_replay(g.ix, buf_view(&log), &e), 0);
    ck_assert_int_eq(index_replay(g.ix, buf_view(&log), &e), ERR_CORRUPT);
    ck_assert_str_eq(e.msg, "record of the series index: begins at series 1, name 0, pair 0, should be 9, 4, 9");
    ck_assert_uint_eq(index_count(g.ix), COUNT(known));
    buf_reset(&log);
    index_log_removal((const uint32_t[]){ 3, 9 }, 2, &log);
    ck_assert_int_eq(index_replay(g.ix, buf_view(&log), &e), ERR_CORRUPT);
    ck_assert_uint_eq(index_count(g.ix), COUNT(known));
    buf_free(&log);
    close_index(&f);
    close_index(&g);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("index");
    TCase *bytes = tcase_create("bytes"), *find = tcase_create("find"), *change = tcase_create("change");

    tcase_add_loop_test(bytes, writes_what_remote_write_sends, 0, COUNT(canonical));
    tcase_add_test(bytes, lengths_are_varints);
    tcase_add_test(bytes, keys_depend_on_bytes_and_seed);
    tcase_add_test(bytes, buckets_stand_by_bound);
    tcase_add_test(bytes, order_is_what_is_documented);
    tcase_add_loop_test(bytes, sorts_by_order_then_number, 0, 5);
    tcase_add_test(find, finds_by_key);
    tcase_add_loop_test(find, selects_as_prometheus, 0, COUNT(selections));
    tcase_add_test(find, an_empty_index_answers);
    tcase_add_test(find, asks_only_while_something_is_left);
    tcase_add_loop_test(find, lists_names_and_values, 0, COUNT(lists));
    tcase_add_test(find, a_series_may_be_large);
    tcase_add_test(find, small_series_fill_chunks);
    tcase_add_test(change, numbers_are_never_used_again);
    tcase_add_test(change, values_go_with_their_last_series);
    tcase_add_test(change, aliases_are_no_more_than_series);
    tcase_add_test(change, taking_back_leaves_what_was);
    tcase_add_test(change, a_bad_record_changes_nothing);
    suite_add_tcase(s, bytes);
    suite_add_tcase(s, find);
    suite_add_tcase(s, change);
    return s;
}

UNIT_MAIN(make_suite)
