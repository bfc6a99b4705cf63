/* metrics.c: from records to label sets.
 *
 * Problem    A request touches four series of 25 labels each; formatting labels for each would cost more than the
 *            request itself.
 * Idea       The four series share one label set. It is found by one probe with a key made of the record's raw texts,
 *            and it keeps its labels printed, once, in both forms they leave in: exposition text and OTLP attributes.
 * Invariant  A set is on the list of the changed ones exactly when is_changed is true.
 * Left out   Forgetting sets that are not used any more: Istio's proxies keep theirs, too, and the bound is small. */
#include "proxy/metrics-internal.h"

#include "base/arena.h"
#include "base/istio_metrics.h"
#include "base/mem.h"
#include "base/pb.h"
#include "base/strmap.h"
#include "mesh/snapshot.h"
#include "proxy/metric_tags.h"
#include "proxy/otlp-internal.h"

#include <stdio.h>

enum {
    LONGEST_KEY = 16 * 1024,
    MOST_MEMORY = 64 << 20, /* of all label sets */
    MOST_POINTS = 1000,     /* in a batch */
    MOST_POINT_BYTES = 8 << 20
};

struct metrics {
    struct arena arena;
    struct strmap by_key;
    size_t max_sets;
    struct metric_set *first, **end;                 /* all, oldest first */
    struct metric_set *first_changed, **end_changed; /* the changed ones, in the order of their changes */
    struct metric_set *not_in_batch;                 /* where the batch made last ends in that list */
    bool build_changed, build_in_batch;              /* istio_build */
    int64_t taken_ns;                                /* when a batch was taken last */
    uint64_t overflow;
    struct buf key;
    struct buf points[ISTIO_METRICS];
};

struct metrics *metrics_new(size_t max_sets)
{
    struct metrics *m = mem_zalloc(sizeof(*m));

    if (!m)
        return NULL;
    m->arena = (struct arena)ARENA_INIT(MOST_MEMORY);
    m->max_sets = max_sets;
    m->end = &m->first;
    m->end_changed = &m->first_changed;
    m->build_changed = true;
    m->key = (struct buf)BUF_INIT(LONGEST_KEY);
    for (int i = 0; i < ISTIO_METRICS; i++)
        m->points[i] = (struct buf)BUF_INIT(MOST_POINT_BYTES);
    return m;
}

void metrics_free(struct metrics *m)
{
    if (!m)
        return;
    for (int i = 0; i < ISTIO_METRICS; i++)
        buf_free(&m->points[i]);
    buf_free(&m->key);
    strmap_free(&m->by_key);
    arena_free(&m->arena);
    mem_free(m);
}

size_t metrics_sets(const struct metrics *m)
{
    return m->by_key.n;
}

uint64_t metrics_overflow(const struct metrics *m)
{
    return m->overflow;
}

static struct str text_field(const struct access_log *l, enum access_log_field field)
{
    struct str s;

    memcpy(&s, (const char *)l + access_log_fields[field].offset, sizeof(s));
    return s;
}

static bool is_code(const struct istio_label *s)
{
    return s->field == ACCESS_LOG_response_code;
}

/* Inlined: for each record it is called for each of Istio's labels. */
__attribute__((always_inline)) static inline bool put_key(struct buf *b, struct str s)
{
    uint16_t n = (uint16_t)s.n;
    char *to = s.n <= UINT16_MAX ? buf_reserve(b, sizeof(n) + s.n) : NULL;

    if (!to)
        return false;
    memcpy(to, &n, sizeof(n));
    if (n)
        memcpy(to + sizeof(n), s.p, n);
    b->n += sizeof(n) + n;
    return true;
}

/* The raw texts, each behind its length, and the code: equal keys are equal label sets. */
static bool make_key(struct buf *b, const struct record *rec)
{
    bool is_http = rec->kind == RECORD_HTTP;
    uint32_t kind_and_code = is_http ? (uint32_t)(rec->log.response_code > 0 ? rec->log.response_code : 0) : UINT32_MAX;

    buf_reset(b);
    buf_put(b, &kind_and_code, sizeof(kind_and_code));
    for (size_t i = 0; i < ISTIO_LABELS; i++)
        if (!is_code(&istio_labels[i]) && (is_http || !istio_labels[i].http_only) &&
            !put_key(b, text_field(&rec->log, istio_labels[i].field)))
            return false;
    return true;
}

static bool add_tags(struct buf *b, const struct metric_tags *tags)
{
    for (size_t i = 0; i < tags->n; i++)
        if (!put_key(b, tags->v[i].name) || !put_key(b, tags->v[i].value.p ? STR("=") : STR_NULL) ||
            !put_key(b, tags->v[i].value))
            return false;
    return true;
}

static void escape_label(struct buf *b, struct str s)
{
    struct buf clean = BUF_INIT(4 * LONGEST_KEY);

    buf_utf8(&clean, s);
    s = buf_view(&clean);
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '\n')
            buf_puts(b, "\\n");
        else if (s.p[i] == '"' || s.p[i] == '\\')
            buf_printf(b, "\\%c", s.p[i]);
        else
            buf_putc(b, s.p[i]);
    }
    b->failed |= clean.failed;
    buf_free(&clean);
}

static void print_label(const struct record *rec, struct str name, struct str value, struct buf *text,
                        struct buf attributes[2])
{
    enum { NUMBER_POINT_ATTRIBUTES = 7, HISTOGRAM_POINT_ATTRIBUTES = 9 };

    if (text->n)
        buf_putc(text, ',');
    buf_str(text, name);
    buf_puts(text, "=\"");
    escape_label(text, value);
    buf_putc(text, '"');
    if (value.n == 0)
        return; /* an empty label and an absent one are the same */
    otlp_text(&attributes[0], NUMBER_POINT_ATTRIBUTES, name, value);
    if (rec->kind == RECORD_HTTP)
        otlp_text(&attributes[1], HISTOGRAM_POINT_ATTRIBUTES, name, value);
}

/* Istio's in their order, then those that are not Istio's. */
static void print_labels(const struct record *rec, const struct metric_tags *tags, struct buf *text,
                         struct buf attributes[2])
{
    char code[24];

    snprintf(code, sizeof(code), "%d", rec->log.response_code > 0 ? (int)rec->log.response_code : 0);
    for (size_t i = 0; i < ISTIO_LABELS; i++) {
        const struct istio_label *l = &istio_labels[i];
        struct str value;

        if ((l->http_only && rec->kind != RECORD_HTTP) || metric_tags_find(tags, l->name, &value))
            continue;
        value = is_code(l) ? str_of(code) : text_field(&rec->log, l->field);
        print_label(rec, l->name, value.n ? value : l->missing, text, attributes);
    }
    for (size_t i = 0; i < tags->n; i++)
        if (tags->v[i].value.p)
            print_label(rec, tags->v[i].name, tags->v[i].value, text, attributes);
}

static bool keep(struct arena *a, const struct buf *b, struct str *to)
{
    if (buf_failed(b))
        return false;
    *to = arena_str(a, buf_view(b));
    return to->p != NULL;
}

static struct metric_set *add_set(struct metrics *m, const struct record *rec, const struct metric_tags *tags)
{
    struct buf text = BUF_INIT(8 * LONGEST_KEY);
    struct buf attributes[2] = { BUF_INIT(8 * LONGEST_KEY), BUF_INIT(8 * LONGEST_KEY) };
    struct metric_set *set = NULL;
    struct str key;

    if (m->by_key.n >= m->max_sets)
        return NULL;
    print_labels(rec, tags, &text, attributes);
    set = ARENA_NEW(&m->arena, struct metric_set);
    if (!set || !keep(&m->arena, &m->key, &key) || !keep(&m->arena, &text, &set->text) ||
        !keep(&m->arena, &attributes[0], &set->attributes[0]) ||
        !keep(&m->arena, &attributes[1], &set->attributes[1]))
        set = NULL;
    if (set && rec->kind == RECORD_HTTP) {
        set->histograms = arena_array(&m->arena, ISTIO_HISTOGRAMS, sizeof(*set->histograms));
        set = set->histograms ? set : NULL;
    }
    if (set && strmap_put(&m->by_key, key, set, NULL) < 0)
        set = NULL;
    if (set) {
        *m->end = set;
        m->end = &set->next;
    }
    buf_free(&text);
    buf_free(&attributes[0]);
    buf_free(&attributes[1]);
    return set;
}

static void mark_changed(struct metrics *m, struct metric_set *set)
{
    if (set->is_changed)
        return;
    set->is_changed = true;
    set->next_changed = NULL;
    *m->end_changed = set;
    m->end_changed = &set->next_changed;
}

/* Just before the first increment: when the request began, but after all that was reported, so that the increment
 * belongs to the time since then, and before now, so that there is a time between. */
static int64_t start_of(const struct metrics *m, const struct record *rec, int64_t now_ns)
{
    enum { MS = 1000000 };
    int64_t start = rec->log.start_ns;

    if (start <= m->taken_ns)
        start = m->taken_ns + MS;
    return start > now_ns - MS ? now_ns - MS : start;
}

/* A policy's bits are in the order of Istio's metrics. */
_Static_assert((int)TELEMETRY_METRICS == (int)ISTIO_METRICS && (int)TELEMETRY_TCP_OPENED == (int)ISTIO_TCP_OPENED &&
               (int)TELEMETRY_GRPC_REQUESTS == (int)ISTIO_REQUEST_MESSAGES, "a bit for each metric");

static bool is_off(const struct record *rec, enum istio_metric metric)
{
    return rec->metrics_off & 1u << metric;
}

static void add(struct metric_set *set, const struct record *rec, enum istio_metric metric, uint64_t by, int64_t start)
{
    if (by == 0 || is_off(rec, metric))
        return;
    if (set->starts[metric] == 0)
        set->starts[metric] = start;
    set->counters[metric] += by;
}

static void observe(struct metric_set *set, const struct record *rec, enum istio_metric metric, double v,
                    int64_t start)
{
    struct histogram *h = &set->histograms[metric - ISTIO_DURATION];
    size_t i = 0;

    if (is_off(rec, metric))
        return;
    if (set->starts[metric] == 0)
        set->starts[metric] = start;
    while (i < ISTIO_BOUNDS && v > istio_bounds[i])
        i++;
    h->buckets[i]++;
    h->count++;
    h->sum += v;
}

static double duration_ms(const struct access_log *l)
{
    return l->duration_us > 0 ? (double)l->duration_us / 1000 : 0;
}

static void keep_exemplar(struct exemplar *x, const struct access_log *l, int64_t now_ns)
{
    enum { SECOND = 1000000000 };

    if (l->trace_id.n != sizeof(x->trace_id) || l->span_id.n != sizeof(x->span_id) ||
        (x->time_ns && now_ns - x->time_ns < SECOND))
        return;
    memcpy(x->trace_id, l->trace_id.p, sizeof(x->trace_id));
    memcpy(x->span_id, l->span_id.p, sizeof(x->span_id));
    x->time_ns = now_ns;
    x->ms = duration_ms(l);
    x->is_new = true;
}

static void record_http(struct metric_set *set, const struct record *rec, int64_t start, int64_t now_ns)
{
    if (!rec->no_span)
        keep_exemplar(&set->exemplar, &rec->log, now_ns);
    add(set, rec, ISTIO_REQUESTS, 1, start);
    observe(set, rec, ISTIO_DURATION, duration_ms(&rec->log), start);
    observe(set, rec, ISTIO_REQUEST_BYTES, (double)rec->request_bytes, start);
    observe(set, rec, ISTIO_RESPONSE_BYTES, (double)rec->response_bytes, start);
    add(set, rec, ISTIO_REQUEST_MESSAGES, rec->request_messages, start);
    add(set, rec, ISTIO_RESPONSE_MESSAGES, rec->response_messages, start);
}

/* Whether a policy leaves nothing to count: then there is no label set either. */
static bool is_uncounted(const struct record *rec)
{
    enum { TCP = (1 << ISTIO_TCP_END) - (1 << ISTIO_TCP_OPENED), ALL = (1 << ISTIO_METRICS) - 1 };
    uint32_t asked = rec->kind == RECORD_HTTP ? ALL & ~TCP : TCP;

    return (rec->metrics_off & asked) == asked;
}

/* Those of its metrics that have these labels. */
static void record_set(struct metrics *m, const struct record *rec, const struct metric_tags *tags, int64_t now_ns)
{
    struct metric_set *set = NULL;
    int64_t start = start_of(m, rec, now_ns);

    if (is_uncounted(rec) || (rec->kind == RECORD_TCP_BYTES && rec->sent_delta == 0 && rec->received_delta == 0))
        return;
    if (make_key(&m->key, rec) && (tags->n == 0 || add_tags(&m->key, tags)))
        set = strmap_get(&m->by_key, buf_view(&m->key));
    if (!set && !buf_failed(&m->key))
        set = add_set(m, rec, tags);
    if (!set) {
        m->overflow++;
        return;
    }
    if (rec->kind == RECORD_HTTP) {
        record_http(set, rec, start, now_ns);
    } else {
        add(set, rec, ISTIO_TCP_OPENED, rec->kind == RECORD_TCP_OPEN, start);
        add(set, rec, ISTIO_TCP_CLOSED, rec->kind == RECORD_TCP_CLOSE, start);
        add(set, rec, ISTIO_TCP_SENT, rec->sent_delta, start);
        add(set, rec, ISTIO_TCP_RECEIVED, rec->received_delta, start);
    }
    mark_changed(m, set);
}

void metrics_record(struct metrics *m, const struct record *rec, int64_t now_ns)
{
    struct metric_tags tags;
    struct record part;
    uint32_t left = ((1u << ISTIO_METRICS) - 1) & ~rec->metrics_off;

    tags.n = 0;
    if (rec->metric_tags.n == 0) {
        record_set(m, rec, &tags, now_ns);
        return;
    }
    part = *rec;
    while (left) {
        part.metrics_off = ~metric_tags_next(rec->metric_tags, &left, &tags);
        record_set(m, &part, &tags, now_ns);
    }
}

bool metrics_has_changed(const struct metrics *m)
{
    return m->first_changed || m->build_changed;
}

void metrics_touch_all(struct metrics *m)
{
    m->build_changed = true;
    for (struct metric_set *set = m->first; set; set = set->next)
        mark_changed(m, set);
}

static void print_histogram(struct buf *b, const char *name, const struct metric_set *set, const struct histogram *h)
{
    uint64_t below = 0;

    for (size_t i = 0; i <= ISTIO_BOUNDS; i++) {
        below += h->buckets[i];
        buf_printf(b, "%s_bucket{%.*s,le=\"", name, STR_ARG(set->text));
        if (i < ISTIO_BOUNDS)
            buf_double(b, istio_bounds[i]);
        else
            buf_puts(b, "+Inf");
        buf_printf(b, "\"} %llu\n", (unsigned long long)below);
    }
    buf_printf(b, "%s_sum{%.*s} ", name, STR_ARG(set->text));
    buf_double(b, h->sum);
    buf_printf(b, "\n%s_count{%.*s} %llu\n", name, STR_ARG(set->text), (unsigned long long)h->count);
}

void metrics_text(const struct metrics *m, struct buf *b)
{
    for (int i = 0; i < ISTIO_METRICS; i++) {
        const struct istio_metric_info *info = &istio_metrics[i];

        buf_printf(b, "# HELP %s %s\n# TYPE %s %s\n", info->name, info->help, info->name,
                   info->is_histogram ? "histogram" : "counter");
        for (const struct metric_set *set = m->first; set; set = set->next) {
            if (set->starts[i] == 0)
                continue;
            if (info->is_histogram)
                print_histogram(b, info->name, set, &set->histograms[i - ISTIO_DURATION]);
            else
                buf_printf(b, "%s{%.*s} %llu\n", info->name, STR_ARG(set->text),
                           (unsigned long long)set->counters[i]);
        }
    }
}

void metrics_stats(const struct metrics *m, struct buf *b)
{
    for (int i = 0; i < ISTIO_METRICS; i++)
        for (const struct metric_set *set = m->first; set; set = set->next)
            if (set->starts[i] && !istio_metrics[i].is_histogram)
                buf_printf(b, "%s{%.*s}: %llu\n", istio_metrics[i].name, STR_ARG(set->text),
                           (unsigned long long)set->counters[i]);
}

static void put_times(struct buf *b, int64_t start_ns, int64_t now_ns)
{
    pb_put_fixed64(b, 2, (uint64_t)start_ns);
    pb_put_fixed64(b, 3, (uint64_t)now_ns);
}

/* An Exemplar as field `number` of a point. */
static void put_exemplar(struct buf *b, uint32_t number, const struct exemplar *x, double value)
{
    size_t mark;

    if (!x->is_new)
        return;
    mark = pb_open(b, number);
    pb_put_fixed64(b, 2, (uint64_t)x->time_ns);
    pb_put_double(b, 3, value);
    otlp_id(b, 4, (struct str){ x->span_id, sizeof(x->span_id) }, sizeof(x->span_id) / 2);
    otlp_id(b, 5, (struct str){ x->trace_id, sizeof(x->trace_id) }, sizeof(x->trace_id) / 2);
    pb_close(b, mark);
}

static void counter_point(struct buf *b, const struct metric_set *set, int metric, int64_t now_ns)
{
    size_t point = pb_open(b, 1);

    put_times(b, set->starts[metric], now_ns);
    pb_put_fixed64(b, 6, set->counters[metric]);
    buf_str(b, set->attributes[0]);
    if (metric == ISTIO_REQUESTS)
        put_exemplar(b, 5, &set->exemplar, 1);
    pb_close(b, point);
}

static void histogram_point(struct buf *b, const struct metric_set *set, int metric, int64_t now_ns)
{
    const struct histogram *h = &set->histograms[metric - ISTIO_DURATION];
    size_t point = pb_open(b, 1);

    put_times(b, set->starts[metric], now_ns);
    pb_put_fixed64(b, 4, h->count);
    pb_put_double(b, 5, h->sum);
    /* Packed fixed64 and double: little-endian on the wire and here. */
    pb_put_str(b, 6, (struct str){ (const char *)h->buckets, sizeof(h->buckets) });
    pb_put_str(b, 7, (struct str){ (const char *)istio_bounds, sizeof(istio_bounds) });
    buf_str(b, set->attributes[1]);
    if (metric == ISTIO_DURATION)
        put_exemplar(b, 8, &set->exemplar, set->exemplar.ms);
    pb_close(b, point);
}

static size_t add_points(struct metrics *m, const struct metric_set *set, int64_t now_ns)
{
    size_t n = 0;

    for (int i = 0; i < ISTIO_METRICS; i++) {
        if (set->starts[i] == 0)
            continue;
        if (istio_metrics[i].is_histogram)
            histogram_point(&m->points[i], set, i, now_ns);
        else
            counter_point(&m->points[i], set, i, now_ns);
        n++;
    }
    return n;
}

/* Metric { 1: name, 2: description, 5: gauge | 7: sum | 9: histogram { 1: points, 2: temporality, 3: monotonic } } */
static void put_metric(struct buf *b, const char *name, const char *help, uint32_t form, struct str points)
{
    enum { GAUGE = 5, SUM = 7, CUMULATIVE = 2 };
    size_t metric = pb_open(b, OTLP_RECORD), data;

    pb_put_str(b, 1, str_of(name));
    pb_put_str(b, 2, str_of(help));
    data = pb_open(b, form);
    buf_str(b, points);
    if (form != GAUGE)
        pb_put_varint(b, 2, CUMULATIVE);
    if (form == SUM)
        pb_put_varint(b, 3, true);
    pb_close(b, data);
    pb_close(b, metric);
}

static void put_build(struct buf *b, int64_t now_ns)
{
    struct buf point = BUF_INIT(1024);
    size_t mark = pb_open(&point, 1);

    pb_put_fixed64(&point, 3, (uint64_t)now_ns);
    pb_put_double(&point, 4, 1);
    otlp_text(&point, 7, STR("component"), STR("proxy"));
    otlp_text(&point, 7, STR("tag"), STR(VIGLA_VERSION));
    pb_close(&point, mark);
    put_metric(b, "istio_build", "Version of the proxy.", 5, buf_view(&point));
    b->failed |= point.failed;
    buf_free(&point);
}

static size_t points_bytes(const struct metrics *m)
{
    size_t n = 0;

    for (int i = 0; i < ISTIO_METRICS; i++)
        n += m->points[i].n;
    return n;
}

size_t metrics_batch(struct metrics *m, int64_t now_ns, size_t max_bytes, struct buf *records)
{
    struct metric_set *set = m->first_changed;
    size_t n = 0;

    for (int i = 0; i < ISTIO_METRICS; i++)
        buf_reset(&m->points[i]);
    for (; set && n < MOST_POINTS && points_bytes(m) < max_bytes; set = set->next_changed)
        n += add_points(m, set, now_ns);
    for (int i = 0; i < ISTIO_METRICS; i++) {
        if (m->points[i].n)
            put_metric(records, istio_metrics[i].name, istio_metrics[i].help, istio_metrics[i].is_histogram ? 9 : 7,
                       buf_view(&m->points[i]));
        records->failed |= m->points[i].failed;
    }
    if (m->build_changed) {
        put_build(records, now_ns);
        n++;
    }
    m->build_in_batch = m->build_changed;
    m->not_in_batch = set;
    return buf_failed(records) ? 0 : n;
}

void metrics_taken(struct metrics *m, int64_t now_ns)
{
    while (m->first_changed != m->not_in_batch) {
        m->first_changed->is_changed = m->first_changed->exemplar.is_new = false;
        m->first_changed = m->first_changed->next_changed;
    }
    if (!m->first_changed)
        m->end_changed = &m->first_changed;
    if (m->build_in_batch)
        m->build_changed = false;
    m->taken_ns = now_ns;
}
