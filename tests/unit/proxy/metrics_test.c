#include "proxy/metrics-internal.h"

#include "base/mem.h"
#include "base/rand.h"
#include "mesh/snapshot.h"
#include "proxy/otlp-internal.h"
#include "tests/unit/proxy/look.h"

static const int64_t MS = 1000000, T0 = 1700000000000000000;

/* The value of the first line with that name and both texts among its labels; -1 when there is none. */
static double sample_with(const struct metrics *m, const char *name, const char *one, const char *other)
{
    struct buf b = BUF_INIT(64 << 20);
    struct str all;
    double v = -1;

    metrics_text(m, &b);
    ck_assert(!buf_failed(&b));
    all = buf_view(&b);
    while (all.n) {
        struct str line = str_cut(&all, '\n');
        struct str head = line;
        struct str first = str_cut(&head, '{');

        if (str_eqz(first, name) && str_find(line, str_of(one)) >= 0 &&
            str_find(line, str_of(other)) >= 0) {
            ptrdiff_t at = str_find(line, STR("} "));

            v = strtod(line.p + at + 2, NULL);
            break;
        }
    }
    buf_free(&b);
    return v;
}

static double sample_of(const struct metrics *m, const char *name, const char *labels)
{
    return sample_with(m, name, labels, "");
}

static struct record connection(enum record_kind kind, uint64_t sent, uint64_t received)
{
    struct record rec = look_request(T0, -1);

    rec.kind = kind;
    rec.log.request_protocol = STR("tcp");
    rec.sent_delta = sent;
    rec.received_delta = received;
    return rec;
}

START_TEST(labels_stand_in_istios_order)
{
    struct metrics *m = metrics_new(10);
    struct record rec = look_request(T0, 200);
    struct buf b = BUF_INIT(1 << 20);

    metrics_record(m, &rec, T0 + MS);
    metrics_text(m, &b);
    ck_assert_msg(
        str_find(buf_view(&b),
                 STR("istio_requests_total{reporter=\"source\",source_workload=\"istio-ingressgateway\","
                     "source_canonical_service=\"unknown\",source_canonical_revision=\"latest\","
                     "source_workload_namespace=\"unknown\",source_principal=\"unknown\",source_app=\"unknown\","
                     "source_version=\"unknown\",source_cluster=\"unknown\",destination_workload=\"frontend-v1\","
                     "destination_workload_namespace=\"unknown\",destination_principal=\"unknown\","
                     "destination_app=\"unknown\",destination_version=\"unknown\","
                     "destination_service=\"frontend.guestbook.svc.cluster.local\","
                     "destination_canonical_service=\"unknown\",destination_canonical_revision=\"latest\","
                     "destination_service_name=\"unknown\",destination_service_namespace=\"unknown\","
                     "destination_cluster=\"unknown\",request_protocol=\"http\",response_code=\"200\","
                     "grpc_response_status=\"\",response_flags=\"-\",connection_security_policy=\"unknown\"} 1\n")) >= 0,
        "%.*s", STR_ARG(buf_view(&b)));
    buf_free(&b);
    metrics_free(m);
}
END_TEST

/* What a policy says of labels, on a 503 to "a.example": by expressions, and for single metrics. */
START_TEST(labels_by_policy)
{
    static const uint32_t all = (1u << ISTIO_METRICS) - 1, one = 1u << ISTIO_REQUESTS;
    struct arena a = ARENA_INIT(1 << 20);
    const struct metric_tag tags[] = {
        { all, STR("host"), cel_compile(&a, STR("request.host"), CEL_NONE, NULL) },
        { all, STR("source_app"), NULL },
        { all, STR("request_protocol"), cel_compile(&a, STR("response.code >= 500 ? 'bad' : 'good'"), CEL_NONE, NULL) },
        { one, STR("who"), cel_compile(&a, STR("request.headers['x-who']"), CEL_NONE, NULL) },
        { one, STR("host"), cel_compile(&a, STR("destination.port"), CEL_NONE, NULL) },
    };
    const struct telemetry_policy p = { .sampling_ppm = -1, .metric_tags = tags, .nmetric_tags = COUNT(tags) };
    const struct record_context nothing = { .header = NULL };
    struct metrics *m = metrics_new(10);
    struct record rec = look_request(T0, 503);
    struct buf texts = BUF_INIT(1 << 16);

    rec.log.authority = STR("a.example");
    rec.log.downstream_local_address = STR("127.0.0.1:80");
    record_obey(&rec, &p, &nothing, &texts);
    metrics_record(m, &rec, T0 + MS);
    ck_assert_uint_eq(metrics_sets(m), 2);
    ck_assert_double_eq(sample_with(m, "istio_requests_total", "who=\"unknown\"", "host=\"80\""), 1);
    ck_assert_double_eq(sample_with(m, "istio_request_bytes_count", "request_protocol=\"bad\"", "host=\"a.example\""), 1);
    ck_assert_double_eq(sample_of(m, "istio_request_bytes_count", "who="), -1);
    ck_assert_double_eq(sample_of(m, "istio_request_bytes_count", "source_app="), -1);
    rec.metric_tags = STR_NULL; /* another policy since */
    metrics_record(m, &rec, T0 + MS);
    ck_assert_uint_eq(metrics_sets(m), 3);
    ck_assert_double_eq(sample_of(m, "istio_requests_total", "source_app="), 1);
    buf_free(&texts);
    arena_free(&a);
    metrics_free(m);
}
END_TEST

START_TEST(tcp_counts_and_labels)
{
    struct metrics *m = metrics_new(10);
    struct record open = connection(RECORD_TCP_OPEN, 0, 0), more = connection(RECORD_TCP_BYTES, 100, 7);
    struct record end = connection(RECORD_TCP_CLOSE, 11, 0), nothing = connection(RECORD_TCP_BYTES, 0, 0);
    struct buf b = BUF_INIT(1 << 20);

    metrics_record(m, &nothing, T0);
    ck_assert_uint_eq(metrics_sets(m), 0);
    metrics_record(m, &open, T0);
    ck_assert_double_eq(sample_of(m, "istio_tcp_connections_opened_total", ""), 1);
    ck_assert_double_eq(sample_of(m, "istio_tcp_connections_closed_total", ""), -1); /* no series before its first */
    ck_assert_double_eq(sample_of(m, "istio_tcp_sent_bytes_total", ""), -1);
    metrics_record(m, &more, T0);
    metrics_record(m, &end, T0);
    ck_assert_double_eq(sample_of(m, "istio_tcp_connections_closed_total", ""), 1);
    ck_assert_double_eq(sample_of(m, "istio_tcp_sent_bytes_total", ""), 111);
    ck_assert_double_eq(sample_of(m, "istio_tcp_received_bytes_total", ""), 7);
    ck_assert_uint_eq(metrics_sets(m), 1);
    metrics_text(m, &b);
    ck_assert_int_lt(str_find(buf_view(&b), STR("response_code")), 0);
    ck_assert_int_lt(str_find(buf_view(&b), STR("istio_requests_total{")), 0);
    buf_free(&b);
    metrics_free(m);
}
END_TEST

START_TEST(grpc_messages_are_counted)
{
    struct metrics *m = metrics_new(10);
    struct record rec = look_request(T0, 200), plain = rec;

    rec.log.request_protocol = STR("grpc");
    rec.request_messages = 3;
    rec.response_messages = 5;
    metrics_record(m, &rec, T0 + MS);
    metrics_record(m, &rec, T0 + MS);
    metrics_record(m, &plain, T0 + MS);
    ck_assert_double_eq(sample_of(m, "istio_request_messages_total", "request_protocol=\"grpc\""), 6);
    ck_assert_double_eq(sample_of(m, "istio_response_messages_total", "request_protocol=\"grpc\""), 10);
    ck_assert_double_eq(sample_of(m, "istio_request_messages_total", "request_protocol=\"http\""), -1);
    metrics_free(m);
}
END_TEST

/* What a policy turns off, by its bits, and which series stay. */
static const struct {
    uint32_t off;
    const char *gone, *stays; /* NULL: none does */
    size_t sets;
} turned_off[] = {
    { 1u << TELEMETRY_REQUEST_COUNT, "istio_requests_total", "istio_request_bytes_count", 1 },
    { 1u << TELEMETRY_REQUEST_DURATION, "istio_request_duration_milliseconds_count", "istio_requests_total", 1 },
    { 1u << TELEMETRY_REQUEST_SIZE, "istio_request_bytes_count", "istio_response_bytes_count", 1 },
    { 1u << TELEMETRY_RESPONSE_SIZE, "istio_response_bytes_count", "istio_request_bytes_count", 1 },
    { 1u << TELEMETRY_GRPC_REQUESTS, "istio_request_messages_total", "istio_response_messages_total", 1 },
    { 1u << TELEMETRY_GRPC_RESPONSES, "istio_response_messages_total", "istio_request_messages_total", 1 },
    { 1u << TELEMETRY_TCP_OPENED, "istio_tcp_connections_opened_total", "istio_requests_total", 1 },
    { (1u << TELEMETRY_METRICS) - 1, "istio_requests_total", NULL, 0 },
};

START_TEST(policies_turn_metrics_off)
{
    struct metrics *m = metrics_new(10);
    struct record rec = look_request(T0, 200);

    rec.request_messages = rec.response_messages = 1;
    rec.metrics_off = turned_off[_i].off;
    metrics_record(m, &rec, T0 + MS);
    ck_assert_uint_eq(metrics_sets(m), turned_off[_i].sets);
    ck_assert_double_eq(sample_of(m, turned_off[_i].gone, ""), -1);
    if (turned_off[_i].stays)
        ck_assert_double_eq(sample_of(m, turned_off[_i].stays, ""), 1);
    metrics_free(m);
}
END_TEST

START_TEST(policies_turn_tcp_off)
{
    struct metrics *m = metrics_new(10);
    struct record open = connection(RECORD_TCP_OPEN, 0, 0), end = connection(RECORD_TCP_CLOSE, 11, 0);

    open.metrics_off = 1u << TELEMETRY_TCP_OPENED;
    end.metrics_off = 1u << TELEMETRY_TCP_SENT;
    metrics_record(m, &open, T0);
    metrics_record(m, &end, T0);
    ck_assert_double_eq(sample_of(m, "istio_tcp_connections_opened_total", ""), -1);
    ck_assert_double_eq(sample_of(m, "istio_tcp_sent_bytes_total", ""), -1);
    ck_assert_double_eq(sample_of(m, "istio_tcp_connections_closed_total", ""), 1);
    metrics_free(m);
}
END_TEST

/* Each row differs from the first in one label. */
static const struct {
    const char *what;
    int field; /* -1: the code */
    bool other_set;
} differences[] = {
    { "same", ACCESS_LOG_path, false },
    { "code", -1, true },
    { "flags", ACCESS_LOG_response_flags, true },
    { "destination_cluster", ACCESS_LOG_destination_cluster, true },
    { "connection_security_policy", ACCESS_LOG_connection_security_policy, true },
    { "grpc_response_status", ACCESS_LOG_grpc_response_status, true },
    { "trace", ACCESS_LOG_trace_id, false },
};

START_TEST(each_label_tells_sets_apart)
{
    struct metrics *m = metrics_new(10);
    struct record a = look_request(T0, 200), b = a;

    if (differences[_i].field < 0)
        b.log.response_code = 404;
    else
        memcpy((char *)&b.log + access_log_fields[differences[_i].field].offset, &STR("other"), sizeof(struct str));
    metrics_record(m, &a, T0);
    metrics_record(m, &b, T0);
    ck_assert_uint_eq(metrics_sets(m), differences[_i].other_set ? 2 : 1);
    metrics_free(m);
}
END_TEST

/* Neighbouring texts do not run into each other: "ab" + "c" is not "a" + "bc". */
START_TEST(keys_keep_their_borders)
{
    struct metrics *m = metrics_new(10);
    struct record a = look_request(T0, 200), b = a;

    a.log.source_app = STR("ab");
    a.log.source_version = STR("c");
    b.log.source_app = STR("a");
    b.log.source_version = STR("bc");
    metrics_record(m, &a, T0);
    metrics_record(m, &b, T0);
    ck_assert_uint_eq(metrics_sets(m), 2);
    metrics_free(m);
}
END_TEST

static const struct {
    int64_t duration_us;
    const char *le; /* the first bucket that counts it */
} durations[] = {
    { -1, "0.5" },   { 0, "0.5" },    { 500, "0.5" },      { 501, "1" },          { 1000, "1" },
    { 1001, "5" },   { 5000, "5" },   { 9999999, "10000" }, { 3600000000, "3600000" }, { 3600000001, "+Inf" },
};

START_TEST(histograms_use_envoys_bounds)
{
    static const char *const bounds[] = { "0.5",  "1",     "5",     "10",    "25",     "50",     "100",
                                          "250",  "500",   "1000",  "2500",  "5000",   "10000",  "30000",
                                          "60000", "300000", "600000", "1800000", "3600000", "+Inf" };
    struct metrics *m = metrics_new(10);
    struct record rec = look_request(T0, 200);
    bool counted = false;

    rec.log.duration_us = durations[_i].duration_us;
    metrics_record(m, &rec, T0);
    for (size_t i = 0; i < COUNT(bounds); i++) {
        char le[32];

        counted |= strcmp(bounds[i], durations[_i].le) == 0;
        snprintf(le, sizeof(le), ",le=\"%s\"}", bounds[i]);
        ck_assert_msg(sample_of(m, "istio_request_duration_milliseconds_bucket", le) == counted, "le %s", bounds[i]);
    }
    ck_assert_double_eq(sample_of(m, "istio_request_duration_milliseconds_count", ""), 1);
    ck_assert_double_eq(sample_of(m, "istio_request_duration_milliseconds_sum", ""),
                        durations[_i].duration_us > 0 ? (double)durations[_i].duration_us / 1000 : 0);
    metrics_free(m);
}
END_TEST

/* Against a naive count: per workload and code, in arrays. */
START_TEST(counts_as_a_naive_reference)
{
    enum { WORKLOADS = 7, CODES = 4, RECORDS = 20000 };
    static const char *const workloads[WORKLOADS] = { "a", "b", "c", "d", "e", "f", "g" };
    static const int codes[CODES] = { 200, 301, 404, 503 };
    struct metrics *m = metrics_new(100);
    uint64_t n[WORKLOADS][CODES] = { { 0 } }, bytes[WORKLOADS][CODES] = { { 0 } };
    struct rng rng = { { 1, 2, 3, 4 } };

    for (int i = 0; i < RECORDS; i++) {
        size_t w = rng_below(&rng, WORKLOADS), c = rng_below(&rng, CODES);
        struct record rec = look_request(T0, codes[c]);

        rec.log.destination_workload = str_of(workloads[w]);
        rec.response_bytes = rng_below(&rng, 100000);
        n[w][c]++;
        bytes[w][c] += rec.response_bytes;
        metrics_record(m, &rec, T0);
    }
    ck_assert_uint_eq(metrics_sets(m), WORKLOADS * CODES);
    for (size_t w = 0; w < WORKLOADS; w++)
        for (size_t c = 0; c < CODES; c++) {
            char workload[64], code[64];

            snprintf(workload, sizeof(workload), "destination_workload=\"%s\"", workloads[w]);
            snprintf(code, sizeof(code), "response_code=\"%d\"", codes[c]);
            ck_assert_double_eq(sample_with(m, "istio_requests_total", workload, code), (double)n[w][c]);
            ck_assert_double_eq(sample_with(m, "istio_response_bytes_count", workload, code), (double)n[w][c]);
            ck_assert_double_eq(sample_with(m, "istio_response_bytes_sum", workload, code), (double)bytes[w][c]);
        }
    metrics_free(m);
}
END_TEST

START_TEST(escapes_label_values)
{
    struct metrics *m = metrics_new(10);
    struct record rec = look_request(T0, 200);
    struct buf b = BUF_INIT(1 << 20);

    rec.log.destination_service = STR("a\"b\\c\nd\xff");
    metrics_record(m, &rec, T0);
    metrics_text(m, &b);
    ck_assert_int_ge(str_find(buf_view(&b), STR("destination_service=\"a\\\"b\\\\c\\nd\xef\xbf\xbd\",")), 0);
    ck_assert(str_is_utf8(buf_view(&b)));
    buf_free(&b);
    metrics_free(m);
}
END_TEST

START_TEST(bounds_label_sets)
{
    struct metrics *m = metrics_new(3);
    struct record rec = look_request(T0, 200);
    char name[16], *huge = calloc(1, 70000);

    for (int round = 0; round < 2; round++)
        for (int i = 0; i < 5; i++) {
            snprintf(name, sizeof(name), "w-%d", i);
            rec.log.destination_workload = str_of(name);
            metrics_record(m, &rec, T0);
        }
    ck_assert_uint_eq(metrics_sets(m), 3);
    ck_assert_uint_eq(metrics_overflow(m), 4);
    ck_assert_double_eq(sample_of(m, "istio_requests_total", "\"w-2\""), 2); /* the first three go on */
    rec.log.destination_workload = (struct str){ huge, 20000 };
    metrics_record(m, &rec, T0);
    rec.log.destination_workload = (struct str){ huge, 70000 };
    metrics_record(m, &rec, T0);
    ck_assert_uint_eq(metrics_overflow(m), 6);
    free(huge);
    metrics_free(m);
}
END_TEST

/* --- as OTLP ------------------------------------------------------------------------------------------------------ */

static struct str metric_named(struct str records, const char *name)
{
    for (size_t i = 0; i < look_count(records, OTLP_RECORD); i++) {
        struct str metric = look_bytes(records, OTLP_RECORD, i);

        if (str_eqz(look_bytes(metric, 1, 0), name))
            return metric;
    }
    return STR_NULL;
}

START_TEST(batch_is_cumulative_otlp)
{
    enum { SUM = 7, HISTOGRAM = 9 };
    struct metrics *m = metrics_new(10);
    struct record rec = look_request(T0, 200);
    struct buf b = BUF_INIT(1 << 20);
    struct str sum, point, buckets;
    uint64_t total = 0;

    metrics_record(m, &rec, T0 + 9 * MS);
    rec.log.duration_us = 700;
    metrics_record(m, &rec, T0 + 9 * MS);
    ck_assert_uint_eq(metrics_batch(m, T0 + 10 * MS, 1 << 20, &b), 5); /* four series and istio_build */
    sum = look_bytes(metric_named(buf_view(&b), "istio_requests_total"), SUM, 0);
    ck_assert_uint_eq(look_number(sum, 2), 2); /* cumulative */
    ck_assert_uint_eq(look_number(sum, 3), 1); /* monotonic */
    point = look_bytes(sum, 1, 0);
    ck_assert_uint_eq(look_number(point, 2), (uint64_t)T0);
    ck_assert_uint_eq(look_number(point, 3), (uint64_t)(T0 + 10 * MS));
    ck_assert_uint_eq(look_number(point, 6), 2);
    ck_assert(str_eqz(look_text(point, 7, "response_code"), "200"));
    ck_assert(look_attribute(point, 7, "grpc_response_status").p == NULL);
    ck_assert_uint_eq(look_count(point, 7), 24);
    ck_assert_uint_eq(look_bytes(metric_named(buf_view(&b), "istio_requests_total"), 3, 0).n, 0); /* no unit */
    sum = look_bytes(metric_named(buf_view(&b), "istio_request_duration_milliseconds"), HISTOGRAM, 0);
    ck_assert_uint_eq(look_number(sum, 2), 2);
    point = look_bytes(sum, 1, 0);
    ck_assert_uint_eq(look_number(point, 4), 2);
    ck_assert_double_eq(look_double(point, 5), 4.9);
    buckets = look_bytes(point, 6, 0);
    ck_assert_uint_eq(buckets.n, 20 * 8);
    for (size_t i = 0; i < buckets.n; i += 8) {
        uint64_t v;

        memcpy(&v, buckets.p + i, 8);
        total += v;
        ck_assert_uint_eq(v, i == 8 || i == 16); /* 0.7 ms in (0.5, 1], 4.2 ms in (1, 5] */
    }
    ck_assert_uint_eq(total, 2);
    ck_assert_uint_eq(look_bytes(point, 7, 0).n, 19 * 8);
    ck_assert(str_eqz(look_text(point, 9, "destination_workload"), "frontend-v1"));
    ck_assert(metric_named(buf_view(&b), "istio_build").p != NULL);
    ck_assert(metric_named(buf_view(&b), "istio_tcp_sent_bytes_total").p == NULL);
    buf_free(&b);
    metrics_free(m);
}
END_TEST

static size_t batch(struct metrics *m, int64_t now_ns, struct buf *b)
{
    buf_reset(b);
    return metrics_batch(m, now_ns, 1 << 20, b);
}

/* The exemplar of a metric's first point. */
static struct str exemplar(const struct buf *b, const char *metric)
{
    bool is_histogram = !str_ends(str_of(metric), STR("_total"));
    struct str point = look_bytes(look_bytes(metric_named(buf_view(b), metric), is_histogram ? 9 : 7, 0), 1, 0);

    return look_bytes(point, is_histogram ? 8 : 5, 0);
}

START_TEST(links_to_a_trace_once_a_second)
{
    static const char *const metrics[] = { "istio_requests_total", "istio_request_duration_milliseconds" };
    struct metrics *m = metrics_new(10);
    struct record rec = look_request(T0, 200);
    struct buf b = BUF_INIT(1 << 20);

    metrics_record(m, &rec, T0); /* not sampled */
    batch(m, T0 + MS, &b);
    ck_assert_ptr_null(exemplar(&b, metrics[0]).p);
    rec.log.trace_id = STR("0af7651916cd43dd8448eb211c80319c");
    rec.log.span_id = STR("b7ad6b7169203331");
    metrics_record(m, &rec, T0 + 2 * MS);
    for (int again = 0; again < 2; again++) { /* what found no place comes again */
        batch(m, T0 + 3 * MS, &b);
        for (size_t i = 0; i < COUNT(metrics); i++) {
            struct str x = exemplar(&b, metrics[i]);

            ck_assert_uint_eq(look_number(x, 2), (uint64_t)(T0 + 2 * MS));
            ck_assert_double_eq(look_double(x, 3), i ? 4.2 : 1);
            ck_assert(str_eq(look_bytes(x, 4, 0), STR("\xb7\xad\x6b\x71\x69\x20\x33\x31")));
            ck_assert_uint_eq(look_bytes(x, 5, 0).n, 16);
        }
    }
    metrics_taken(m, T0 + 3 * MS);
    metrics_record(m, &rec, T0 + 900 * MS);
    batch(m, T0 + 901 * MS, &b);
    ck_assert_ptr_null(exemplar(&b, metrics[0]).p);
    metrics_record(m, &rec, T0 + 1002 * MS);
    batch(m, T0 + 1003 * MS, &b);
    ck_assert_uint_eq(look_number(exemplar(&b, metrics[0]), 2), (uint64_t)(T0 + 1002 * MS));
    ck_assert_ptr_null(exemplar(&b, "istio_request_bytes").p);
    buf_free(&b);
    metrics_free(m);
}
END_TEST

START_TEST(reports_what_changed_and_keeps_what_found_no_place)
{
    struct metrics *m = metrics_new(10);
    struct record a = look_request(T0, 200), c = look_request(T0, 404);
    struct buf b = BUF_INIT(1 << 20);

    ck_assert(metrics_has_changed(m)); /* istio_build */
    metrics_record(m, &a, T0);
    ck_assert_uint_eq(batch(m, T0 + 1 * MS, &b), 5);
    metrics_taken(m, T0 + 1 * MS);
    ck_assert(!metrics_has_changed(m));
    ck_assert_uint_eq(batch(m, T0 + 2 * MS, &b), 0);
    metrics_taken(m, T0 + 2 * MS);
    metrics_record(m, &a, T0 + 3 * MS);
    ck_assert_uint_eq(batch(m, T0 + 3 * MS, &b), 4); /* no room: not taken */
    metrics_record(m, &c, T0 + 4 * MS);
    ck_assert_uint_eq(batch(m, T0 + 5 * MS, &b), 8); /* comes again, with what changed since */
    metrics_taken(m, T0 + 5 * MS);
    ck_assert_uint_eq(batch(m, T0 + 6 * MS, &b), 0);
    metrics_touch_all(m);
    metrics_touch_all(m);
    ck_assert_uint_eq(batch(m, T0 + 7 * MS, &b), 9);
    metrics_taken(m, T0 + 7 * MS);
    metrics_record(m, &c, T0 + 8 * MS);
    ck_assert_uint_eq(batch(m, T0 + 9 * MS, &b), 4);
    buf_free(&b);
    metrics_free(m);
}
END_TEST

static const struct {
    const char *what;
    int64_t record, taken, now, start;
} starts[] = {
    { "the record's start", 5, 0, 20, 5 },
    { "a long request: not before the last report", 5, 10, 20, 11 },
    { "began with the report", 10, 10, 20, 11 },
    { "before now", 25, 10, 20, 19 },
    { "at once after a report", 10, 10, 10, 9 },
};

START_TEST(start_is_just_before_the_first_increment)
{
    struct metrics *m = metrics_new(10);
    struct record rec = look_request(T0 + starts[_i].record * MS, 200);
    struct buf b = BUF_INIT(1 << 20);
    struct str point;

    metrics_batch(m, T0, 1 << 20, &b);
    if (starts[_i].taken)
        metrics_taken(m, T0 + starts[_i].taken * MS);
    metrics_record(m, &rec, T0 + starts[_i].now * MS);
    rec.log.start_ns += 1000 * MS; /* later increments leave it */
    metrics_record(m, &rec, T0 + 1000 * MS);
    batch(m, T0 + 2000 * MS, &b);
    point = look_bytes(look_bytes(metric_named(buf_view(&b), "istio_requests_total"), 7, 0), 1, 0);
    ck_assert_msg(look_number(point, 2) == (uint64_t)(T0 + starts[_i].start * MS), "%s", starts[_i].what);
    buf_free(&b);
    metrics_free(m);
}
END_TEST

START_TEST(batches_are_bounded)
{
    struct metrics *m = metrics_new(3000);
    struct record rec = look_request(T0, 200);
    struct buf b = BUF_INIT(8 << 20);
    size_t points = 0, batches = 0, n;
    char name[16];

    for (int i = 0; i < 2000; i++) {
        snprintf(name, sizeof(name), "w-%d", i);
        rec.log.destination_workload = str_of(name);
        metrics_record(m, &rec, T0);
    }
    while ((n = batch(m, T0 + MS, &b)) > 0) {
        ck_assert_uint_le(n, 1005);
        ck_assert_uint_lt(b.n, (1 << 20) + 16384);
        points += n;
        batches++;
        metrics_taken(m, T0 + MS);
        ck_assert_uint_lt(batches, 100);
    }
    ck_assert_uint_eq(points, 2000 * 4 + 1);
    ck_assert_uint_ge(batches, 8);
    buf_free(&b);
    metrics_free(m);
}
END_TEST

static bool scenario(void)
{
    struct metrics *m = metrics_new(10);
    struct record a = look_request(T0, 200), t = connection(RECORD_TCP_CLOSE, 1, 2);
    struct buf b = BUF_INIT(1 << 20);
    bool ok = m != NULL;

    if (m) {
        metrics_record(m, &a, T0);
        metrics_record(m, &t, T0);
        ok = metrics_overflow(m) == 0 && metrics_batch(m, T0 + MS, 1 << 20, &b) == 8;
        metrics_text(m, &b);
        ok = ok && !buf_failed(&b);
    }
    buf_free(&b);
    metrics_free(m);
    return ok;
}

START_TEST(says_when_memory_is_short)
{
    for (long n = 1;; n++) {
        bool ok, failed;

        mem_fail_at(n);
        ok = scenario();
        failed = mem_has_failed();
        mem_fail_at(0);
        ck_assert_msg(ok == !failed, "allocation %ld", n);
        if (!failed)
            break;
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("metrics");
    TCase *t = tcase_create("metrics");

    tcase_set_timeout(t, 60);
    tcase_add_test(t, labels_stand_in_istios_order);
    tcase_add_test(t, labels_by_policy);
    tcase_add_test(t, tcp_counts_and_labels);
    tcase_add_test(t, grpc_messages_are_counted);
    tcase_add_loop_test(t, policies_turn_metrics_off, 0, COUNT(turned_off));
    tcase_add_test(t, policies_turn_tcp_off);
    tcase_add_loop_test(t, each_label_tells_sets_apart, 0, COUNT(differences));
    tcase_add_test(t, keys_keep_their_borders);
    tcase_add_loop_test(t, histograms_use_envoys_bounds, 0, COUNT(durations));
    tcase_add_test(t, counts_as_a_naive_reference);
    tcase_add_test(t, escapes_label_values);
    tcase_add_test(t, bounds_label_sets);
    tcase_add_test(t, batch_is_cumulative_otlp);
    tcase_add_test(t, links_to_a_trace_once_a_second);
    tcase_add_test(t, reports_what_changed_and_keeps_what_found_no_place);
    tcase_add_loop_test(t, start_is_just_before_the_first_increment, 0, COUNT(starts));
    tcase_add_test(t, batches_are_bounded);
    tcase_add_test(t, says_when_memory_is_short);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
