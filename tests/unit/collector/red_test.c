#include "base/clock.h"
#include "base/mem.h"
#include "base/num.h"
#include "collector/red-internal.h"
#include "store/series.h"
#include "tests/unit/collector/dump.h"
#include "tests/unit/unit.h"

#include <ftw.h>
#include <stdio.h>
#include <unistd.h>

/* --- a store in a directory of its own, RED, a batch --- */

struct fixture {
    char dir[64];
    struct store *store;
    struct red *red;
    struct arena arena;
    struct batch batch;
    struct buf text;
};

static int unlink_one(const char *path, const struct stat *sb, int type, struct FTW *at)
{
    (void)sb;
    (void)type;
    (void)at;
    return remove(path);
}

static void begin(struct fixture *f)
{
    struct err e = ERR_INIT;

    strcpy(f->dir, "/tmp/vigla-red-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(f->dir));
    f->store = store_open(f->dir, NULL, &e);
    ck_assert_msg(f->store != NULL, "%s", e.msg);
    f->red = red_new(f->store, &e);
    ck_assert_msg(f->red != NULL, "%s", e.msg);
    f->arena = (struct arena)ARENA_INIT(64 << 20);
    f->text = (struct buf)BUF_INIT(16 << 20);
    batch_init(&f->batch, &f->arena);
}

static void end(struct fixture *f)
{
    red_free(f->red);
    store_close(f->store);
    arena_free(&f->arena);
    buf_free(&f->text);
    nftw(f->dir, unlink_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* A row from "column=value column=value"; what is no column is an attribute. */
static void add_row(struct batch *b, enum event_kind kind, const char *row)
{
    struct label *attributes = arena_array(b->arena, 16, sizeof(*attributes));
    struct str rest = arena_str(b->arena, str_of(row));
    size_t n = 0;

    ck_assert_ptr_nonnull(attributes);
    while (rest.p) {
        struct str value = str_cut(&rest, ' '), name = str_cut(&value, '=');
        int column = event_column_index(kind, name);
        union event_value v = {.s = value};

        if (column < 0) {
            attributes[n++] = (struct label){name, value};
            continue;
        }
        if (!event_tables[kind].columns[column].is_text)
            ck_assert(num_i64(value, &v.i));
        ck_assert_int_eq(batch_set_event(b, kind, column, v), 0);
    }
    ck_assert_int_eq(labels_normalise(attributes, &n, NULL), 0);
    ck_assert_int_eq(batch_end_event(b, kind, 1700000000000000000, (struct labels){attributes, n}), 0);
}

/* The increments of one metric, a line each, without the labels that say "unknown". */
static const char *increments(struct fixture *f, const char *metric)
{
    buf_reset(&f->text);
    for (size_t i = 0; i < f->batch.nseries; i++) {
        const struct batch_series *s = &f->batch.series[i];
        struct label room[40], v[40];
        struct labels all = batch_series_labels(s, room), l = {v, 0};

        if (!str_eqz(labels_get(all, STR("__name__")), metric))
            continue;
        ck_assert(s->increments);
        ck_assert_uint_eq(s->n, 1);
        for (size_t k = 1; k < all.n; k++) {
            ck_assert_int_lt(str_cmp(all.v[k - 1].name, all.v[k].name), 0);
            if (!str_eqz(all.v[k].value, "unknown"))
                v[l.n++] = all.v[k];
        }
        labels_print(&f->text, l);
        buf_puts(&f->text, " ");
        buf_double(&f->text, s->samples[0].v);
        buf_putc(&f->text, '\n');
    }
    return f->text.n ? buf_cstr(&f->text) : "";
}

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

/* A sample of istio_requests_total of now; labels as "name=value name=value". */
static void has_metric(struct fixture *f, const char *labels)
{
    struct arena a = ARENA_INIT(1 << 20);
    struct label v[16] = {{STR("__name__"), STR("istio_requests_total")}};
    struct sample sample = {clock_now_ms(), 1};
    struct batch_series s = {.labels = {v, 1}, .samples = &sample, .n = 1};
    struct str rest = str_of(labels);
    struct err e = ERR_INIT;
    struct batch b;

    while (rest.p) {
        struct str value = str_cut(&rest, ' '), name = str_cut(&value, '=');

        v[s.labels.n++] = (struct label){name, value};
    }
    ck_assert_int_eq(labels_normalise(v, &s.labels.n, &e), 0);
    batch_init(&b, &a);
    ck_assert_int_eq(batch_add_series(&b, &s), 0);
    ck_assert_msg(store_commit(f->store, &b, &e) == 0, "%s", e.msg);
    arena_free(&a);
}

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

/* --- spans --- */

#define TRACE     "trace_id=5b8efff798038103d269b633813fc60c duration_ns=1500000 "
#define WEB_CALLS TRACE "service=web namespace=shop version=v1 span_id=0000000000000001 kind=client"
#define CART_SERVES                                                                                                    \
    TRACE "service=cart namespace=shop version=v2 span_id=0000000000000002 parent_span_id=0000000000000001 "           \
          "kind=server"
#define FROM_WEB                                                                                                       \
    "source_app=\"web\", source_canonical_revision=\"v1\", source_canonical_service=\"web\", "                         \
    "source_cluster=\"Kubernetes\", "                                                                                  \
    "source_version=\"v1\", source_workload=\"web\", source_workload_namespace=\"shop\"}"
#define CART                                                                                                           \
    "{destination_app=\"cart\", destination_canonical_revision=\"v2\", destination_canonical_service=\"cart\", "       \
    "destination_cluster=\"Kubernetes\", destination_service=\"cart\", destination_service_name=\"cart\", "            \
    "destination_service_namespace=\"shop\", destination_version=\"v2\", destination_workload=\"cart\", "              \
    "destination_workload_namespace=\"shop\", "
#define TO_CART         CART "job=\"vigla/spans\", "
#define TO_CART_BY_GRPC CART "grpc_response_status=\"14\", job=\"vigla/spans\", "
#define TO_OTHER                                                                                                       \
    "{destination_app=\"other\", destination_canonical_revision=\"latest\", destination_canonical_service=\"other\", " \
    "destination_cluster=\"Kubernetes\", destination_service=\"other\", destination_service_name=\"other\", "          \
    "destination_service_namespace=\"shop\", destination_workload=\"other\", "                                         \
    "destination_workload_namespace=\"shop\", "                                                                        \
    "job=\"vigla/spans\", "
#define OK_HTTP "request_protocol=\"http\", response_code=\"200\", response_flags=\"-\", "

static const struct {
    const char *name;
    const char *batches[2][3]; /* one after the other */
    const char *want;          /* of both */
} calls[] = {
    {"caller and called in one batch are one call told twice",
     {{WEB_CALLS, CART_SERVES}},
     TO_CART "reporter=\"source\", " OK_HTTP FROM_WEB " 1\n" TO_CART "reporter=\"destination\", " OK_HTTP FROM_WEB
             " 1\n"},
    {"both ends of a call share one id",
     {{WEB_CALLS, TRACE "service=cart namespace=shop version=v2 span_id=0000000000000001 kind=server"}},
     TO_CART "reporter=\"source\", " OK_HTTP FROM_WEB " 1\n" TO_CART "reporter=\"destination\", " OK_HTTP FROM_WEB
             " 1\n"},
    {"who comes second knows the first",
     {{WEB_CALLS}, {CART_SERVES}},
     "{destination_canonical_revision=\"latest\", job=\"vigla/spans\", reporter=\"source\", " OK_HTTP FROM_WEB
     " 1\n" TO_CART "reporter=\"destination\", " OK_HTTP FROM_WEB " 1\n"},
    {"the called one first",
     {{CART_SERVES}, {WEB_CALLS}},
     TO_CART "reporter=\"destination\", " OK_HTTP "source_canonical_revision=\"latest\"} 1\n" TO_CART
             "reporter=\"source\", " OK_HTTP FROM_WEB " 1\n"},
    {"a host is learned from a call whose other end is known",
     {{WEB_CALLS " server.address=cart.shop.svc", CART_SERVES},
      {TRACE
       "service=web namespace=shop version=v1 span_id=0000000000000003 kind=client server.address=cart.shop.svc"}},
     TO_CART "reporter=\"source\", " OK_HTTP FROM_WEB " 1\n" TO_CART "reporter=\"destination\", " OK_HTTP FROM_WEB
             " 1\n" TO_CART "reporter=\"source\", " OK_HTTP FROM_WEB " 1\n"},
    {"a host of two services is nobody's",
     {{WEB_CALLS " server.address=lb", CART_SERVES,
       TRACE "service=other namespace=shop span_id=0000000000000012 parent_span_id=0000000000000011 kind=server"},
      {TRACE "service=web namespace=shop version=v1 span_id=0000000000000011 kind=client server.address=lb",
       TRACE "service=web namespace=shop version=v1 span_id=0000000000000013 kind=client server.address=lb"}},
     TO_CART "reporter=\"source\", " OK_HTTP FROM_WEB " 1\n" TO_CART "reporter=\"destination\", " OK_HTTP FROM_WEB
             " 1\n" TO_OTHER "reporter=\"destination\", " OK_HTTP "source_canonical_revision=\"latest\"} 1\n" TO_OTHER
             "reporter=\"source\", " OK_HTTP FROM_WEB " 1\n"
             "{destination_canonical_revision=\"latest\", destination_service=\"lb\", destination_service_name=\"lb\", "
             "job=\"vigla/spans\", reporter=\"source\", " OK_HTTP FROM_WEB " 1\n"},
    {"a peer that sends no spans goes by its name",
     {{WEB_CALLS " server.address=db.example.com db.system=postgresql"}},
     "{destination_canonical_revision=\"latest\", destination_service=\"db.example.com\", "
     "destination_service_name=\"db.example.com\", job=\"vigla/spans\", reporter=\"source\", " OK_HTTP FROM_WEB " 1\n"},
    {"a service of the cluster has a namespace",
     {{WEB_CALLS " url.full=http://u@pay.bank.svc.cluster.local:80/x?y=http://z"}},
     "{destination_canonical_revision=\"latest\", destination_service=\"pay.bank.svc.cluster.local\", "
     "destination_service_name=\"pay\", destination_service_namespace=\"bank\", job=\"vigla/spans\", "
     "reporter=\"source\", " OK_HTTP FROM_WEB " 1\n"},
    {"peer.service goes before the address",
     {{WEB_CALLS " server.address=10.0.0.1 peer.service=pay"}},
     "{destination_canonical_revision=\"latest\", destination_service=\"pay\", destination_service_name=\"pay\", "
     "job=\"vigla/spans\", reporter=\"source\", " OK_HTTP FROM_WEB " 1\n"},
    {"nothing but a system",
     {{WEB_CALLS " db.system.name=redis"}},
     "{destination_canonical_revision=\"latest\", destination_service=\"redis\", destination_service_name=\"redis\", "
     "job=\"vigla/spans\", reporter=\"source\", " OK_HTTP FROM_WEB " 1\n"},
    {"codes: an answer's, gRPC's, a failure without one",
     {{CART_SERVES " http.response.status_code=404", CART_SERVES " rpc.system=grpc rpc.grpc.status_code=14 status=2",
       CART_SERVES " http.status_code=200 status=2"}},
     TO_CART "reporter=\"destination\", request_protocol=\"http\", response_code=\"404\", response_flags=\"-\", "
             "source_canonical_revision=\"latest\"} 1\n" TO_CART_BY_GRPC
             "reporter=\"destination\", request_protocol=\"grpc\", response_code=\"200\", "
             "response_flags=\"-\", source_canonical_revision=\"latest\"} 1\n" TO_CART
             "reporter=\"destination\", request_protocol=\"http\", response_code=\"500\", response_flags=\"-\", "
             "source_canonical_revision=\"latest\"} 1\n"},
    {"spans inside are no calls",
     {{TRACE "service=web span_id=0000000000000001 kind=internal", TRACE "service=web span_id=0000000000000002"}},
     ""},
    {"a sidecar and its application serve one request",
     {{CART_SERVES, TRACE
       "service=cart namespace=shop version=v2 span_id=0000000000000003 parent_span_id=0000000000000002 kind=server"}},
     TO_CART "reporter=\"destination\", " OK_HTTP "source_canonical_revision=\"latest\"} 1\n"},
    {"an application and its sidecar make one call",
     {{WEB_CALLS,
       TRACE "service=web namespace=shop version=v1 span_id=0000000000000002 parent_span_id=0000000000000001 "
             "kind=client upstream_cluster=outbound|80||pay.bank.svc.cluster.local"}},
     "{destination_canonical_revision=\"latest\", destination_service=\"pay.bank.svc.cluster.local\", "
     "destination_service_name=\"pay\", destination_service_namespace=\"bank\", job=\"vigla/spans\", "
     "reporter=\"source\", " OK_HTTP FROM_WEB " 1\n"},
    {"messages go from the producer to the consumer",
     {{TRACE "service=web namespace=shop version=v1 span_id=0000000000000001 kind=producer messaging.system=kafka",
       TRACE "service=cart namespace=shop version=v2 span_id=0000000000000002 parent_span_id=0000000000000001 "
             "kind=consumer"}},
     TO_CART "reporter=\"source\", " OK_HTTP FROM_WEB " 1\n" TO_CART "reporter=\"destination\", " OK_HTTP FROM_WEB
             " 1\n"},
};

START_TEST(spans_are_calls)
{
    struct fixture f;

    begin(&f);
    for (size_t i = 0; i < COUNT(calls[_i].batches); i++) {
        size_t first = f.batch.events[EVENT_SPAN].n;

        for (size_t k = 0; k < COUNT(calls[_i].batches[i]) && calls[_i].batches[i][k]; k++)
            add_row(&f.batch, EVENT_SPAN, calls[_i].batches[i][k]);
        ck_assert_int_eq(red_spans(f.red, &f.batch, first, NULL), 0);
    }
    ck_assert_str_eq(increments(&f, "istio_requests_total"), calls[_i].want);
    end(&f);
}
END_TEST

/* Who serves tells first: counted as from nobody known, and taken back by whom it was called. */
#define SHARED_CART TRACE "service=cart namespace=shop version=v2 span_id=0000000000000001 "
#define AS_UNKNOWN  "reporter=\"destination\", " OK_HTTP "source_canonical_revision=\"latest\"} "
#define HALF_UNKNOWN                                                                                                   \
    "reporter=\"destination\", request_protocol=\"http\", response_code=\"500\", response_flags=\"-\", "                 \
    "source_canonical_revision=\"latest\"} "

static const struct {
    const char *name;
    const char *batches[3][3]; /* one after the other */
    const char *awaited, *found;
} late[] = {
    {"the caller comes later", {{CART_SERVES}, {WEB_CALLS}}, TO_CART AS_UNKNOWN "1\n" TO_CART AS_UNKNOWN "0\n",
     TO_CART AS_UNKNOWN "0\n" TO_CART AS_UNKNOWN "1\n"},
    {"the caller comes first", {{WEB_CALLS}, {CART_SERVES}}, "", ""},
    {"together", {{CART_SERVES, WEB_CALLS}}, "", ""},
    {"twice is told once", {{CART_SERVES}, {WEB_CALLS}, {WEB_CALLS}},
     TO_CART AS_UNKNOWN "1\n" TO_CART AS_UNKNOWN "0\n", TO_CART AS_UNKNOWN "0\n" TO_CART AS_UNKNOWN "1\n"},
    {"nobody calls: a span without a parent", {{TRACE "service=cart span_id=0000000000000002 kind=server"}, {WEB_CALLS}},
     "", ""},
    {"another span", {{CART_SERVES}, {TRACE "service=web namespace=shop span_id=0000000000000009 kind=client"}},
     TO_CART AS_UNKNOWN "1\n", TO_CART AS_UNKNOWN "0\n"},
    {"a span inside calls nobody",
     {{CART_SERVES}, {TRACE "service=web namespace=shop span_id=0000000000000001 kind=internal"}},
     TO_CART AS_UNKNOWN "1\n", TO_CART AS_UNKNOWN "0\n"},
    {"two called by one",
     {{CART_SERVES, TRACE "service=cart namespace=shop version=v2 span_id=0000000000000003 status=2 "
                          "parent_span_id=0000000000000001 kind=consumer"},
      {TRACE "service=web namespace=shop version=v1 span_id=0000000000000001 kind=producer"}},
     TO_CART AS_UNKNOWN "1\n" TO_CART HALF_UNKNOWN "1\n" TO_CART AS_UNKNOWN "0\n" TO_CART HALF_UNKNOWN "0\n",
     TO_CART AS_UNKNOWN "0\n" TO_CART HALF_UNKNOWN "0\n" TO_CART AS_UNKNOWN "1\n" TO_CART HALF_UNKNOWN "1\n"},
    {"both ends share one id", {{SHARED_CART "parent_span_id=0000000000000009 kind=server"}, {WEB_CALLS}},
     TO_CART AS_UNKNOWN "1\n" TO_CART AS_UNKNOWN "0\n", TO_CART AS_UNKNOWN "0\n" TO_CART AS_UNKNOWN "1\n"},
    {"an application, then its sidecar",
     {{TRACE "service=cart namespace=shop version=v2 span_id=0000000000000003 parent_span_id=0000000000000002 "
             "kind=server"},
      {CART_SERVES}},
     TO_CART AS_UNKNOWN "1\n" TO_CART AS_UNKNOWN "1\n", TO_CART AS_UNKNOWN "0\n" TO_CART AS_UNKNOWN "1\n"},
    {"who serves and is another service's parent does not count the call",
     {{CART_SERVES}, {TRACE "service=web namespace=shop span_id=0000000000000001 kind=server"}},
     TO_CART AS_UNKNOWN "1\n", TO_CART AS_UNKNOWN "0\n"},
};

START_TEST(who_was_counted_too_early_is_told)
{
    struct fixture f;

    begin(&f);
    for (size_t i = 0; i < COUNT(late[_i].batches); i++) {
        size_t first = f.batch.events[EVENT_SPAN].n;

        for (size_t k = 0; k < COUNT(late[_i].batches[i]) && late[_i].batches[i][k]; k++)
            add_row(&f.batch, EVENT_SPAN, late[_i].batches[i][k]);
        ck_assert_int_eq(red_spans(f.red, &f.batch, first, NULL), 0);
    }
    ck_assert_msg(strcmp(increments(&f, SPAN_CALLERS_AWAITED), late[_i].awaited) == 0, "%s: awaited\n%s", late[_i].name,
                  increments(&f, SPAN_CALLERS_AWAITED));
    ck_assert_msg(strcmp(increments(&f, SPAN_CALLERS_FOUND), late[_i].found) == 0, "%s: found\n%s", late[_i].name,
                  increments(&f, SPAN_CALLERS_FOUND));
    end(&f);
}
END_TEST

START_TEST(spans_of_who_has_metrics_or_logs_are_left_alone)
{
    static const char *const jobs[] = {"scraped", "vigla/logs"};
    struct fixture f;
    char labels[256];

    begin(&f);
    snprintf(labels, sizeof(labels),
             "job=%s reporter=destination destination_workload=cart "
             "destination_workload_namespace=shop destination_canonical_service=cart",
             jobs[_i]);
    has_metric(&f, labels);
    add_row(&f.batch, EVENT_SPAN, CART_SERVES);
    ck_assert_int_eq(red_spans(f.red, &f.batch, 0, NULL), 0);
    ck_assert_uint_eq(f.batch.nseries, 0);
    end(&f);
}
END_TEST

/* More spans than are remembered: bounded, and no one is found who is not there. */
START_TEST(what_is_remembered_is_bounded)
{
    struct red_peers *p = red_peers_new();
    const struct red_party texts = {.service = STR("web")}, *web;
    char id[32];
    size_t found = 0;

    ck_assert_ptr_nonnull(p);
    web = red_peers_party(p, &texts);
    ck_assert_ptr_nonnull(web);
    ck_assert_ptr_eq(red_peers_party(p, &texts), web);
    for (int i = 0; i < 200000; i++) {
        snprintf(id, sizeof(id), "%016d", i);
        red_peers_note(p, RED_SERVER, STR("t"), str_of(id), web);
    }
    for (int i = 0; i < 200000; i++) {
        snprintf(id, sizeof(id), "%016d", i);
        found += red_peers_find(p, RED_SERVER, STR("t"), str_of(id)) != NULL;
        ck_assert_ptr_null(red_peers_find(p, RED_OTHER, STR("t"), str_of(id)));
    }
    ck_assert_uint_le(found, 65536);
    ck_assert_ptr_eq(red_peers_find(p, RED_SERVER, STR("t"), str_of(id)), web);
    red_peers_free(p);
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
    tcase_add_loop_test(t, spans_are_calls, 0, (int)COUNT(calls));
    tcase_add_loop_test(t, who_was_counted_too_early_is_told, 0, (int)COUNT(late));
    tcase_add_loop_test(t, spans_of_who_has_metrics_or_logs_are_left_alone, 0, 2);
    tcase_add_test(t, what_is_remembered_is_bounded);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(red_suite)
