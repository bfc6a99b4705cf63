/* A chunk holds the rows it was made of, whatever they are; so does one that was joined of several; bytes that are not
 * ours are refused. */
#include "store/event_chunk-internal.h"

#include "store/event_chunk_format-internal.h"
#include "tests/unit/store/event_rows.h"

static const struct {
    size_t rows, attributes, names;
} sizes[] = {
    { 1, 0, 0 }, { 1, 5, 5 }, { 2, 3, 3 }, { 7, 3, 10 }, { 40, 0, 0 }, { 100, 6, 8 }, { 500, 4, 300 }, { 3000, 2, 5 },
    { 600, 8, 3000 },
};

enum { SIZES = sizeof(sizes) / sizeof(sizes[0]), ROUNDS = 2 };

static struct event_source *encoded(const struct event_rows *rows, enum event_kind kind, size_t first, size_t n,
                                    struct buf *out, struct arena *a)
{
    struct event_chunk_head head;
    struct event_source *s;
    struct err e = ERR_INIT;

    ck_assert_msg(event_chunk_encode(rows, kind, first, n, out, &e) == 0, "%s", e.msg);
    ck_assert_msg(event_chunk_check(buf_view(out), &head, &e) == 0, "%s", e.msg);
    s = event_chunk_open(buf_view(out), a, &e);
    ck_assert_msg(s, "%s", e.msg);
    ck_assert(head.kind == kind && head.rows == n && s->n == n && s->kind == kind && s->first_ns == head.first_ns &&
              s->last_ns == head.last_ns);
    return s;
}

static struct event_rows part(const struct event_rows *rows, size_t first, size_t n)
{
    struct event_rows p = *rows;

    p.n = n;
    p.time_ns += first;
    p.attributes += first;
    for (size_t c = 0; c < EVENT_MAX_COLUMNS; c++)
        p.columns[c] += p.columns[c] ? first : 0;
    return p;
}

START_TEST(comes_back)
{
    enum event_kind kind = (enum event_kind)(_i % EVENT_KINDS);
    size_t n = sizes[_i / EVENT_KINDS % SIZES].rows;
    struct arena a = ARENA_INIT(0);
    struct rng r = rng_of((uint64_t)_i);
    struct buf out = BUF_INIT(1 << 30);
    struct batch b;

    batch_init(&b, &a);
    add_random_rows(&r, &b, kind, n, sizes[_i / EVENT_KINDS % SIZES].attributes, sizes[_i / EVENT_KINDS % SIZES].names,
                    units[_i % 4]);
    must_hold(encoded(&b.events[kind], kind, 0, n, &out, &a), &b.events[kind], NULL);
    buf_free(&out);
    arena_free(&a);
}
END_TEST

/* Rows from the middle of a batch, behind other bytes. */
START_TEST(takes_some_rows)
{
    struct arena a = ARENA_INIT(0);
    struct rng r = rng_of(77);
    struct buf out = BUF_INIT(1 << 30), alone = BUF_INIT(1 << 30);
    struct batch b;
    struct event_rows some;

    batch_init(&b, &a);
    add_random_rows(&r, &b, EVENT_SPAN, 300, 4, 9, 1);
    some = part(&b.events[EVENT_SPAN], 100, 150);
    must_hold(encoded(&b.events[EVENT_SPAN], EVENT_SPAN, 100, 150, &out, &a), &some, NULL);
    buf_puts(&alone, "something");
    ck_assert_int_eq(event_chunk_encode(&some, EVENT_SPAN, 0, 150, &alone, NULL), 0);
    ck_assert(str_eq(str_from(buf_view(&alone), 9), buf_view(&out)));
    buf_free(&out);
    buf_free(&alone);
    arena_free(&a);
}
END_TEST

START_TEST(joins)
{
    enum { MOST = 40 };
    enum event_kind kind = (enum event_kind)(_i % EVENT_KINDS);
    struct arena a = ARENA_INIT(0);
    struct rng r = rng_of((uint64_t)_i + 1000);
    struct buf out = BUF_INIT(1 << 30), bytes[MOST];
    struct event_source *sources[MOST], *s;
    struct event_rows all;
    struct err e = ERR_INIT;
    struct batch b;
    size_t n = 0, at = 0;

    batch_init(&b, &a);
    for (size_t i = 0; i < 3; i++)
        add_random_rows(&r, &b, kind, 200, (size_t)_i % 3 * 3, 4 + (size_t)_i % 5 * 300, 1);
    all = b.events[kind];
    while (at < all.n) {
        size_t rows = 1 + rng_below(&r, 60);

        rows = rows > all.n - at ? all.n - at : rows;
        rows = n == MOST - 1 ? all.n - at : rows;
        bytes[n] = (struct buf)BUF_INIT(1 << 30);
        sources[n] = encoded(&all, kind, at, rows, &bytes[n], &a);
        at += rows;
        n++;
    }
    ck_assert_msg(event_chunk_join(sources, n, &out, &e) == 0, "%s", e.msg);
    s = event_chunk_open(buf_view(&out), &a, &e);
    ck_assert_msg(s, "%s", e.msg);
    must_hold(s, &all, NULL);
    for (size_t i = 0; i < n; i++)
        buf_free(&bytes[i]);
    buf_free(&out);
    arena_free(&a);
}
END_TEST

/* Texts are known by where they lie, too: equal ones at one place or at several, others at the same place but shorter,
 * and the same views in two columns, where they have other codes. */
START_TEST(tells_texts_by_their_bytes)
{
    static const char bytes[] = "checkoutcheckoutcheckoutch";
    static const int columns[] = { LOG_pod, LOG_service };
    enum { PLACES = 3, LONGEST = 8, ROWS = 4000 };
    struct arena a = ARENA_INIT(0);
    struct rng r = rng_of((uint64_t)_i);
    struct buf out = BUF_INIT(1 << 30);
    struct batch b;

    batch_init(&b, &a);
    for (int64_t i = 0; i < ROWS; i++) {
        for (size_t c = 0; c < COUNT(columns); c++) {
            struct str text = { bytes + 8 * rng_below(&r, PLACES) + rng_below(&r, 2), rng_below(&r, LONGEST) };

            batch_set_event(&b, EVENT_LOG, columns[c], (union event_value){ .s = text });
        }
        batch_end_event(&b, EVENT_LOG, i, (struct labels){ NULL, 0 });
    }
    must_hold(encoded(&b.events[EVENT_LOG], EVENT_LOG, 0, ROWS, &out, &a), &b.events[EVENT_LOG], NULL);
    buf_free(&out);
    arena_free(&a);
}
END_TEST

START_TEST(takes_as_many_rows_as_a_source_may_have)
{
    struct arena a = ARENA_INIT(0);
    struct buf out = BUF_INIT(1 << 30);
    struct batch b;

    batch_init(&b, &a);
    for (size_t i = 0; i < EVENT_SOURCE_ROWS; i++) {
        batch_set_event(&b, EVENT_LOG, LOG_body, (union event_value){ .s = arena_printf(&a, "%zu", i) });
        batch_set_event(&b, EVENT_LOG, LOG_pod, (union event_value){ .s = arena_printf(&a, "%zu", i % 60000) });
        batch_end_event(&b, EVENT_LOG, (int64_t)i, (struct labels){ NULL, 0 });
    }
    ck_assert_uint_eq(b.events[EVENT_LOG].n, EVENT_SOURCE_ROWS);
    must_hold(encoded(&b.events[EVENT_LOG], EVENT_LOG, 0, EVENT_SOURCE_ROWS, &out, &a), &b.events[EVENT_LOG], NULL);
    buf_free(&out);
    arena_free(&a);
}
END_TEST

/* No two columns of a table have the same key, and none has one that means something else. */
START_TEST(keys_differ)
{
    for (int kind = 0; kind < EVENT_KINDS; kind++)
        for (size_t i = 0; i < event_tables[kind].n; i++) {
            ck_assert_uint_ge(chunk_key(&event_tables[kind].columns[i]), KEY_FIRST_FIXED);
            for (size_t k = 0; k < i; k++)
                ck_assert_uint_ne(chunk_key(&event_tables[kind].columns[i]), chunk_key(&event_tables[kind].columns[k]));
        }
}
END_TEST

/* A row of thirty short values is little more than their bytes. */
START_TEST(is_small)
{
    struct arena a = ARENA_INIT(0);
    struct buf out = BUF_INIT(1 << 30);
    struct batch b;

    batch_init(&b, &a);
    for (int c = 13; c < 43; c++)
        ck_assert_int_eq(batch_set_event(&b, EVENT_ACCESS_LOG, c, (union event_value){ .s = STR("0123456789") }), 0);
    ck_assert_int_eq(batch_end_event(&b, EVENT_ACCESS_LOG, 5, (struct labels){ NULL, 0 }), 0);
    ck_assert_int_eq(event_chunk_encode(&b.events[EVENT_ACCESS_LOG], EVENT_ACCESS_LOG, 0, 1, &out, NULL), 0);
    ck_assert_uint_le(out.n, 30 * (10 + 4) + 50);
    buf_free(&out);
    arena_free(&a);
}
END_TEST

/* Any byte that changes is noticed. */
START_TEST(is_summed)
{
    struct arena a = ARENA_INIT(0);
    struct rng r = rng_of(5);
    struct buf out = BUF_INIT(1 << 30);
    struct event_chunk_head head;
    struct batch b;

    batch_init(&b, &a);
    add_random_rows(&r, &b, EVENT_LOG, 20, 2, 2, 1);
    ck_assert_int_eq(event_chunk_encode(&b.events[EVENT_LOG], EVENT_LOG, 0, 20, &out, NULL), 0);
    for (size_t i = 0; i < out.n; i++) {
        out.p[i] ^= 1;
        ck_assert_int_eq(event_chunk_check(buf_view(&out), &head, NULL), ERR_CORRUPT);
        ck_assert_int_eq(event_chunk_check((struct str){ out.p, i }, &head, NULL), ERR_CORRUPT);
        out.p[i] ^= 1;
    }
    ck_assert_int_eq(event_chunk_check(buf_view(&out), &head, NULL), 0);
    buf_free(&out);
    arena_free(&a);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("event_chunk");
    TCase *tc = tcase_create("event_chunk");

    tcase_add_loop_test(tc, comes_back, 0, (int)(SIZES * EVENT_KINDS * ROUNDS));
    tcase_add_test(tc, takes_some_rows);
    tcase_add_loop_test(tc, joins, 0, 24);
    tcase_add_loop_test(tc, tells_texts_by_their_bytes, 0, 4);
    tcase_add_test(tc, takes_as_many_rows_as_a_source_may_have);
    tcase_add_test(tc, keys_differ);
    tcase_add_test(tc, is_small);
    tcase_add_test(tc, is_summed);
    tcase_set_timeout(tc, 60);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(suite)
