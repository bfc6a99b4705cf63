#include "base/istio_metrics.h"
#include "base/rand.h"
#include "query/promql.h"
#include "query/series_rows.h"
#include "tests/unit/query/events_store.h"

#define MS INT64_C(1000000)
#define T0 (INT64_C(1700000000000) * MS)

/* What is searched for, and what is wrong with it; NULL: nothing. */
static const struct {
    const char *selector;
    const char *msg;
} selectors[] = {
    { "istio_requests_total", NULL },
    { "istio_requests_total{reporter=\"source\"}", NULL },
    { "istio_requests_total{source_workload=\"unknown\"}", NULL },
    { "istio_requests_total{source_workload!=\"unknown\"}", NULL },
    { "istio_requests_total{source_workload=\"\"}", NULL },
    { "istio_requests_total{source_workload!=\"\"}", NULL },
    { "istio_requests_total{source_workload=~\"unknown|a\"}", NULL },
    { "istio_requests_total{source_workload!~\"unknown|a\"}", NULL },
    { "istio_requests_total{source_workload=~\"a|b\"}", NULL },
    { "istio_requests_total{source_workload!~\"a|b\"}", NULL },
    { "istio_requests_total{source_workload=~\".{0,3}\"}", NULL },
    { "istio_requests_total{source_workload!~\".{0,3}\"}", NULL },
    { "istio_requests_total{source_workload=~\".*\",response_flags=\"-\"}", NULL },
    { "istio_requests_total{response_flags!=\"-\"}", NULL },
    { "istio_requests_total{response_code=\"200\"}", NULL },
    { "istio_requests_total{response_code=\"0\"}", NULL },
    { "istio_requests_total{response_code!=\"0\"}", NULL },
    { "istio_requests_total{response_code=~\"[45]..\"}", NULL },
    { "istio_requests_total{response_code!~\"2..\",reporter=\"destination\"}", NULL },
    { "istio_requests_total{grpc_response_status=\"\"}", NULL },
    { "istio_requests_total{grpc_response_status!=\"\"}", NULL },
    { "istio_requests_total{pod=\"p1\"}", NULL },
    { "istio_requests_total{job=\"j1\",instance!=\"x\"}", NULL },
    { "istio_request_bytes_sum", NULL },
    { "istio_request_duration_milliseconds_count{request_protocol=\"http\"}", NULL },
    { "istio_request_duration_milliseconds_bucket{le=\"100\"}", NULL },
    { "istio_request_duration_milliseconds_bucket{le=\"+Inf\"}", NULL },
    { "istio_tcp_connections_closed_total", NULL },
    { "istio_tcp_connections_opened_total{request_protocol=\"tcp\"}", NULL },
    { "istio_tcp_sent_bytes_total{source_workload=\"a\"}", NULL },
    { "{request_protocol=\"tcp\"}", NULL },
    { "{reporter=~\".+\"}", NULL },
    { "up", "up: access logs stand behind Istio's metrics of requests and connections only" },
    { "istio_requests_total_count", "istio_requests_total_count: access logs stand behind Istio's metrics of requests and "
                                    "connections only" },
    { "{__name__=~\"istio_.*\"}", "the metric should be named as it is, not by an expression" },
    { "istio_request_bytes_bucket{le=\"100\"}",
      "le: an access log has no sizes with headers: only durations have buckets of rows" },
    { "istio_request_duration_milliseconds_bucket{le=~\"1.*\"}", "le should be one bound: le=\"100\"" },
};

enum { ROWS = 4000, FROM_MS = 40000, TO_MS = 70000 };

static struct str pick(struct rng *r, const char *const *from, size_t n)
{
    return str_of(from[rng_below(r, n)]);
}

static void random_row(struct rng *r, struct arena *a, union event_value *v, struct event *ev)
{
    static const char *const workloads[] = { "", "a", "b", "unknown", "longer" };
    static const char *const reporters[] = { "source", "destination" }, *const flags[] = { "", "", "UF", "-" };
    static const char *const protocols[] = { "http", "http", "grpc", "tcp", "" }, *const pods[] = { "p1", "p2" };
    static const char *const statuses[] = { "", "0", "14" }, *const jobs[] = { "j1", "j2" };
    static const int64_t codes[] = { 200, 204, 404, 503, 0, -1 };
    struct label *l = arena_array(a, 1, sizeof(*l));

    for (int i = 0; i < ACCESS_LOG_NFIELDS; i++)
        v[i] = event_unset(EVENT_ACCESS_LOG, &event_tables[EVENT_ACCESS_LOG].columns[i]);
    v[ACCESS_LOG_source_workload].s = pick(r, workloads, COUNT(workloads));
    v[ACCESS_LOG_reporter].s = pick(r, reporters, COUNT(reporters));
    v[ACCESS_LOG_response_flags].s = pick(r, flags, COUNT(flags));
    v[ACCESS_LOG_request_protocol].s = pick(r, protocols, COUNT(protocols));
    v[ACCESS_LOG_grpc_response_status].s = pick(r, statuses, COUNT(statuses));
    v[ACCESS_LOG_pod].s = pick(r, pods, COUNT(pods));
    v[ACCESS_LOG_response_code].i = codes[rng_below(r, COUNT(codes))];
    v[ACCESS_LOG_duration_us].i = rng_below(r, 10) ? (int64_t)rng_below(r, 300000) : (int64_t)rng_below(r, 50000000);
    *l = (struct label){ STR("service.name"), pick(r, jobs, COUNT(jobs)) };
    ev->time_ns = T0 + (int64_t)rng_below(r, 100000) * MS;
    ev->values = v;
    ev->attributes = (struct labels){ l, 1 };
}

/* As the proxy would have counted it: the row's labels, printed, against the matchers. */
static bool counts(const struct event *ev, const struct matcher *m, size_t n, const char *metric)
{
    const union event_value *v = ev->values;
    bool tcp = v[ACCESS_LOG_request_protocol].s.n == 0 || str_eqz(v[ACCESS_LOG_request_protocol].s, "tcp");
    bool opened = strstr(metric, "opened"), wants_tcp = strstr(metric, "istio_tcp"), named = strstr(metric, "istio_");
    int64_t at = ev->time_ns + (opened ? 0 : v[ACCESS_LOG_duration_us].i * 1000);

    if (at <= T0 + FROM_MS * MS || at > T0 + TO_MS * MS || (named && tcp != wants_tcp))
        return false;
    for (size_t i = 0; i < n; i++) {
        struct str value = STR_NULL;
        char code[24];

        if (str_eqz(m[i].name, "__name__"))
            continue;
        if (str_eqz(m[i].name, "le")) {
            if (str_eqz(m[i].value, "100") && v[ACCESS_LOG_duration_us].i > 100000)
                return false;
            continue;
        }
        if (str_eqz(m[i].name, "pod"))
            value = v[ACCESS_LOG_pod].s;
        if (str_eqz(m[i].name, "job"))
            value = ev->attributes.v[0].value;
        for (int k = 0; k < ISTIO_LABELS; k++) {
            if (!str_eq(istio_labels[k].name, m[i].name))
                continue;
            if (istio_labels[k].field == ACCESS_LOG_response_code) {
                snprintf(code, sizeof(code), "%d", (int)v[ACCESS_LOG_response_code].i);
                value = v[ACCESS_LOG_response_code].i > 0 ? str_of(code) : STR("0");
            } else {
                value = v[istio_labels[k].field].s.n ? v[istio_labels[k].field].s : istio_labels[k].missing;
            }
        }
        if (!matcher_match(&m[i], value))
            return false;
    }
    return true;
}

static void expect(struct events_store *s, const struct event *rows, const char *selector, const char *msg)
{
    struct series_rows_query q = { .from_ns = T0 + FROM_MS * MS, .to_ns = T0 + TO_MS * MS, .limit = 7 };
    struct arena a = ARENA_INIT(64 << 20);
    struct series_row *found;
    struct matcher *m;
    struct err e = ERR_INIT;
    uint64_t count, expected = 0;
    size_t n;

    ck_assert_msg(promql_parse_selector(&a, str_of(selector), &m, &q.n, &e) == 0, "%s: %s", selector, e.msg);
    q.matchers = m;
    if (msg) {
        ck_assert_int_eq(series_rows(s->st, &q, &a, &found, &n, &count, &e), ERR_UNSUPPORTED);
        ck_assert_str_eq(e.msg, msg);
    } else {
        for (size_t i = 0; i < ROWS; i++)
            expected += counts(&rows[i], m, q.n, selector);
        ck_assert_msg(series_rows(s->st, &q, &a, &found, &n, &count, &e) == 0, "%s: %s", selector, e.msg);
        ck_assert_msg(count == expected, "%s: %d, should be %d", selector, (int)count, (int)expected);
        ck_assert_uint_eq(n, count < q.limit ? count : q.limit);
        for (size_t i = 0; i < n; i++) {
            const struct event ev = { found[i].time_ns, found[i].values, found[i].attributes };

            ck_assert(counts(&ev, m, q.n, selector));
        }
    }
    arena_free(&a);
}

START_TEST(counts_what_the_proxy_counted)
{
    static struct event rows[ROWS];
    struct events_store s;
    struct rng r = { { 1, 2, 3, 4 } }; /* the same rows each time */

    events_store_open(&s);
    for (size_t i = 0; i < ROWS; i++) {
        union event_value *v = arena_array(&s.arena, ACCESS_LOG_NFIELDS, sizeof(*v));

        random_row(&r, &s.arena, v, &rows[i]);
        ck_assert_int_eq(batch_add_event(&s.batch, EVENT_ACCESS_LOG, &rows[i]), 0);
    }
    events_store_commit(&s);
    for (size_t i = 0; i < COUNT(selectors); i++)
        expect(&s, rows, selectors[i].selector, selectors[i].msg);
    events_store_close(&s);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("series_rows");
    TCase *t = tcase_create("series_rows");

    tcase_set_timeout(t, 60);
    tcase_add_test(t, counts_what_the_proxy_counted);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
