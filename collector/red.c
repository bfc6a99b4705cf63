#include "collector/red-internal.h"

#include "base/mem.h"
#include "collector/access_log_complete.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { MOST_NAMES = 64 << 10 };

/* --- the whole --- */

static int by_name(const void *a, const void *b)
{
    return str_cmp(((const struct red_label_at *)a)->name, ((const struct red_label_at *)b)->name);
}

/* The bounds are written as OTLP's histograms write them (otlp_metrics.c): who sums both jobs gets one bucket. */
static struct str bound(struct arena *a, size_t i)
{
    struct buf text = BUF_INIT(64);
    struct str s;

    buf_double(&text, i < ISTIO_BOUNDS ? istio_bounds[i] : INFINITY);
    s = arena_str(a, buf_view(&text));
    buf_free(&text);
    return s;
}

static void name_histogram(struct red *r, struct batch_own *own, const char *metric)
{
    struct str bucket = arena_printf(&r->names, "%s_bucket", metric);

    for (size_t i = 0; i < RED_BUCKETS; i++)
        own[i] = (struct batch_own){bucket, bound(&r->names, i)};
    own[RED_BUCKETS].metric = arena_printf(&r->names, "%s_sum", metric);
    own[RED_BUCKETS + 1].metric = arena_printf(&r->names, "%s_count", metric);
}

static bool name_series(struct red *r)
{
    r->own[RED_REQUESTS].metric = str_of(istio_metrics[ISTIO_REQUESTS].name);
    for (size_t i = 0; i < ISTIO_HISTOGRAMS; i++)
        name_histogram(r, &r->own[RED_HISTOGRAM_SERIES + i * RED_HISTOGRAM], istio_metrics[ISTIO_DURATION + i].name);
    for (size_t i = ISTIO_TCP_OPENED; i < ISTIO_TCP_END; i++)
        r->own[RED_TCP + i - ISTIO_TCP_OPENED].metric = str_of(istio_metrics[i].name);
    r->own[RED_AWAITED].metric = STR(SPAN_CALLERS_AWAITED);
    r->own[RED_FOUND].metric = STR(SPAN_CALLERS_FOUND);
    for (size_t i = 0; i < RED_SERIES; i++)
        if (!r->own[i].metric.p)
            return false;
    return true;
}

struct red *red_new(struct store *st, struct err *e)
{
    struct red *r = mem_zalloc(sizeof(*r));

    if (r)
        r->names = (struct arena)ARENA_INIT(MOST_NAMES);
    if (!r || !name_series(r)) {
        err_set(e, ERR_NOMEM, "no memory to count log lines and spans");
        if (r)
            arena_free(&r->names);
        mem_free(r);
        return NULL;
    }
    pthread_mutex_init(&r->lock, NULL);
    pthread_mutex_init(&r->peers_lock, NULL);
    r->store = st;
    for (size_t i = 0; i < ISTIO_LABELS; i++)
        r->order[i] = (struct red_label_at){istio_labels[i].name, i};
    r->order[ISTIO_LABELS] = (struct red_label_at){STR("job"), ISTIO_LABELS};
    qsort(r->order, ISTIO_LABELS + 1, sizeof(r->order[0]), by_name);
    return r;
}

void red_free(struct red *r)
{
    if (!r)
        return;
    red_known_drop(r, r->known);
    red_sets_drop(r->sets);
    red_peers_free(r->peers);
    arena_free(&r->names);
    pthread_mutex_destroy(&r->lock);
    pthread_mutex_destroy(&r->peers_lock);
    mem_free(r);
}

/* --- access logs --- */

static struct str text(const struct batch *b, size_t row, enum access_log_field field)
{
    return batch_event(b, EVENT_ACCESS_LOG, row, (int)field).s;
}

static int64_t number(const struct batch *b, size_t row, enum access_log_field field)
{
    return batch_event(b, EVENT_ACCESS_LOG, row, (int)field).i;
}

/* `code` is room for the response code's text. */
static void read_row(const struct batch *b, size_t row, struct red_request *q, char code[24])
{
    int64_t duration_us = number(b, row, ACCESS_LOG_duration_us), status = number(b, row, ACCESS_LOG_response_code);

    q->is_http = !str_eqz(text(b, row, ACCESS_LOG_request_protocol), "tcp");
    for (size_t i = 0; i < ISTIO_LABELS; i++)
        if (access_log_fields[istio_labels[i].field].is_text)
            q->label[istio_labels[i].field] = text(b, row, istio_labels[i].field);
    snprintf(code, 24, "%lld", status > 0 ? (long long)status : 0LL);
    q->label[ACCESS_LOG_response_code] = str_of(code);
    q->received_bytes = number(b, row, ACCESS_LOG_bytes_received);
    q->sent_bytes = number(b, row, ACCESS_LOG_bytes_sent);
    q->observed[0] = duration_us < 0 ? -1 : (double)duration_us / 1000;
    q->observed[1] = (double)q->received_bytes;
    q->observed[2] = (double)q->sent_bytes;
}

static bool is_counted_elsewhere(const struct red_known *k, const struct batch *b, size_t row, struct buf *scratch)
{
    struct str reporter = text(b, row, ACCESS_LOG_reporter);
    bool is_source = str_eqz(reporter, "source");
    const struct red_reporter who = {
        .reporter = reporter,
        .pod = text(b, row, ACCESS_LOG_pod),
        .ns =
            text(b, row, is_source ? ACCESS_LOG_source_workload_namespace : ACCESS_LOG_destination_workload_namespace),
        .workload = text(b, row, is_source ? ACCESS_LOG_source_workload : ACCESS_LOG_destination_workload),
        .service =
            text(b, row, is_source ? ACCESS_LOG_source_canonical_service : ACCESS_LOG_destination_canonical_service),
    };

    return red_known_elsewhere(k, &who, scratch) & RED_BY_METRICS;
}

static int count_rows(struct red_counts *c, const struct red_known *k, size_t first)
{
    const struct batch *b = c->batch;
    struct red_request q = {0};
    char code[24];
    int rc = 0;

    for (size_t row = first; rc == 0 && row < b->events[EVENT_ACCESS_LOG].n; row++) {
        if (is_counted_elsewhere(k, b, row, &c->key))
            continue;
        read_row(b, row, &q, code);
        rc = red_counts_add(c, &q) ? 0 : ERR_NOMEM;
    }
    return rc;
}

int red_access_logs(struct red *r, struct batch *b, size_t first, struct err *e)
{
    struct red_known *k;
    struct red_counts c;
    int rc = 0;

    if (b->events[EVENT_ACCESS_LOG].n <= first)
        return 0;
    for (size_t row = first; rc == 0 && row < b->events[EVENT_ACCESS_LOG].n; row++)
        rc = access_log_complete(b, row);
    k = red_known_take(r);
    red_counts_init(&c, r, b, RED_LOGS_JOB);
    if (rc == 0)
        rc = count_rows(&c, k, first);
    if (rc == 0)
        rc = red_counts_put(&c);
    red_counts_fini(&c);
    red_known_drop(r, k);
    return rc < 0 ? err_set(e, ERR_NOMEM, "no memory to count access logs") : 0;
}
