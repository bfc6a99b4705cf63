/* The cursor, the counting and the distinct values against the same asked of the rows in the plainest way. */
#include "tests/unit/store/event_pieces.h"

enum { MOST_CONDITIONS = 3, MODELS = 9, QUERIES = 40 };

static struct event_query random_query(struct event_condition conditions[MOST_CONDITIONS])
{
    struct event_query q = { .kind = model.kind, .from_ns = INT64_MIN, .to_ns = INT64_MAX, .conditions = conditions };

    q.n = below(MOST_CONDITIONS + 1);
    for (size_t i = 0; i < q.n; i++)
        conditions[i] = random_condition();
    if (below(2)) {
        q.from_ns = model.rows[below(model.n)].t;
        q.to_ns = q.from_ns + (int64_t)below(4000);
    }
    q.columns = below(3) ? (uint64_t)1 << model.row_column : rng_next(&model.rng) | (uint64_t)1 << model.row_column;
    q.attributes = below(2);
    q.newest_first = below(2);
    q.limit = below(2) ? 0 : 1 + below(200);
    return q;
}

static int by_time(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

/* The times of all rows that hold, in the query's order. */
static size_t plain_times(const struct event_query *q, int64_t *times)
{
    size_t n = 0;

    for (size_t i = 0; i < model.n; i++)
        if (plain_wanted(q, &model.rows[i]))
            times[n++] = model.rows[i].t;
    qsort(times, n, sizeof(*times), by_time);
    for (size_t i = 0; q->newest_first && i < n / 2; i++) {
        int64_t t = times[i];

        times[i] = times[n - 1 - i];
        times[n - 1 - i] = t;
    }
    return q->limit && n > q->limit ? q->limit : n;
}

/* (Check writes a line for each assertion, so what is asked of each value is asked without.) */
static void same_values(const struct event_query *q, const struct event_page *p, size_t at, const struct model_row *r)
{
    const struct event_table *t = &event_tables[model.kind];

    for (size_t c = 0; c < t->n; c++) {
        bool text = t->columns[c].is_text;

        if ((p->columns[c] != NULL) != (q->columns >> c & 1))
            ck_abort_msg("%.*s: wanted, and not there, or the other way round", STR_ARG(t->columns[c].name));
        if (p->columns[c] && !(text ? str_eq(p->columns[c][at].s, r->v[c].s) : p->columns[c][at].i == r->v[c].i))
            ck_abort_msg("%.*s: another value", STR_ARG(t->columns[c].name));
    }
    if ((p->attributes != NULL) != q->attributes || (q->attributes && labels_cmp(p->attributes[at], r->attributes)))
        ck_abort_msg("other attributes");
}

static void compare_rows(const struct event_query *q)
{
    struct arena a = ARENA_INIT(0);
    int64_t *times = arena_array(&a, model.n, sizeof(*times));
    bool *seen = arena_array(&a, model.n, sizeof(*seen));
    size_t want = plain_times(q, times), n = 0;
    struct err e = ERR_INIT;
    struct event_cursor *c = events_open(NULL, q, &a, &e);
    struct event_page p;
    int rc;

    ck_assert_msg(c != NULL, "%s", e.msg);
    while ((rc = events_next(c, &p, &e)) == 1)
        for (size_t i = 0; i < p.n; i++, n++) {
            size_t row = (size_t)p.columns[model.row_column][i].i;

            if (n >= want || p.time_ns[i] != times[n])
                ck_abort_msg("row %zu: another time", n);
            if (row >= model.n || seen[row] || model.rows[row].t != times[n] || !plain_wanted(q, &model.rows[row]))
                ck_abort_msg("row %zu: is row %zu, which is not wanted, or comes twice", n, row);
            seen[row] = true;
            same_values(q, &p, i, &model.rows[row]);
        }
    ck_assert_msg(rc == 0, "%s", e.msg);
    ck_assert_uint_eq(n, want);
    events_close(c);
    arena_free(&a);
}

static void make_model(int no)
{
    model_init((enum event_kind)(no % EVENT_KINDS), (uint64_t)no + 1);
    random_pieces(1 + below(no % 4 ? 16 : 3), no % 4 ? 200 : 3000);
}

START_TEST(rows_are_those_that_hold)
{
    make_model(_i);
    for (size_t i = 0; i < QUERIES; i++) {
        struct event_condition conditions[MOST_CONDITIONS];
        struct event_query q = random_query(conditions);

        compare_rows(&q);
    }
    model_fini();
}
END_TEST

/* --- needles --- */

static struct event_needle random_needle(void)
{
    const struct event_table *t = &event_tables[model.kind];
    struct event_condition c;
    struct event_needle n = { .columns = rng_next(&model.rng) | rng_next(&model.rng), .attribute = STR("") };

    do
        c = random_condition();
    while (c.op != EVENT_CONTAINS && c.op != EVENT_EQ);
    if (c.column < 0 || t->columns[c.column].is_text)
        n.text = c.value.s;
    if (c.column < 0)
        n.attribute = c.attribute;
    n.text = n.text.n ? n.text : STR("a");
    n.skip = below(n.text.n < 4 ? n.text.n : 4);
    return n;
}

/* Whether one of the needle's columns contains the text. */
static bool stands_in(const struct event_needle *n, struct str text, const struct model_row *r)
{
    const struct event_table *t = &event_tables[model.kind];
    bool found = n->attribute.n && str_find(labels_get(r->attributes, n->attribute), n->text) >= 0;

    for (size_t c = 0; !found && c < t->n; c++)
        found = (n->columns >> c & 1) && t->columns[c].is_text && str_find(r->v[c].s, text) >= 0;
    return found;
}

static void ask_needle(const struct event_needle *needle)
{
    struct arena a = ARENA_INIT(0);
    struct event_query q = { .kind = model.kind, .from_ns = INT64_MIN, .to_ns = INT64_MAX, .needles = needle, .nneedles = 1,
                             .columns = (uint64_t)1 << model.row_column };
    bool *seen = arena_array(&a, model.n, sizeof(*seen));
    struct event_cursor *c = events_open(NULL, &q, &a, NULL);
    struct event_page p;

    ck_assert_ptr_nonnull(c);
    while (events_next(c, &p, NULL) == 1)
        for (size_t i = 0; i < p.n; i++)
            seen[p.columns[model.row_column][i].i] = true;
    for (size_t i = 0; i < model.n; i++) {
        if (!seen[i] && stands_in(needle, needle->text, &model.rows[i]))
            ck_abort_msg("row %zu has \"%.*s\", and was passed over", i, STR_ARG(needle->text));
        if (seen[i] && !stands_in(needle, str_from(needle->text, needle->skip), &model.rows[i]))
            ck_abort_msg("row %zu has nothing of \"%.*s\"", i, STR_ARG(needle->text));
    }
    events_close(c);
    arena_free(&a);
}

START_TEST(rows_without_the_needle_are_passed_over)
{
    make_model(_i);
    for (size_t i = 0; i < QUERIES; i++) {
        struct event_needle n = random_needle();

        ask_needle(&n);
    }
    model_fini();
}
END_TEST

/* --- counting --- */

enum { MOST_BY = 3 };

static struct event_tally random_tally(struct event_condition conditions[MOST_CONDITIONS], struct event_field by[MOST_BY])
{
    const struct event_table *table = &event_tables[model.kind];
    struct event_tally t = { .rows = random_query(conditions), .by = by, .most_groups = 1 << 20 };

    t.nby = below(MOST_BY + 1);
    for (size_t i = 0; i < t.nby; i++)
        by[i] = random_field();
    if (t.rows.from_ns == INT64_MIN && below(2)) {
        t.rows.from_ns = 0;
        t.rows.to_ns = 100000;
    }
    if (t.rows.from_ns > INT64_MIN && below(3))
        t.step_ns = 1 + (int64_t)below(3000);
    t.measure = (enum event_measure)below(EVENT_BYTES + 1);
    do
        t.column = (int)below(table->n);
    while (t.measure != EVENT_COUNT && table->columns[t.column].is_text != (t.measure == EVENT_BYTES));
    return t;
}

static double plain_weight(const struct event_tally *t, const struct model_row *r)
{
    if (t->measure == EVENT_COUNT)
        return 1;
    if (t->measure == EVENT_BYTES)
        return (double)r->v[t->column].s.n;
    return r->v[t->column].i == (model.kind == EVENT_ACCESS_LOG ? -1 : 0) ? 0 : (double)r->v[t->column].i;
}

static int by_key(const union event_value *x, const union event_value *y, const struct event_tally *t)
{
    int order = 0;

    for (size_t i = 0; order == 0 && i < t->nby; i++)
        order = text_field(t->by[i]) ? str_cmp(x[i].s, y[i].s) : (x[i].i > y[i].i) - (x[i].i < y[i].i);
    return order;
}

static int by_group(const void *x, const void *y, void *t)
{
    return by_key(((const struct event_group *)x)->by, ((const struct event_group *)y)->by, t);
}

/* Takes the row away from its group, so that nothing is left in the end. */
static void take_away(const struct event_tally *t, const struct model_row *r, struct event_group *groups, size_t n)
{
    union event_value key[MOST_BY];
    size_t low = 0, high = n;

    for (size_t i = 0; i < t->nby; i++)
        key[i] = model_value(r, t->by[i]);
    while (low < high) {
        size_t middle = (low + high) / 2;

        if (by_key(groups[middle].by, key, t) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == n || by_key(groups[low].by, key, t) || groups[low].rows == 0)
        ck_abort_msg("a row that no group has");
    groups[low].rows--;
    groups[low].steps[t->step_ns ? (r->t - t->rows.from_ns) / t->step_ns : 0] -= plain_weight(t, r);
}

static void compare_groups(struct event_tally *t)
{
    size_t steps = t->step_ns ? (size_t)((t->rows.to_ns - t->rows.from_ns + t->step_ns - 1) / t->step_ns) : 1, n;
    struct arena a = ARENA_INIT(0);
    struct event_group *groups;
    struct err e = ERR_INIT;

    ck_assert_msg(events_tally(NULL, t, &a, &groups, &n, &e) == 0, "%s", e.msg);
    if (n)
        qsort_r(groups, n, sizeof(*groups), by_group, t);
    for (size_t i = 0; i < model.n; i++)
        if (plain_wanted(&t->rows, &model.rows[i]))
            take_away(t, &model.rows[i], groups, n);
    for (size_t i = 0; i < n; i++) {
        if (groups[i].rows)
            ck_abort_msg("group %zu: %zu rows too many", i, (size_t)groups[i].rows);
        for (size_t s = 0; s < steps; s++)
            if (groups[i].steps[s] != 0)
                ck_abort_msg("step %zu: %g too many", s, groups[i].steps[s]);
    }
    arena_free(&a);
}

START_TEST(groups_add_up)
{
    make_model(_i);
    for (size_t i = 0; i < QUERIES; i++) {
        struct event_condition conditions[MOST_CONDITIONS];
        struct event_field by[MOST_BY];
        struct event_tally t = random_tally(conditions, by);

        compare_groups(&t);
    }
    model_fini();
}
END_TEST

static const struct {
    struct event_tally t;
    int rc;
    const char *msg;
} bad[] = {
    { { .rows = { .to_ns = 1 }, .measure = EVENT_SUM, .column = ACCESS_LOG_path }, ERR_INVALID, "is no number" },
    { { .rows = { .to_ns = 1 }, .measure = EVENT_BYTES, .column = ACCESS_LOG_duration_us }, ERR_INVALID, "is no text" },
    { { .rows = { .to_ns = 1 }, .by = &(struct event_field){ .column = 60 }, .nby = 1 }, ERR_INVALID, "column 60" },
    { { .rows = { .to_ns = 1 }, .step_ns = -1 }, ERR_INVALID, "a step of -1 ns" },
    { { .rows = { .to_ns = 1 << 30 }, .step_ns = 1 }, ERR_LIMIT, "more than 1048576 steps" },
    { { .rows = { .from_ns = INT64_MIN, .to_ns = INT64_MAX }, .step_ns = 1 }, ERR_LIMIT, "more than 1048576 steps" },
    { { .rows = { .to_ns = 100000 },
        .by = &(struct event_field){ .column = ACCESS_LOG_bytes_sent },
        .nby = 1,
        .most_groups = 3 },
      ERR_LIMIT,
      "more than 3 groups" },
};

START_TEST(what_cannot_be_counted)
{
    struct arena a = ARENA_INIT(0);
    struct event_group *groups;
    struct err e = ERR_INIT;
    size_t n;

    model_init(EVENT_ACCESS_LOG, 1);
    random_pieces(4, 100);
    ck_assert_int_eq(events_tally(NULL, &bad[_i].t, &a, &groups, &n, &e), bad[_i].rc);
    ck_assert_msg(strstr(e.msg, bad[_i].msg) != NULL, "%s", e.msg);
    ck_assert_uint_eq(n, 0);
    arena_free(&a);
    model_fini();
}
END_TEST

/* --- distinct values --- */

static int by_text(const void *a, const void *b)
{
    const struct str *x = a, *y = b;

    return str_cmp(*x, *y);
}

/* All values of the column, sorted. */
static size_t plain_distinct(int column, struct str *values)
{
    size_t n = 0, kept = 0;

    for (size_t i = 0; i < model.n; i++)
        if (model.rows[i].v[column].s.n)
            values[n++] = model.rows[i].v[column].s;
    qsort(values, n, sizeof(*values), by_text);
    for (size_t i = 0; i < n; i++)
        if (kept == 0 || !str_eq(values[kept - 1], values[i]))
            values[kept++] = values[i];
    return kept;
}

START_TEST(distinct_values)
{
    make_model(_i);
    for (int c = 0; c < (int)event_tables[model.kind].n; c++) {
        bool is_text = event_tables[model.kind].columns[c].is_text;
        struct arena a = ARENA_INIT(0);
        struct str *want = arena_array(&a, model.n, sizeof(*want)), *got;
        size_t limit = below(3) ? 1 + below(40) : SIZE_MAX, n, most;

        most = is_text ? plain_distinct(c, want) : 0;
        ck_assert_int_eq(events_distinct(NULL, model.kind, c, INT64_MIN, INT64_MAX, limit, &a, &got, &n, NULL),
                         is_text ? 0 : ERR_INVALID);
        ck_assert_uint_eq(n, most < limit ? most : limit);
        for (size_t i = 0; i < n; i++)
            if (!str_eq(got[i], want[i]))
                ck_abort_msg("value %zu is another", i);
        arena_free(&a);
    }
    model_fini();
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("event_cursor");
    TCase *tc = tcase_create("event_cursor");

    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, rows_are_those_that_hold, 0, MODELS);
    tcase_add_loop_test(tc, rows_without_the_needle_are_passed_over, 0, MODELS);
    tcase_add_loop_test(tc, groups_add_up, 0, MODELS);
    tcase_add_loop_test(tc, what_cannot_be_counted, 0, COUNT(bad));
    tcase_add_loop_test(tc, distinct_values, 0, MODELS);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(suite)
