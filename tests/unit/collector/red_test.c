#include "store/series.h"
#include "tests/unit/collector/red_case.h"

/* A request as Envoy's own format tells it, at each of its ends. */
#define OUTBOUND                                                                                                       \
    "namespace=shop workload=web-v1 app=web version=v1 method=GET response_code=200 duration_us=1500 "                 \
    "bytes_received=0 "                                                                                                \
    "bytes_sent=300 upstream_cluster=outbound|80|v2|cart.shop.svc.cluster.local"
#define INBOUND                                                                                                        \
    "namespace=shop workload=cart app=cart version=v2 method=GET response_code=200 duration_us=1400 bytes_received=0 " \
    "bytes_sent=300 upstream_cluster=inbound|8080|| destination_service=cart.shop.svc.cluster.local"

#define WEB                                                                                                            \
    "source_app=\"web\", source_canonical_revision=\"v1\", source_canonical_service=\"web\", "                         \
    "source_cluster=\"Kubernetes\", source_version=\"v1\", source_workload=\"web-v1\", "                               \
    "source_workload_namespace=\"shop\"}"

static const struct {
    const char *name, *row, *metric, *want;
} rows[] = {
    {"the caller's side, as far as Envoy's cluster tells", OUTBOUND, "istio_requests_total",
     "{destination_canonical_revision=\"latest\", destination_service=\"cart.shop.svc.cluster.local\", "
     "destination_service_name=\"cart\", destination_service_namespace=\"shop\", job=\"vigla/logs\", "
     "reporter=\"source\", request_protocol=\"http\", response_code=\"200\", response_flags=\"-\", " WEB " 1\n"},
    {"the called side", INBOUND, "istio_requests_total",
     "{destination_app=\"cart\", destination_canonical_revision=\"v2\", destination_canonical_service=\"cart\", "
     "destination_cluster=\"Kubernetes\", destination_service=\"cart.shop.svc.cluster.local\", "
     "destination_service_name=\"cart\", destination_service_namespace=\"shop\", destination_version=\"v2\", "
     "destination_workload=\"cart\", destination_workload_namespace=\"shop\", job=\"vigla/logs\", "
     "reporter=\"destination\", request_protocol=\"http\", response_code=\"200\", response_flags=\"-\", "
     "source_canonical_revision=\"latest\"} 1\n"},
    {"nothing but a code", "response_code=503 response_flags=UF,URX", "istio_requests_total",
     "{destination_canonical_revision=\"latest\", job=\"vigla/logs\", request_protocol=\"http\", "
     "response_code=\"503\", "
     "response_flags=\"UF,URX\", source_canonical_revision=\"latest\"} 1\n"},
    {"what the row says stays, whatever the cluster is called",
     "reporter=source source_workload=nginx destination_service=api.example.com destination_workload=api "
     "upstream_cluster=inbound|80|| method=GET",
     "istio_requests_total",
     "{destination_canonical_revision=\"latest\", destination_canonical_service=\"api\", "
     "destination_service=\"api.example.com\", destination_service_name=\"api.example.com\", "
     "destination_workload=\"api\", job=\"vigla/logs\", reporter=\"source\", request_protocol=\"http\", "
     "response_code=\"0\", response_flags=\"-\", source_canonical_revision=\"latest\", "
     "source_canonical_service=\"nginx\", source_workload=\"nginx\"} 1\n"},
    {"gRPC", "reporter=source method=POST response_code=200 grpc_response_status=14", "istio_requests_total",
     "{destination_canonical_revision=\"latest\", grpc_response_status=\"14\", job=\"vigla/logs\", "
     "reporter=\"source\", "
     "request_protocol=\"grpc\", response_code=\"200\", response_flags=\"-\", source_canonical_revision=\"latest\"} "
     "1\n"},
    {"TCP has no code", "reporter=source response_code=0 bytes_sent=31 bytes_received=27",
     "istio_tcp_connections_opened_total",
     "{destination_canonical_revision=\"latest\", job=\"vigla/logs\", reporter=\"source\", request_protocol=\"tcp\", "
     "response_flags=\"-\", source_canonical_revision=\"latest\"} 1\n"},
    {"TCP is closed as often as it is opened", "reporter=source", "istio_tcp_connections_closed_total",
     "{destination_canonical_revision=\"latest\", job=\"vigla/logs\", reporter=\"source\", request_protocol=\"tcp\", "
     "response_flags=\"-\", source_canonical_revision=\"latest\"} 1\n"},
    {"TCP's bytes", "reporter=source bytes_sent=31 bytes_received=27", "istio_tcp_sent_bytes_total",
     "{destination_canonical_revision=\"latest\", job=\"vigla/logs\", reporter=\"source\", request_protocol=\"tcp\", "
     "response_flags=\"-\", source_canonical_revision=\"latest\"} 31\n"},
    {"TCP is no request", "reporter=source bytes_sent=31", "istio_requests_total", ""},
    {"a duration that is not known is none", "method=GET bytes_sent=31", "istio_request_duration_milliseconds_count",
     ""},
    {"a size that is known is one", "method=GET bytes_sent=31", "istio_response_bytes_sum",
     "{destination_canonical_revision=\"latest\", job=\"vigla/logs\", request_protocol=\"http\", response_code=\"0\", "
     "response_flags=\"-\", source_canonical_revision=\"latest\"} 31\n"},
};

START_TEST(labels_are_istios)
{
    struct fixture f;

    begin(&f);
    add_row(&f.batch, EVENT_ACCESS_LOG, rows[_i].row);
    ck_assert_int_eq(red_access_logs(f.red, &f.batch, 0, NULL), 0);
    ck_assert_str_eq(increments(&f, rows[_i].metric), rows[_i].want);
    end(&f);
}
END_TEST

/* What was derived stands in the row, too: from a label one reaches its rows. */
START_TEST(rows_say_what_labels_say)
{
    struct fixture f;

    begin(&f);
    add_row(&f.batch, EVENT_ACCESS_LOG, OUTBOUND);
    ck_assert_int_eq(red_access_logs(f.red, &f.batch, 0, NULL), 0);
    ck_assert_str_eq(
        (dump_batch(&f.text, &(struct batch){.events[EVENT_ACCESS_LOG] = f.batch.events[EVENT_ACCESS_LOG]}),
         buf_cstr(&f.text)),
        "access_log 1700000000000000000 reporter=source method=GET response_code=200 bytes_received=0 bytes_sent=300 "
        "duration_us=1500 upstream_cluster=outbound|80|v2|cart.shop.svc.cluster.local request_protocol=http "
        "namespace=shop workload=web-v1 app=web version=v1 source_workload=web-v1 source_workload_namespace=shop "
        "source_app=web source_version=v1 source_canonical_service=web source_canonical_revision=v1 "
        "source_cluster=Kubernetes destination_service=cart.shop.svc.cluster.local destination_service_name=cart "
        "destination_service_namespace=shop {}\n");
    end(&f);
}
END_TEST

START_TEST(buckets_are_cumulated_and_all_there)
{
    static const char *const le[] = {"0.5",   "1",      "5",      "10",      "25",      "50",    "100",
                                     "250",   "500",    "1000",   "2500",    "5000",    "10000", "30000",
                                     "60000", "300000", "600000", "1800000", "3600000", "+Inf"};
    static const double by[COUNT(le)] = {0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 3};
    struct fixture f;
    size_t n = 0;

    begin(&f);
    add_row(&f.batch, EVENT_ACCESS_LOG, "method=GET duration_us=1000");
    add_row(&f.batch, EVENT_ACCESS_LOG, "method=GET duration_us=3600000000");
    add_row(&f.batch, EVENT_ACCESS_LOG, "method=GET duration_us=3600000001");
    ck_assert_int_eq(red_access_logs(f.red, &f.batch, 0, NULL), 0);
    for (size_t i = 0; i < f.batch.nseries; i++) {
        const struct batch_series *s = &f.batch.series[i];

        if (!str_eqz(s->own->metric, "istio_request_duration_milliseconds_bucket"))
            continue;
        ck_assert_msg(str_eqz(s->own->le, le[n]), "%zu: %.*s", n, STR_ARG(s->own->le));
        ck_assert_double_eq(s->samples[0].v, by[n++]);
    }
    ck_assert_uint_eq(n, COUNT(le));
    end(&f);
}
END_TEST

/* --- property: what a label set's counter gets is the number of its rows --- */

static const char *pick(unsigned *seed, const char *const *of, size_t n)
{
    return of[(size_t)rand_r(seed) % n];
}

static void add_random_row(struct batch *b, unsigned *seed)
{
    static const char *const workloads[] = {"web", "cart", "checkout"};
    static const char *const ends[] = {"method=GET response_code=200", "method=PUT response_code=503 response_flags=UF",
                                       "bytes_sent=5", "method=POST response_code=200 grpc_response_status=2"};
    static const char *const reporters[] = {"source", "destination"};
    char row[512];

    snprintf(row, sizeof(row), "reporter=%s source_workload=%s destination_workload=%s %s duration_us=%d",
             pick(seed, reporters, 2), pick(seed, workloads, 3), pick(seed, workloads, 3), pick(seed, ends, 4),
             rand_r(seed) % 100000);
    add_row(b, EVENT_ACCESS_LOG, row);
}

static bool says(const struct batch *b, size_t row, const struct labels *l, const struct istio_label *label)
{
    union event_value v = batch_event(b, EVENT_ACCESS_LOG, row, (int)label->field);
    struct str want = labels_get(*l, label->name);
    char code[24];

    if (!access_log_fields[label->field].is_text) {
        snprintf(code, sizeof(code), "%" PRId64, v.i);
        return want.n == 0 || str_eqz(want, code);
    }
    return str_eq(want, v.s.n ? v.s : label->missing);
}

/* Rows that have all labels of the series, without a look at how it came about. */
static size_t rows_of(const struct batch *b, size_t first, const struct labels *l)
{
    size_t n = 0;

    for (size_t row = first; row < b->events[EVENT_ACCESS_LOG].n; row++) {
        bool all = true;

        for (size_t i = 0; all && i < ISTIO_LABELS; i++)
            all = says(b, row, l, &istio_labels[i]);
        n += all;
    }
    return n;
}

START_TEST(increments_are_rows)
{
    static const char *const counts[] = {"istio_requests_total", "istio_request_duration_milliseconds_count",
                                         "istio_tcp_connections_opened_total", "istio_tcp_connections_closed_total"};
    const size_t first = 7, n = 400;
    unsigned seed = (unsigned)_i;
    struct fixture f;
    double total = 0;

    begin(&f);
    for (size_t i = 0; i < first + n; i++)
        add_random_row(&f.batch, &seed);
    ck_assert_int_eq(red_access_logs(f.red, &f.batch, first, NULL), 0);
    for (size_t i = 0; i < f.batch.nseries; i++) {
        const struct batch_series *s = &f.batch.series[i];
        struct str name = s->own->metric;

        for (size_t k = 0; k < COUNT(counts); k++)
            if (str_eqz(name, counts[k]))
                ck_assert_double_eq(s->samples[0].v, (double)rows_of(&f.batch, first, &s->labels));
        if (str_eqz(name, counts[0]) || str_eqz(name, counts[2]))
            total += s->samples[0].v;
    }
    ck_assert_double_eq(total, (double)n);
    end(&f);
}
END_TEST

/* --- not twice --- */

static const struct {
    const char *name, *metric, *row;
    bool counts;
} twice[] = {
    {"scraped, by workload",
     "job=kubernetes-pods reporter=source source_workload=web-v1 source_workload_namespace=shop", OUTBOUND, false},
    {"under no job at all", "reporter=source source_workload=web-v1 source_workload_namespace=shop", OUTBOUND, false},
    {"the other reporter", "job=k reporter=destination destination_workload=web-v1 destination_workload_namespace=shop",
     OUTBOUND, true},
    {"another namespace", "job=k reporter=source source_workload=web-v1 source_workload_namespace=prod", OUTBOUND,
     true},
    {"only called", "job=k reporter=destination source_workload=web-v1 source_workload_namespace=shop", OUTBOUND, true},
    {"the log lines themselves", "job=vigla/logs reporter=source source_workload=web-v1 source_workload_namespace=shop",
     OUTBOUND, true},
    {"spans", "job=vigla/spans reporter=source source_workload=web-v1 source_workload_namespace=shop", OUTBOUND, true},
    {"by pod", "job=k pod=web-1 namespace=shop reporter=source", "reporter=source pod=web-1 namespace=shop method=GET",
     false},
    {"another pod", "job=k pod=web-1 namespace=shop reporter=source",
     "reporter=source pod=web-2 namespace=shop method=GET", true},
};

START_TEST(what_has_metrics_is_left_alone)
{
    struct fixture f;

    begin(&f);
    has_metric(&f, twice[_i].metric);
    add_row(&f.batch, EVENT_ACCESS_LOG, twice[_i].row);
    ck_assert_int_eq(red_access_logs(f.red, &f.batch, 0, NULL), 0);
    ck_assert_int_eq(increments(&f, "istio_requests_total")[0] != '\0', twice[_i].counts);
    end(&f);
}
END_TEST

START_TEST(metrics_that_come_later_are_seen)
{
    struct fixture f;
    size_t before;

    begin(&f);
    add_row(&f.batch, EVENT_ACCESS_LOG, OUTBOUND);
    ck_assert_int_eq(red_access_logs(f.red, &f.batch, 0, NULL), 0);
    before = f.batch.nseries;
    ck_assert_uint_gt(before, 0);
    has_metric(&f, "job=k reporter=source source_workload=web-v1 source_workload_namespace=shop");
    f.red->look_again_ns = 0;
    add_row(&f.batch, EVENT_ACCESS_LOG, OUTBOUND);
    ck_assert_int_eq(red_access_logs(f.red, &f.batch, 1, NULL), 0);
    ck_assert_uint_eq(f.batch.nseries, before);
    end(&f);
}
END_TEST

/* --- sets that are known --- */

/* Another batch of the row, committed; numbers as the store gives them, 0 while it does not know the series. */
static void commit_row(struct fixture *f, const char *row, bool known)
{
    struct arena a = ARENA_INIT(1 << 20);
    struct err e = ERR_INIT;
    struct batch b;

    batch_init(&b, &a);
    add_row(&b, EVENT_ACCESS_LOG, row);
    ck_assert_int_eq(red_access_logs(f->red, &b, 0, NULL), 0);
    for (size_t i = 0; i < b.nseries; i++)
        ck_assert_int_eq(b.series[i].id != 0, known);
    ck_assert_msg(store_commit(f->store, &b, &e) == 0, "%s", e.msg);
    arena_free(&a);
}

/* The sum of the last samples of istio_requests_total; how many series of this job there are. */
static double requests(struct fixture *f, size_t *nseries)
{
    struct arena a = ARENA_INIT(64 << 20);
    struct matcher m;
    struct err e = ERR_INIT;
    struct series_set *set;
    struct labels l;
    double sum = 0;

    *nseries = 0;
    ck_assert_int_eq(matcher_init(&m, &a, MATCH_EQ, STR("job"), STR(RED_LOGS_JOB), &e), 0);
    set = series_open(f->store, &(struct series_query){&m, 1, 0, INT64_MAX, false}, &a, &e);
    ck_assert_msg(set != NULL, "%s", e.msg);
    while (series_next(set, &l, &e) == 1) {
        struct sample_columns samples;
        double last = 0;

        ++*nseries;
        while (series_samples(set, &samples, &e) == 1)
            last = samples.v[samples.n - 1];
        if (str_eqz(labels_get(l, STR("__name__")), "istio_requests_total"))
            sum += last;
    }
    arena_free(&a);
    return sum;
}

static struct red_set *only_set(struct fixture *f)
{
    size_t at = 0;
    const struct strmap_slot *slot = strmap_next(&f->red->sets->by_key, &at);

    ck_assert_ptr_nonnull(slot);
    ck_assert_uint_eq(f->red->sets->by_key.n, 1);
    return slot->value;
}

START_TEST(a_known_set_has_its_series_numbers)
{
    struct fixture f;
    size_t n;

    begin(&f);
    commit_row(&f, OUTBOUND, false);
    only_set(&f)->ask_again_ns = 1;
    commit_row(&f, OUTBOUND, true);
    ck_assert_double_eq(requests(&f, &n), 2);
    ck_assert_uint_eq(n, 67);
    end(&f);
}
END_TEST

/* Series that retention has taken since: the labels are there all the same. */
START_TEST(a_number_that_is_gone_does_no_harm)
{
    struct fixture f;
    size_t n;

    begin(&f);
    commit_row(&f, OUTBOUND, false);
    only_set(&f)->ask_again_ns = INT64_MAX;
    for (size_t i = 0; i < RED_SERIES; i++)
        only_set(&f)->ids[i] = 1000000 + (uint32_t)i;
    commit_row(&f, OUTBOUND, true);
    ck_assert_double_eq(requests(&f, &n), 2);
    ck_assert_uint_eq(n, 67);
    end(&f);
}
END_TEST

/* More sets than are kept: all are counted, memory is bounded, and what a batch has seen stays as long as it does. */
START_TEST(sets_are_bounded)
{
    struct fixture f;
    const size_t n = 500;
    double total = 0;
    char row[6000];

    begin(&f);
    red_sets_drop(red_sets_take(f.red));
    f.red->sets->memory.max = 1 << 20;
    for (size_t i = 0; i < n; i++) {
        int at = snprintf(row, sizeof(row), "reporter=source method=GET destination_workload=");

        memset(row + at, 'a' + (int)(i % 26), 5000);
        snprintf(row + at + 5000, sizeof(row) - (size_t)at - 5000, "-%zu", i);
        add_row(&f.batch, EVENT_ACCESS_LOG, row);
        if (i % 250 == 249)
            ck_assert_int_eq(red_access_logs(f.red, &f.batch, i - 249, NULL), 0);
    }
    for (size_t i = 0; i < f.batch.nseries; i++)
        total += str_eqz(f.batch.series[i].own->metric, "istio_requests_total") ? f.batch.series[i].samples[0].v : 0;
    ck_assert_double_eq(total, (double)n);
    ck_assert_uint_eq(f.red->nsets, 2);
    end(&f);
}
END_TEST

/* Each allocation fails once: refused, or everything is there; never a part. */
START_TEST(no_memory_is_an_error)
{
    for (long n = 1;; n++) {
        struct fixture f;
        int rc;

        begin(&f);
        add_row(&f.batch, EVENT_ACCESS_LOG, OUTBOUND);
        mem_fail_at(n);
        rc = red_access_logs(f.red, &f.batch, 0, NULL);
        bool failed = mem_has_failed();

        mem_fail_at(0);
        ck_assert(rc == ERR_NOMEM || rc == 0);
        if (rc == 0)
            ck_assert_uint_eq(f.batch.nseries, 67);
        end(&f);
        if (!failed)
            break;
    }
}
END_TEST

static Suite *red_suite(void)
{
    Suite *s = suite_create("red");
    TCase *t = tcase_create("red");

    tcase_add_loop_test(t, labels_are_istios, 0, (int)COUNT(rows));
    tcase_add_test(t, rows_say_what_labels_say);
    tcase_add_test(t, buckets_are_cumulated_and_all_there);
    tcase_add_loop_test(t, increments_are_rows, 0, 10);
    tcase_add_loop_test(t, what_has_metrics_is_left_alone, 0, (int)COUNT(twice));
    tcase_add_test(t, metrics_that_come_later_are_seen);
    tcase_add_test(t, a_known_set_has_its_series_numbers);
    tcase_add_test(t, a_number_that_is_gone_does_no_harm);
    tcase_add_test(t, sets_are_bounded);
    tcase_add_test(t, no_memory_is_an_error);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(red_suite)
