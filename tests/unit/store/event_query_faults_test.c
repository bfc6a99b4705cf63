/* Reading events when something is wrong: no memory, a ceiling, damaged bytes; when many threads read; and what is not read
 * at all. */
#include "tests/unit/store/event_pieces.h"

enum { PIECES = 4, PIECE_ROWS = 250 };

/* Two blocks and some chunks of access logs, one behind the other. */
static void make_pieces(void)
{
    model_init(EVENT_ACCESS_LOG, 7);
    for (size_t i = 0; i < PIECES; i++) {
        size_t first = model.n;

        for (size_t r = 0; r < PIECE_ROWS; r++)
            add_row((int64_t)(1000 * i + below(1000)));
        add_piece(first, PIECE_ROWS, i < 2);
    }
}

static struct event_query everything(void)
{
    return (struct event_query){ .kind = EVENT_ACCESS_LOG,
                                 .from_ns = INT64_MIN,
                                 .to_ns = INT64_MAX,
                                 .columns = ~(uint64_t)0,
                                 .attributes = true };
}

/* How many rows there are, or what went wrong. */
static int read_all(const struct event_query *q, struct arena *a, size_t *rows, struct err *e)
{
    struct event_cursor *c = events_open(NULL, q, a, e);
    struct event_page p;
    int rc = c ? 0 : e->code;

    *rows = 0;
    while (c && (rc = events_next(c, &p, e)) == 1)
        *rows += p.n;
    events_close(c);
    return rc;
}

static int count_all(struct arena *a, size_t *rows, struct err *e)
{
    static const struct event_field by[] = { { .column = ACCESS_LOG_path }, { .column = ACCESS_LOG_response_code } };
    const struct event_tally t = { .rows = { .to_ns = 6000 }, .by = by, .nby = COUNT(by), .step_ns = 700, .measure = EVENT_BYTES,
                                   .column = ACCESS_LOG_response_code_details, .most_groups = 1 << 20 };
    struct event_group *groups;
    size_t n;
    int rc = events_tally(NULL, &t, a, &groups, &n, e);

    *rows = 0;
    for (size_t i = 0; rc == 0 && i < n; i++)
        *rows += groups[i].rows;
    return rc;
}

static int list_all(struct arena *a, size_t *rows, struct err *e)
{
    struct str *values;
    size_t n;
    int rc = events_distinct(NULL, EVENT_ACCESS_LOG, ACCESS_LOG_response_code_details, INT64_MIN, INT64_MAX, SIZE_MAX, a, &values, &n, e);

    *rows = n;
    return rc;
}

static int cursor_all(struct arena *a, size_t *rows, struct err *e)
{
    const struct event_query q = everything();

    return read_all(&q, a, rows, e);
}

static int (*const readers[])(struct arena *a, size_t *rows, struct err *e) = { cursor_all, count_all, list_all };

START_TEST(every_allocation_fails_once)
{
    struct arena whole = ARENA_INIT(0);
    struct err e = ERR_INIT;
    size_t want, rows;
    int failed = 0;

    make_pieces();
    ck_assert_int_eq(readers[_i](&whole, &want, &e), 0);
    for (bool hit = true; hit; failed += hit) {
        struct arena a = ARENA_INIT(0);
        int rc;

        mem_fail_at(failed + 1);
        rc = readers[_i](&a, &rows, &e);
        hit = mem_has_failed();
        mem_fail_at(0);
        ck_assert_msg(rc == (hit ? ERR_NOMEM : 0), "allocation %d: %d %s", failed + 1, rc, e.msg);
        ck_assert_uint_eq(model.held, 0);
        if (rc == 0)
            ck_assert_uint_eq(rows, want);
        arena_free(&a);
    }
    ck_assert_int_gt(failed, 10);
    arena_free(&whole);
    model_fini();
}
END_TEST

/* A ceiling is ERR_LIMIT, or it is kept. */
START_TEST(keeps_its_ceiling)
{
    struct err e = ERR_INIT;
    size_t want, rows;
    struct arena whole = ARENA_INIT(0);
    int limited = 0;

    make_pieces();
    ck_assert_int_eq(readers[_i](&whole, &want, &e), 0);
    for (size_t max = 64 << 10; max < 64 << 20; max *= 2) {
        struct arena_budget shared = { .max = max };
        struct arena a = ARENA_INIT(max);
        int rc;

        a.budget = &shared;
        rc = readers[_i](&a, &rows, &e);
        ck_assert_msg(rc == 0 || rc == ERR_LIMIT, "%zu: %d %s", max, rc, e.msg);
        limited += rc == ERR_LIMIT;
        if (rc == 0)
            ck_assert_uint_eq(rows, want);
        arena_free(&a);
        ck_assert_uint_eq(shared.used, 0);
    }
    ck_assert_int_gt(limited, 0);
    arena_free(&whole);
    model_fini();
}
END_TEST

/* Every byte of one column of one block is wrong: its rows are missing, the others are there, and it is named. */
START_TEST(a_damaged_block_is_left_out)
{
    struct arena a = ARENA_INIT(0);
    struct err e = ERR_INIT;
    size_t rows;

    make_pieces();
    for (size_t no = 1; no < MOST_PARTS; no++)
        for (size_t at = 0; at < model.pieces[1].parts[no].n; at++)
            ((char *)(uintptr_t)model.pieces[1].parts[no].p)[at] ^= 0x55;
    ck_assert_msg(readers[_i](&a, &rows, &e) == 0, "%s", e.msg);
    ck_assert_uint_gt(model.pieces[1].damaged, 0);
    for (size_t i = 0; i < model.npieces; i++)
        ck_assert(i == 1 || model.pieces[i].damaged == 0);
    if (_i < 2)
        ck_assert_uint_eq(rows, (PIECES - 1) * PIECE_ROWS);
    arena_free(&a);
    model_fini();
}
END_TEST

/* --- what is not read --- */

static size_t reads_of(size_t piece)
{
    return model.pieces[piece].reads;
}

/* Reads of parts so far, of blocks; chunks are in memory. */
static size_t all_reads(void)
{
    size_t n = 0;

    for (size_t i = 0; i < model.npieces; i++)
        n += reads_of(i);
    return n;
}

static size_t rows_found(const struct event_condition *c, size_t n, size_t limit, bool newest_first)
{
    struct event_query q = everything();
    struct arena a = ARENA_INIT(0);
    struct err e = ERR_INIT;
    size_t rows;

    q.conditions = c;
    q.n = n;
    q.limit = limit;
    q.newest_first = newest_first;
    ck_assert_msg(read_all(&q, &a, &rows, &e) == 0, "%s", e.msg);
    arena_free(&a);
    return rows;
}

/* Four blocks one behind the other. */
static void make_blocks(void)
{
    model_init(EVENT_ACCESS_LOG, 9);
    for (size_t i = 0; i < 4; i++) {
        size_t first = model.n;

        for (size_t r = 0; r < 3000; r++)
            add_row((int64_t)(10000 * i + r));
        add_piece(first, 3000, true);
    }
    for (size_t i = 0; i < 4; i++)
        model.pieces[i].reads = 0;
}

START_TEST(a_limit_reads_one_end)
{
    make_blocks();
    ck_assert_uint_eq(rows_found(NULL, 0, 10, _i), 10);
    for (size_t i = 0; i < 4; i++)
        ck_assert((reads_of(i) > 0) == (i == (_i ? 3u : 0u)));
    model_fini();
}
END_TEST

/* Conditions that no row meets, and how many reads that takes at most in each block. */
static const struct {
    int column;
    enum event_op op;
    const char *text;
    int64_t number;
    size_t reads;
} hopeless[] = {
    { ACCESS_LOG_reporter, EVENT_NE, "", 0, 0 },                    /* there is no such column */
    { ACCESS_LOG_duration_us, EVENT_LT, "", -100000, 0 },           /* below the least */
    { ACCESS_LOG_method, EVENT_EQ, "other", 0, 1 },                 /* the same everywhere */
    { ACCESS_LOG_path, EVENT_EQ, "value-7", 0, 1 },                 /* not in the dictionary */
    { ACCESS_LOG_path, EVENT_RE, "nothing.*", 0, 1 },
    { ACCESS_LOG_response_flags, EVENT_EQ, "0123456789abcdef0123456789abcdef", 0, 1 }, /* an id: by the filter */
    { ACCESS_LOG_response_flags, EVENT_CONTAINS, "0123456789abcdef0123456789abcdef", 0, 1 },
    { ACCESS_LOG_response_code_details, EVENT_CONTAINS, " absent ", 0, 1 }, /* a word: by the filter */
};

static void none_is_found(size_t i)
{
    struct event_condition c = { .column = hopeless[i].column, .op = hopeless[i].op };
    size_t before = all_reads();

    if (c.op == EVENT_RE)
        c.re = regex_compile(&model.arena, str_of(hopeless[i].text), REGEX_FULL, NULL);
    else if (event_tables[EVENT_ACCESS_LOG].columns[c.column].is_text)
        c.value.s = str_of(hopeless[i].text);
    else
        c.value.i = hopeless[i].number;
    ck_assert_msg(rows_found(&c, 1, 0, false) == 0, "condition %zu", i);
    ck_assert_msg(all_reads() - before <= 4 * hopeless[i].reads, "condition %zu: %zu reads", i, all_reads() - before);
}

START_TEST(what_no_row_can_have_is_not_read)
{
    make_blocks(); /* once: they take longer than what is read of them */
    for (size_t i = 0; i < COUNT(hopeless); i++)
        none_is_found(i);
    model_fini();
}
END_TEST

/* By a column with a dictionary: the rows of no column are read. */
START_TEST(whole_blocks_are_counted_by_their_dictionaries)
{
    static const struct event_field by[] = { { .column = ACCESS_LOG_path }, { .column = ACCESS_LOG_method } };
    struct event_tally t = { .rows = everything(), .by = by, .nby = COUNT(by), .most_groups = 100 };
    struct arena a = ARENA_INIT(0);
    struct event_group *groups;
    size_t n, rows = 0;

    make_blocks();
    ck_assert_int_eq(events_tally(NULL, &t, &a, &groups, &n, NULL), 0);
    ck_assert_uint_eq(n, 5);
    for (size_t i = 0; i < n; i++)
        rows += groups[i].rows;
    ck_assert_uint_eq(rows, 4 * 3000);
    ck_assert_uint_le(all_reads(), 4);
    arena_free(&a);
    model_fini();
}
END_TEST

/* --- many threads --- */

/* Enough rows for a crew: the same block again and again. */
static void make_many(void)
{
    model_init(EVENT_ACCESS_LOG, 11);
    for (size_t i = 0; i < 15000; i++)
        add_row((int64_t)below(10000));
    add_piece(0, model.n, true);
    while (model.npieces < 32) {
        struct piece *p = &model.pieces[model.npieces++];

        memcpy(p->parts, model.pieces[0].parts, sizeof(p->parts));
    }
}

START_TEST(a_crew_counts_all)
{
    const struct event_condition c = { .column = ACCESS_LOG_response_code_details, .op = EVENT_CONTAINS,
                                       .value.s = STR("cart") };
    const struct event_field by = { .column = ACCESS_LOG_path };
    struct event_tally t = { .rows = { .to_ns = 20000, .conditions = &c, .n = 1 }, .by = &by, .nby = 1, .step_ns = 1000,
                             .most_groups = 100 };
    struct arena a = ARENA_INIT(0);
    struct event_group *groups;
    size_t n, rows = 0, want = 0;

    make_many();
    for (size_t i = 0; i < model.n; i++)
        want += plain_wanted(&t.rows, &model.rows[i]);
    ck_assert_int_eq(events_tally(NULL, &t, &a, &groups, &n, NULL), 0);
    for (size_t i = 0; i < n; i++)
        rows += groups[i].rows;
    ck_assert_uint_eq(rows, 32 * want);
    arena_free(&a);
    model_fini();
}
END_TEST

/* Nothing is found in the first sources, so others are opened ahead. */
START_TEST(a_needle_is_sought_by_all)
{
    struct event_condition c = { .column = ACCESS_LOG_response_code_details, .op = EVENT_RE };

    make_many();
    c.re = regex_compile(&model.arena, STR("^no such.*"), 0, NULL);
    ck_assert_uint_eq(rows_found(&c, 1, 0, _i), 0);
    for (size_t i = 0; i < model.npieces; i++)
        ck_assert_uint_gt(model.pieces[i].reads, 0);
    model_fini();
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("event_query_faults");
    TCase *tc = tcase_create("event_query_faults");

    tcase_set_timeout(tc, 120);
    tcase_add_loop_test(tc, every_allocation_fails_once, 0, COUNT(readers));
    tcase_add_loop_test(tc, keeps_its_ceiling, 0, COUNT(readers));
    tcase_add_loop_test(tc, a_damaged_block_is_left_out, 0, COUNT(readers));
    tcase_add_loop_test(tc, a_limit_reads_one_end, 0, 2);
    tcase_add_test(tc, what_no_row_can_have_is_not_read);
    tcase_add_test(tc, whole_blocks_are_counted_by_their_dictionaries);
    tcase_add_test(tc, a_crew_counts_all);
    tcase_add_loop_test(tc, a_needle_is_sought_by_all, 0, 2);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(suite)
