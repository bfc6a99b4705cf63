#include "store/events.h"
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

/* Rows 0, 1, …: committed in this order, with times out of order and one twice. */
static const struct {
    int64_t t;
    const char *method, *path;
    int64_t code;
    const char *name, *value; /* of an attribute */
} rows[] = {
    { 30, "GET", "/index.html", 200, "", "" },
    { 10, "POST", "/cart", 503, "team", "blue" },
    { 20, "", "", 0, "size", "17" },
    { 20, "GET", "/caf\xc3\xa9", 404, "team", "red" },
    { -5, "get", "/a'b\"%_\\", -1, "size", "x" },
    { 40, "GET", "/\xa9\xff", 200, "size", "170.5" },
};

static void write_rows(void)
{
    for (size_t i = 0; i < COUNT(rows); i++) {
        union event_value *v = arena_array(&a, ACCESS_LOG_NFIELDS, sizeof(*v));
        const struct label attribute = { str_of(rows[i].name), str_of(rows[i].value) };
        const struct event ev = { rows[i].t, v, { &attribute, rows[i].name[0] ? 1 : 0 } };
        struct batch b;

        v[ACCESS_LOG_method].s = str_of(rows[i].method);
        v[ACCESS_LOG_path].s = str_of(rows[i].path);
        v[ACCESS_LOG_response_code].i = rows[i].code;
        v[ACCESS_LOG_bytes_sent].i = (int64_t)i; /* which row it is */
        batch_init(&b, &a);
        ck_assert_int_eq(batch_add_event(&b, EVENT_ACCESS_LOG, &ev), 0);
        ck_assert_int_eq(store_commit(st, &b, NULL), 0);
    }
}

/* The rows found, in order, as digits. */
static const char *find(const struct event_query *q)
{
    char *out = arena_zalloc(&a, 64);
    struct err e = ERR_INIT;
    struct event_cursor *c = events_open(st, q, &a, &e);
    struct event_page p;
    size_t n = 0;
    int rc;

    ck_assert_msg(c != NULL, "%s", e.msg);
    while ((rc = events_next(c, &p, &e)) == 1)
        for (size_t i = 0; i < p.n; i++) {
            size_t row = (size_t)p.columns[ACCESS_LOG_bytes_sent][i].i;

            ck_assert_int_eq(p.time_ns[i], rows[row].t);
            out[n++] = (char)('0' + row);
        }
    ck_assert_msg(rc == 0, "%s", e.msg);
    ck_assert_int_eq(events_next(c, &p, &e), 0);
    events_close(c);
    return out;
}

static const struct {
    int column; /* -1: the attribute */
    const char *attribute;
    enum event_op op;
    const char *text;
    int64_t number;
    const char *want;
} conditions[] = {
    { ACCESS_LOG_method, "", EVENT_EQ, "GET", 0, "305" },
    { ACCESS_LOG_method, "", EVENT_EQ, "", 0, "2" },
    { ACCESS_LOG_method, "", EVENT_EQ, "GE", 0, "" },
    { ACCESS_LOG_method, "", EVENT_NE, "GET", 0, "412" },
    { ACCESS_LOG_method, "", EVENT_NE, "", 0, "41305" },
    { ACCESS_LOG_path, "", EVENT_EQ, "/a'b\"%_\\", 0, "4" },
    { ACCESS_LOG_path, "", EVENT_CONTAINS, "a", 0, "413" },
    { ACCESS_LOG_path, "", EVENT_CONTAINS, "", 0, "412305" },
    { ACCESS_LOG_path, "", EVENT_CONTAINS, "%_", 0, "4" },
    { ACCESS_LOG_path, "", EVENT_CONTAINS, "\xa9", 0, "35" }, /* bytes, also in the middle of a character */
    { ACCESS_LOG_path, "", EVENT_LACKS, "a", 0, "205" },
    { ACCESS_LOG_path, "", EVENT_LACKS, "", 0, "" },
    { ACCESS_LOG_path, "", EVENT_RE, "/.*l", 0, "0" },
    { ACCESS_LOG_path, "", EVENT_NRE, "/(index.html|cart)", 0, "4235" },
    { ACCESS_LOG_path, "", EVENT_RE, "", 0, "2" },
    { ACCESS_LOG_response_code, "", EVENT_EQ, "", 200, "05" },
    { ACCESS_LOG_response_code, "", EVENT_NE, "", 200, "4123" },
    { ACCESS_LOG_response_code, "", EVENT_LT, "", 0, "4" },
    { ACCESS_LOG_response_code, "", EVENT_LE, "", 0, "42" },
    { ACCESS_LOG_response_code, "", EVENT_GT, "", 404, "1" },
    { ACCESS_LOG_response_code, "", EVENT_GE, "", 404, "13" },
    { -1, "team", EVENT_EQ, "red", 0, "3" },
    { -1, "team", EVENT_EQ, "", 0, "4205" },
    { -1, "team", EVENT_NE, "red", 0, "41205" },
    { -1, "team", EVENT_CONTAINS, "e", 0, "13" },
    { -1, "team", EVENT_LACKS, "e", 0, "4205" },
    { -1, "team", EVENT_RE, "b.*", 0, "1" },
    { -1, "team", EVENT_NRE, "b.*", 0, "42305" },
    { -1, "size", EVENT_LT, "", 100, "2" },
    { -1, "size", EVENT_LE, "", 17, "2" },
    { -1, "size", EVENT_GT, "", 17, "5" },
    { -1, "size", EVENT_GE, "", 17, "25" },
};

static struct event_condition condition(size_t i)
{
    struct event_condition c = { .column = conditions[i].column,
                                 .attribute = str_of(conditions[i].attribute),
                                 .op = conditions[i].op };

    if (conditions[i].op == EVENT_RE || conditions[i].op == EVENT_NRE)
        c.re = regex_compile(&a, str_of(conditions[i].text), REGEX_FULL, NULL);
    else if (conditions[i].text[0] || conditions[i].number == 0)
        c.value.s = str_of(conditions[i].text);
    if (conditions[i].column == ACCESS_LOG_response_code || conditions[i].number)
        c.value.i = conditions[i].number;
    return c;
}

START_TEST(every_operator)
{
    const struct event_condition c = condition((size_t)_i);
    struct event_query q = { .kind = EVENT_ACCESS_LOG,
                             .from_ns = INT64_MIN,
                             .to_ns = INT64_MAX,
                             .conditions = &c,
                             .n = 1,
                             .columns = (uint64_t)1 << ACCESS_LOG_bytes_sent };
    const char *got;

    write_rows();
    got = find(&q);
    ck_assert_msg(strcmp(got, conditions[_i].want) == 0, "condition %d: \"%s\", should be \"%s\"", _i, got,
                  conditions[_i].want);
}
END_TEST

static const struct {
    int64_t from, to;
    bool newest_first;
    size_t limit;
    const char *want;
} ranges[] = {
    { INT64_MIN, INT64_MAX, false, 0, "412305" },
    { INT64_MIN, INT64_MAX, true, 0, "503214" },
    { 10, 40, false, 0, "1230" },
    { 20, 21, false, 0, "23" },
    { 20, 20, false, 0, "" },
    { INT64_MIN, INT64_MAX, false, 2, "41" },
    { INT64_MIN, INT64_MAX, true, 3, "503" },
};

START_TEST(ranges_orders_limits)
{
    struct event_query q = { .kind = EVENT_ACCESS_LOG,
                             .from_ns = ranges[_i].from,
                             .to_ns = ranges[_i].to,
                             .columns = (uint64_t)1 << ACCESS_LOG_bytes_sent,
                             .newest_first = ranges[_i].newest_first,
                             .limit = ranges[_i].limit };

    write_rows();
    ck_assert_str_eq(find(&q), ranges[_i].want);
}
END_TEST

/* A limit counts rows that hold, also where the judging is done here; and all conditions must hold. */
START_TEST(conditions_together)
{
    const struct event_condition c[] = {
        { .column = ACCESS_LOG_path, .op = EVENT_RE, .re = regex_compile(&a, STR("/.*"), REGEX_FULL, NULL) },
        { .column = ACCESS_LOG_method, .op = EVENT_NE, .value.s = STR("POST") },
        { .column = -1, .attribute = STR("team"), .op = EVENT_NE, .value.s = STR("red") },
    };
    struct event_query q = { .kind = EVENT_ACCESS_LOG,
                             .from_ns = INT64_MIN,
                             .to_ns = INT64_MAX,
                             .conditions = c,
                             .n = COUNT(c),
                             .columns = (uint64_t)1 << ACCESS_LOG_bytes_sent,
                             .limit = 2 };

    write_rows();
    ck_assert_str_eq(find(&q), "40");
}
END_TEST

START_TEST(gives_what_is_wanted)
{
    struct event_query q = { .kind = EVENT_ACCESS_LOG,
                             .from_ns = INT64_MIN,
                             .to_ns = INT64_MAX,
                             .columns = (uint64_t)1 << ACCESS_LOG_path | (uint64_t)1 << ACCESS_LOG_response_code,
                             .attributes = _i != 0 };
    struct event_cursor *c;
    struct event_page p;

    write_rows();
    c = events_open(st, &q, &a, NULL);
    ck_assert_int_eq(events_next(c, &p, NULL), 1);
    ck_assert_uint_eq(p.n, COUNT(rows));
    ck_assert_ptr_null(p.columns[ACCESS_LOG_method]);
    ck_assert_ptr_nonnull(p.columns[ACCESS_LOG_path]);
    ck_assert(str_eqz(p.columns[ACCESS_LOG_path][0].s, rows[4].path));
    ck_assert_uint_eq(p.columns[ACCESS_LOG_path][2].s.n, 0);
    ck_assert_int_eq(p.columns[ACCESS_LOG_response_code][0].i, -1);
    ck_assert((p.attributes != NULL) == (_i != 0));
    if (_i) {
        ck_assert(str_eqz(labels_get(p.attributes[1], STR("team")), "blue"));
        ck_assert_uint_eq(p.attributes[4].n, 0);
    }
    events_close(c);
    events_close(NULL);
}
END_TEST

START_TEST(pages_hold_together)
{
    enum { ROWS = 5000 };
    union event_value v[LOG_NCOLUMNS] = { 0 };
    const struct event_query q = { .kind = EVENT_LOG,
                                   .from_ns = 0,
                                   .to_ns = INT64_MAX,
                                   .columns = (uint64_t)1 << LOG_severity_number };
    struct event_cursor *c;
    struct event_page p;
    struct batch b;
    int64_t n = 0;

    batch_init(&b, &a);
    for (int i = 0; i < ROWS; i++) {
        struct event ev = { .time_ns = i / 7, .values = arena_array(&a, LOG_NCOLUMNS, sizeof(v[0])) };

        v[LOG_severity_number].i = i;
        memcpy((void *)(uintptr_t)ev.values, v, sizeof(v));
        ck_assert_int_eq(batch_add_event(&b, EVENT_LOG, &ev), 0);
    }
    ck_assert_int_eq(store_commit(st, &b, NULL), 0);
    c = events_open(st, &q, &a, NULL);
    while (events_next(c, &p, NULL) == 1)
        for (size_t i = 0; i < p.n; i++, n++)
            ck_assert_int_eq(p.columns[LOG_severity_number][i].i, n);
    ck_assert_int_eq(n, ROWS);
    events_close(c);
}
END_TEST

static const struct {
    struct event_condition c;
    const char *msg;
} bad[] = {
    { { .column = 60, .op = EVENT_EQ }, "access_log: column 60, should be less than " },
    { { .column = ACCESS_LOG_path, .op = EVENT_RE }, "path: a regular expression is missing" },
    { { .column = ACCESS_LOG_path, .op = EVENT_LT }, "path: a text cannot be compared as a number" },
    { { .column = ACCESS_LOG_response_code, .op = EVENT_CONTAINS },
      "response_code: a number cannot be searched for text" },
};

START_TEST(senseless_conditions_are_refused)
{
    struct event_query q = { .kind = EVENT_ACCESS_LOG, .to_ns = 1, .conditions = &bad[_i].c, .n = 1 };
    struct err e = ERR_INIT;

    ck_assert_ptr_null(events_open(st, &q, &a, &e));
    ck_assert_int_eq(e.code, ERR_INVALID);
    ck_assert_msg(strncmp(e.msg, bad[_i].msg, strlen(bad[_i].msg)) == 0, "%s", e.msg);
}
END_TEST

static int distinct(int column, int64_t from_ns, int64_t to_ns, size_t limit, struct str **v, size_t *n)
{
    return events_distinct(st, EVENT_ACCESS_LOG, column, from_ns, to_ns, limit, &a, v, n, NULL);
}

START_TEST(distinct_values)
{
    struct str *v;
    size_t n;

    write_rows();
    ck_assert_int_eq(distinct(ACCESS_LOG_method, INT64_MIN, INT64_MAX, 10, &v, &n), 0);
    ck_assert_uint_eq(n, 3);
    ck_assert(str_eqz(v[0], "GET") && str_eqz(v[1], "POST") && str_eqz(v[2], "get"));
    ck_assert_int_eq(distinct(ACCESS_LOG_method, 15, 50, 10, &v, &n), 0);
    ck_assert_uint_eq(n, 1);
    ck_assert_int_eq(distinct(ACCESS_LOG_method, INT64_MIN, INT64_MAX, 2, &v, &n), 0);
    ck_assert_uint_eq(n, 2);
    ck_assert_int_eq(distinct(ACCESS_LOG_response_code, 0, 1, 2, &v, &n), ERR_INVALID);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("events");
    TCase *tc = tcase_create("events");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, every_operator, 0, COUNT(conditions));
    tcase_add_loop_test(tc, ranges_orders_limits, 0, COUNT(ranges));
    tcase_add_test(tc, conditions_together);
    tcase_add_loop_test(tc, gives_what_is_wanted, 0, 2);
    tcase_add_test(tc, pages_hold_together);
    tcase_add_loop_test(tc, senseless_conditions_are_refused, 0, COUNT(bad));
    tcase_add_test(tc, distinct_values);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(suite)
