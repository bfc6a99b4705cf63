/* What is remembered of keys and texts from record to record saves work and changes nothing: a body of many records comes to
 * what each of them comes to alone. And a text that comes again is the view that came first. */
#include "tests/unit/collector/otlp_case.h"

#include <stdio.h>
#include <stdlib.h>

enum { KEYS = 14, RECORDS = 700, LONGEST = 150 };

/* Around a column's name, around a length of one byte, keys of their own with one end or middle. */
static struct str key_of(unsigned k, char *room)
{
    static const char *const names[] = { "method", "path", "response_code", "upstream_cluster", "request_id", "bytes_sent",
                                         "k", "k1", "key_of_sixteen_b", "key_of_sixteen_c", "k8s.pod.name", "body" };

    if (k < COUNT(names))
        return str_of(names[k]);
    memset(room, 'k', LONGEST);
    return (struct str){ room, k == COUNT(names) ? 120 : LONGEST };
}

/* Of every length, and alike but for one byte; some new each time, some not UTF-8. */
static struct str text_of(unsigned *seed, char *room)
{
    size_t n = (size_t)(rand_r(seed) % (rand_r(seed) % 4 ? 24 : LONGEST));

    memset(room, 'a', n);
    if (n && rand_r(seed) % 2)
        room[(size_t)rand_r(seed) % n] = 'b';
    if (n > 8 && rand_r(seed) % 8 == 0)
        snprintf(room, n, "%08x", (unsigned)rand_r(seed));
    if (n && rand_r(seed) % 200 == 0)
        room[(size_t)rand_r(seed) % n] = '\xff';
    return (struct str){ room, n };
}

static void put_pair(struct buf *b, uint32_t number, unsigned k, unsigned *seed)
{
    char key[LONGEST], text[LONGEST];
    size_t pair = pb_open(b, number), any;

    pb_put_str(b, 1, key_of(k, key));
    any = pb_open(b, 2);
    if (k == 2 || k == 5 || rand_r(seed) % 16 == 0) {
        if (rand_r(seed) % 2)
            pb_put_varint(b, 3, (uint64_t)rand_r(seed) % 300);
        else
            pb_put_str(b, 1, str_of(rand_r(seed) % 2 ? "200" : "-"));
    } else {
        pb_put_str(b, 1, text_of(seed, text));
    }
    pb_close(b, any);
    pb_close(b, pair);
}

/* The same keys in the same order, mostly: else some are missing, or come twice, or in another order, or the time comes
 * between them. */
static void put_record(struct buf *b, unsigned *seed)
{
    size_t record = pb_open(b, 2);
    bool odd = rand_r(seed) % 8 == 0;
    unsigned turn = odd ? (unsigned)rand_r(seed) % KEYS : 0;

    for (unsigned i = 0; i < KEYS; i++) {
        unsigned k = (i + turn) % KEYS;

        if (i == 5)
            pb_put_fixed64(b, 1, 1 + (uint64_t)rand_r(seed));
        for (int times = odd ? rand_r(seed) % 3 : 1; times > 0; times--)
            put_pair(b, 6, k, seed);
    }
    pb_close(b, record);
}

struct origin {
    const char *pod, *scope;
};

static void put_logs(struct buf *b, const struct origin *from, struct str records)
{
    size_t resource_logs = pb_open(b, 1), resource = pb_open(b, 1), pair = pb_open(b, 1), any, scope_logs, scope;

    pb_put_str(b, 1, STR("k8s.pod.name"));
    any = pb_open(b, 2);
    pb_put_str(b, 1, str_of(from->pod));
    pb_close(b, any);
    pb_close(b, pair);
    pb_close(b, resource);
    scope_logs = pb_open(b, 2);
    scope = pb_open(b, 1);
    pb_put_str(b, 1, str_of(from->scope));
    pb_close(b, scope);
    buf_str(b, records);
    pb_close(b, scope_logs);
    pb_close(b, resource_logs);
}

/* Rows of the two tables, each in the order they came. */
struct rows {
    struct buf tables[2];
    uint64_t refused;
};

#define ROWS_INIT { { BUF_INIT(64 << 20), BUF_INIT(64 << 20) }, 0 }

static void rows_free(struct rows *r)
{
    buf_free(&r->tables[0]);
    buf_free(&r->tables[1]);
}

static void decode_rows(struct str body, struct rows *to)
{
    struct buf text = BUF_INIT(64 << 20);
    struct otlp_refused refused;
    struct str rest;

    ck_assert_int_eq(decode(OTLP_LOGS, OTLP_PROTOBUF, body, &text, &refused, NULL), 0);
    rest = (struct str){ text.p, text.n - 1 };
    while (rest.p && rest.n) {
        struct str line = str_cut(&rest, '\n');
        struct buf *table = &to->tables[str_starts(line, STR("access_log "))];

        buf_str(table, line);
        buf_putc(table, '\n');
    }
    to->refused += refused.n;
    buf_free(&text);
}

static const struct origin origins[] = { { "p1", "vigla.access_log" }, { "p2", "vigla.access_log" }, { "p1", "lib" } };

START_TEST(nothing_changes_by_what_came_before)
{
    struct buf body = BUF_INIT(64 << 20), records = BUF_INIT(64 << 20), single = BUF_INIT(1 << 20);
    struct rows whole = ROWS_INIT, singles = ROWS_INIT;
    unsigned seed = (unsigned)_i;

    for (size_t o = 0; o < COUNT(origins); o++) {
        buf_reset(&records);
        for (int i = 0; i < RECORDS; i++) {
            size_t before = records.n;

            put_record(&records, &seed);
            buf_reset(&single);
            put_logs(&single, &origins[o], str_from(buf_view(&records), before));
            decode_rows(buf_view(&single), &singles);
        }
        put_logs(&body, &origins[o], buf_view(&records));
    }
    decode_rows(buf_view(&body), &whole);
    for (int i = 0; i < 2; i++) {
        ck_assert_uint_gt(whole.tables[i].n, 0);
        ck_assert_uint_eq(whole.tables[i].n, singles.tables[i].n);
        ck_assert_mem_eq(whole.tables[i].p, singles.tables[i].p, whole.tables[i].n);
    }
    ck_assert_uint_gt(whole.refused, 0);
    ck_assert_uint_eq(whole.refused, singles.refused);
    rows_free(&whole);
    rows_free(&singles);
    buf_free(&body);
    buf_free(&records);
    buf_free(&single);
}
END_TEST

static void put_text(struct buf *b, const char *key, const char *text)
{
    size_t pair = pb_open(b, 6), any;

    pb_put_str(b, 1, str_of(key));
    any = pb_open(b, 2);
    pb_put_str(b, 1, str_of(text));
    pb_close(b, any);
    pb_close(b, pair);
}

/* Pieces of a scope's message: its records, each alone, and what names it. */
static void put_scope_in_pieces(struct buf *b, const char *pieces, unsigned *seed)
{
    size_t resource_logs = pb_open(b, 1), scope_logs = pb_open(b, 2), scope;

    for (; *pieces; pieces++) {
        if (*pieces == 'r') {
            put_record(b, seed);
            continue;
        }
        scope = pb_open(b, 1);
        pb_put_str(b, 1, *pieces == 'o' ? STR("vigla.access_log") : STR("lib"));
        pb_close(b, scope);
    }
    pb_close(b, scope_logs);
    pb_close(b, resource_logs);
}

/* o: our own scope, l: another, r: a record. The last scope counts, for all records. */
static const struct {
    const char *pieces, *same_as;
} scopes[] = { { "rrro", "orrr" }, { "rrrl", "lrrr" }, { "lrro", "orr" }, { "orrl", "lrr" }, { "rolr", "lrr" },
               { "lorr", "orr" },  { "orro", "orr" }, { "rrr", "rrr" } };

START_TEST(scope_may_stand_behind_its_records)
{
    struct buf body = BUF_INIT(1 << 20);
    struct rows rows[2] = { ROWS_INIT, ROWS_INIT };

    for (int i = 0; i < 2; i++) {
        unsigned seed = 5;

        buf_reset(&body);
        put_scope_in_pieces(&body, "lrrr", &seed); /* rows that stay */
        put_scope_in_pieces(&body, i ? scopes[_i].same_as : scopes[_i].pieces, &seed);
        put_scope_in_pieces(&body, "orrr", &seed);
        decode_rows(buf_view(&body), &rows[i]);
    }
    for (int i = 0; i < 2; i++) {
        ck_assert_uint_eq(rows[0].tables[i].n, rows[1].tables[i].n);
        ck_assert(str_eq(buf_view(&rows[0].tables[i]), buf_view(&rows[1].tables[i])));
    }
    ck_assert_uint_eq(rows[0].refused, rows[1].refused);
    rows_free(&rows[0]);
    rows_free(&rows[1]);
    buf_free(&body);
}
END_TEST

/* A record whose only attribute is the first n bytes of the pair's. */
static void put_cut(struct buf *records, struct str pair, size_t n)
{
    size_t record = pb_open(records, 2), attribute;

    pb_put_fixed64(records, 1, 1);
    attribute = pb_open(records, 6);
    buf_str(records, (struct str){ pair.p, n });
    pb_close(records, attribute);
    pb_close(records, record);
}

/* Decodes records in memory that ends where they end. */
static int decode_exactly(struct str records, struct buf *text, struct otlp_refused *refused)
{
    struct buf body = BUF_INIT(1 << 20);
    char *exact;
    int rc;

    put_logs(&body, &origins[0], records);
    exact = malloc(body.n);
    memcpy(exact, body.p, body.n);
    rc = decode(OTLP_LOGS, OTLP_PROTOBUF, (struct str){ exact, body.n }, text, refused, NULL);
    free(exact);
    buf_free(&body);
    return rc;
}

/* An attribute cut anywhere, behind one that lets expect it whole, comes to what it comes to alone. */
START_TEST(what_is_expected_need_not_come)
{
    struct buf pair = BUF_INIT(1 << 10), records = BUF_INIT(1 << 20);
    struct buf first = BUF_INIT(1 << 20), both = BUF_INIT(1 << 20), alone = BUF_INIT(1 << 20);
    struct otlp_refused refused[2];
    size_t any, head;

    pb_put_str(&pair, 1, STR("destination_service"));
    any = pb_open(&pair, 2);
    pb_put_str(&pair, 1, STR("cart.shop.svc.cluster.local"));
    pb_close(&pair, any);
    put_cut(&records, buf_view(&pair), pair.n);
    head = records.n;
    ck_assert_int_eq(decode_exactly(buf_view(&records), &first, &refused[0]), 0);
    for (size_t n = 0; n <= pair.n; n++) {
        int rc;

        records.n = head;
        put_cut(&records, buf_view(&pair), n);
        buf_reset(&both);
        buf_reset(&alone);
        rc = decode_exactly(buf_view(&records), &both, &refused[0]);
        ck_assert_int_eq(rc, decode_exactly(str_from(buf_view(&records), head), &alone, &refused[1]));
        ck_assert_int_eq(rc == 0, n == 0 || n == 2 + strlen("destination_service") || n == pair.n);
        if (rc)
            continue;
        ck_assert_uint_eq(both.n, first.n - 1 + alone.n); /* each ends in a NUL */
        ck_assert_str_eq(both.p + first.n - 1, alone.p);
    }
    buf_free(&pair);
    buf_free(&records);
    buf_free(&first);
    buf_free(&both);
    buf_free(&alone);
}
END_TEST

/* Two methods by turns, and ids that never come again. */
static void put_turns(struct buf *records, int n)
{
    char id[24];

    for (int i = 0; i < n; i++) {
        size_t record = pb_open(records, 2);

        pb_put_fixed64(records, 1, 1 + (uint64_t)i);
        snprintf(id, sizeof(id), "id-%d", i);
        put_text(records, "request_id", id);
        put_text(records, "method", i % 2 ? "GET" : "PROPFIND");
        pb_close(records, record);
    }
}

START_TEST(what_comes_again_is_the_same_view)
{
    struct buf body = BUF_INIT(1 << 20), records = BUF_INIT(1 << 20);
    struct arena a = ARENA_INIT(64 << 20);
    struct otlp_refused refused;
    const struct event_rows *rows;
    struct batch b;

    put_turns(&records, 1000);
    put_logs(&body, &origins[0], buf_view(&records));
    batch_init(&b, &a);
    ck_assert_int_eq(otlp_decode(OTLP_LOGS, OTLP_PROTOBUF, buf_view(&body), NULL, &b, &refused, NULL), 0);
    rows = &b.events[EVENT_ACCESS_LOG];
    ck_assert_uint_eq(rows->n, 1000);
    for (size_t i = 100; i < rows->n; i++) {
        ck_assert_ptr_eq(rows->columns[ACCESS_LOG_method][i].s.p, rows->columns[ACCESS_LOG_method][98 + i % 2].s.p);
        ck_assert_ptr_ne(rows->columns[ACCESS_LOG_request_id][i].s.p, rows->columns[ACCESS_LOG_request_id][i - 1].s.p);
    }
    arena_free(&a);
    buf_free(&records);
    buf_free(&body);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("otlp_pairs");
    TCase *t = tcase_create("otlp_pairs");

    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, nothing_changes_by_what_came_before, 0, 6);
    tcase_add_loop_test(t, scope_may_stand_behind_its_records, 0, COUNT(scopes));
    tcase_add_test(t, what_is_expected_need_not_come);
    tcase_add_test(t, what_comes_again_is_the_same_view);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
