#include "proxy/outlier.h"
#include "tests/unit/unit.h"

static const int64_t ms = 1000000;

/* One cluster with four hosts, 0 to 3. */
struct world {
    struct circuits *circuits;
    struct circuit *circuit;
    struct circuit_host *hosts[4];
    struct outlier_detection rules;
    int64_t now_ns;
};

static void open_world(struct world *w)
{
    static const char *const addresses[] = { "10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80", "10.0.0.4:80" };

    *w = (struct world){ .rules = { .on = true, .consecutive_5xx = 3, .consecutive_local = 2, .interval_ms = 1000,
                                    .base_ejection_ms = 5000, .max_ejection_percent = 50 },
                         .now_ns = 1000 * ms };
    w->circuits = circuits_new();
    w->circuit = circuit_get(w->circuits, STR("outbound|80||app"));
    for (size_t i = 0; i < COUNT(w->hosts); i++)
        w->hosts[i] = circuit_host_get(w->circuit, str_of(addresses[i]), w->now_ns);
}

static void close_world(struct world *w)
{
    for (size_t i = 0; i < COUNT(w->hosts); i++)
        circuit_host_put(w->circuit, w->hosts[i]);
    circuit_put(w->circuit);
    circuits_free(w->circuits);
}

static struct outlier outlier(struct world *w, size_t host)
{
    return (struct outlier){ &w->rules, w->circuit, w->hosts[host], COUNT(w->hosts), w->now_ns };
}

/* A letter per event: '2', '4', '5' a status 200, 404, 500; 'g' 503; 'r' a reset, 't' a time-out, 'c' connected. */
static void happen(struct world *w, size_t host, const char *events)
{
    struct outlier o = outlier(w, host);

    for (; *events; events++)
        switch (*events) {
        case 'g':
            outlier_answered(&o, 503);
            break;
        case 'r':
            outlier_ended(&o, OUTLIER_RESET);
            break;
        case 't':
            outlier_ended(&o, OUTLIER_TIMEOUT);
            break;
        case 'c':
            outlier_ended(&o, OUTLIER_CONNECTED);
            break;
        default:
            outlier_answered(&o, *events == '2' ? 200 : *events == '4' ? 404 : 500);
        }
}

static bool ejected(const struct world *w, size_t host)
{
    return outlier_is_ejected(w->hosts[host], w->now_ns);
}

static const uint32_t only_404[] = { 404 };
static const struct {
    const char *events;
    uint32_t errors, gateway;
    bool split, by_codes, ejected;
} rows[] = {
    { "55", 3, 0, false, false, false },
    { "555", 3, 0, false, false, true },
    { "552555", 3, 0, false, false, true },
    { "55255", 3, 0, false, false, false },
    { "5g5", 3, 0, false, false, true },
    { "444", 3, 0, false, false, false },
    { "444", 3, 0, false, true, true },
    { "555", 3, 0, false, true, false },     /* with codes of its own, those alone */
    { "55555", 0, 0, false, false, false },  /* 0 is off */
    { "gg", 0, 2, false, false, true },
    { "g5g", 0, 2, false, false, false },    /* 500 is no gateway's error, and ends their row */
    { "g2g", 0, 2, false, false, false },
    { "rrr", 3, 0, false, false, true },     /* as 503 */
    { "tt", 0, 2, false, false, true },      /* as 504 */
    { "rr2r", 3, 0, false, false, false },
    { "rrcr", 3, 0, false, false, false },
    { "rr", 3, 0, true, false, true },       /* consecutive_local is 2 */
    { "r2r", 3, 0, true, false, false },
    { "r5r5", 3, 0, true, false, false },    /* an answer is no failure to reach it */
    { "rcr", 3, 0, true, false, false },
    { "555", 3, 0, true, false, true },
};

START_TEST(counts_rows)
{
    struct world w;

    open_world(&w);
    w.rules.consecutive_5xx = rows[_i].errors;
    w.rules.consecutive_gateway = rows[_i].gateway;
    w.rules.split = rows[_i].split;
    w.rules.codes = only_404;
    w.rules.ncodes = rows[_i].by_codes;
    happen(&w, 0, rows[_i].events);
    ck_assert_msg(ejected(&w, 0) == rows[_i].ejected, "%s: %d", rows[_i].events, ejected(&w, 0));
    ck_assert_uint_eq(atomic_load(&w.circuit->epoch), rows[_i].ejected);
    close_world(&w);
}
END_TEST

/* How long the n-th ejection lasts, with so much time between the end of one and the beginning of the next. */
static const struct {
    int64_t base_ms, pause_ms, lasts_ms[4];
} sentences[] = {
    { 5000, 0, { 5000, 10000, 15000, 20000 } },
    { 5000, 999, { 5000, 10000, 15000, 20000 } },
    { 5000, 1000, { 5000, 5000, 5000, 5000 } },       /* one interval takes one away */
    { 120000, 0, { 120000, 240000, 300000, 300000 } },
    { 400000, 0, { 400000, 400000, 400000, 400000 } }, /* the base itself may be more than the most */
};

START_TEST(sentences_grow)
{
    struct world w;

    open_world(&w);
    w.rules.base_ejection_ms = sentences[_i].base_ms;
    for (size_t i = 0; i < 4; i++) {
        int64_t began_ns = w.now_ns;

        happen(&w, 0, "555");
        w.now_ns = began_ns + sentences[_i].lasts_ms[i] * ms - 1;
        ck_assert_msg(ejected(&w, 0), "ejection %zu is over too soon", i);
        w.now_ns++;
        ck_assert_msg(!ejected(&w, 0), "ejection %zu lasts too long", i);
        w.now_ns += sentences[_i].pause_ms * ms;
    }
    close_world(&w);
}
END_TEST

START_TEST(not_too_many_at_once)
{
    struct world w;

    open_world(&w);
    w.rules.max_ejection_percent = 50;
    for (size_t i = 0; i < 4; i++)
        happen(&w, i, "555");
    ck_assert(ejected(&w, 0) && ejected(&w, 1) && !ejected(&w, 2) && !ejected(&w, 3));
    happen(&w, 2, "5");
    ck_assert(!ejected(&w, 2));
    w.now_ns += 5000 * ms; /* two are back */
    happen(&w, 2, "5");
    ck_assert(ejected(&w, 2));
    close_world(&w);
}
END_TEST

START_TEST(one_may_always_be_ejected)
{
    struct world w;

    open_world(&w);
    w.rules.max_ejection_percent = 1;
    happen(&w, 0, "555");
    happen(&w, 1, "555");
    ck_assert(ejected(&w, 0) && !ejected(&w, 1));
    close_world(&w);
}
END_TEST

START_TEST(what_comes_late_from_an_ejected_host_changes_nothing)
{
    struct world w;

    open_world(&w);
    happen(&w, 0, "555");
    w.now_ns += 4999 * ms;
    happen(&w, 0, "555");
    w.now_ns += 1 * ms;
    ck_assert(!ejected(&w, 0));
    close_world(&w);
}
END_TEST

static const struct {
    const char *grpc;
    unsigned http;
} statuses[] = { { "0", 200 }, { "1", 499 }, { "4", 504 }, { "14", 503 }, { "16", 401 }, { "17", 500 },
                 { "99", 500 }, { "", 0 },   { "x", 0 },   { "-1", 0 },   { "100", 0 } };

START_TEST(grpc_statuses_have_http_ones)
{
    ck_assert_uint_eq(outlier_grpc_status(str_of(statuses[_i].grpc)), statuses[_i].http);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("outlier");
    TCase *t = tcase_create("outlier");

    tcase_add_loop_test(t, counts_rows, 0, COUNT(rows));
    tcase_add_loop_test(t, sentences_grow, 0, COUNT(sentences));
    tcase_add_test(t, not_too_many_at_once);
    tcase_add_test(t, one_may_always_be_ejected);
    tcase_add_test(t, what_comes_late_from_an_ejected_host_changes_nothing);
    tcase_add_loop_test(t, grpc_statuses_have_http_ones, 0, COUNT(statuses));
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(make_suite)
