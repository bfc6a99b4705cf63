/* red_counts.c: requests to the increments of Istio's metrics.
 *
 * Problem    A batch has thousands of rows of some hundred label sets, and a label set has 67 series of 26 labels.
 * Idea       As in the bundled proxy (proxy/metrics.c): a set is found by one probe with a key made of the raw texts;
 *            its labels are put together once for each batch, and a series' are those with its name and its `le`
 *            between.
 * Invariant  The increment of istio_requests_total, or of istio_tcp_connections_opened_total, is the number of
 *            requests that were added with these labels.
 *
 * A histogram has only the requests whose value is known: a duration that a log does not tell is not 0 ms. All its
 * buckets are given, those without an increment too: a bucket that is missing would be taken for none. */

#include "collector/red-internal.h"

enum { LONGEST_KEY = 64 << 10, BUCKETS = ISTIO_BOUNDS + 1, MOST_LABELS = ISTIO_LABELS + 3 /* __name__, job, le */ };

struct red_set {
    struct red_set *next;
    struct str label[ACCESS_LOG_NFIELDS];
    bool is_http;
    uint64_t requests, sent_bytes, received_bytes;
    struct red_histogram {
        uint64_t buckets[BUCKETS], count; /* each bucket for itself */
        double sum;
    } histograms[ISTIO_HISTOGRAMS];
};

void red_counts_init(struct red_counts *c, const struct red *r, struct batch *b, const char *job)
{
    *c = (struct red_counts){
        .red = r, .batch = b, .job = str_of(job), .by_key = STRMAP_INIT, .key = BUF_INIT(LONGEST_KEY)};
    c->last = &c->first;
}

void red_counts_fini(struct red_counts *c)
{
    strmap_free(&c->by_key);
    buf_free(&c->key);
}

/* --- adding --- */

/* The raw texts, each behind its length: equal keys are equal label sets. */
static bool make_key(struct buf *key, const struct red_request *q)
{
    buf_reset(key);
    buf_putc(key, q->is_http ? 'h' : 't');
    for (size_t i = 0; i < ISTIO_LABELS; i++) {
        struct str s = q->label[istio_labels[i].field];
        uint32_t n = (uint32_t)s.n;
        char *to;

        if (istio_labels[i].http_only && !q->is_http)
            continue;
        to = s.n <= LONGEST_KEY ? buf_reserve(key, sizeof(n) + s.n) : NULL;
        if (!to)
            return false;
        memcpy(to, &n, sizeof(n));
        if (n)
            memcpy(to + sizeof(n), s.p, n);
        key->n += sizeof(n) + n;
    }
    return true;
}

static struct red_set *new_set(struct red_counts *c, const struct red_request *q)
{
    struct arena *a = c->batch->arena;
    struct red_set *s = ARENA_NEW(a, struct red_set);
    struct str key = arena_str(a, buf_view(&c->key));

    if (!s || !key.p || strmap_put(&c->by_key, key, s, NULL) < 0)
        return NULL;
    memcpy(s->label, q->label, sizeof(s->label));
    s->label[ACCESS_LOG_response_code] = arena_str(a, q->label[ACCESS_LOG_response_code]);
    if (!s->label[ACCESS_LOG_response_code].p)
        return NULL;
    s->is_http = q->is_http;
    *c->last = s;
    c->last = &s->next;
    return s;
}

static void observe(struct red_histogram *h, double v)
{
    size_t i = 0;

    if (v < 0)
        return;
    while (i < ISTIO_BOUNDS && v > istio_bounds[i])
        i++;
    h->buckets[i]++;
    h->count++;
    h->sum += v;
}

int red_counts_add(struct red_counts *c, const struct red_request *q)
{
    struct red_set *s;

    if (!make_key(&c->key, q))
        return ERR_NOMEM;
    s = strmap_get(&c->by_key, buf_view(&c->key));
    if (!s && !(s = new_set(c, q)))
        return ERR_NOMEM;
    s->requests++;
    for (size_t i = 0; q->is_http && i < ISTIO_HISTOGRAMS; i++)
        observe(&s->histograms[i], q->observed[i]);
    s->sent_bytes += q->sent_bytes > 0 ? (uint64_t)q->sent_bytes : 0;
    s->received_bytes += q->received_bytes > 0 ? (uint64_t)q->received_bytes : 0;
    return 0;
}

/* --- series --- */

/* A set's labels in order, without __name__ and `le`, and where `le` belongs. */
struct base {
    struct label v[ISTIO_LABELS + 1];
    size_t n, le;
};

static void base_labels(const struct red_counts *c, const struct red_set *s, struct base *out)
{
    out->n = out->le = 0;
    for (size_t i = 0; i <= ISTIO_LABELS; i++) {
        struct str name = c->red->order[i].name, value = c->job;

        if (c->red->order[i].at < ISTIO_LABELS) {
            const struct istio_label *l = &istio_labels[c->red->order[i].at];

            if (l->http_only && !s->is_http)
                continue;
            value = s->label[l->field].n ? s->label[l->field] : l->missing;
        }
        if (value.n == 0)
            continue;
        out->le += str_cmp(name, STR("le")) < 0;
        out->v[out->n++] = (struct label){name, value};
    }
}

/* le NULL: without one. */
static int put_series(struct red_counts *c, const struct base *base, struct str name, const char *le, double by)
{
    struct arena *a = c->batch->arena;
    struct label *v = arena_alloc(a, MOST_LABELS * sizeof(*v));
    struct sample *sample = ARENA_NEW(a, struct sample);
    struct batch_series s = {.labels = {v, 0}, .samples = sample, .n = 1, .increments = true};
    size_t before = le ? base->le : base->n, n = 0;

    if (!v || !sample || !name.p)
        return ERR_NOMEM;
    v[n++] = (struct label){STR("__name__"), name};
    memcpy(v + n, base->v, before * sizeof(*v));
    n += before;
    if (le)
        v[n++] = (struct label){STR("le"), str_of(le)};
    memcpy(v + n, base->v + before, (base->n - before) * sizeof(*v));
    s.labels.n = n + base->n - before;
    sample->v = by;
    return batch_add_series(c->batch, &s);
}

static int put_histogram(struct red_counts *c, const struct base *base, enum istio_metric m,
                         const struct red_histogram *h)
{
    struct arena *a = c->batch->arena;
    struct str bucket = arena_printf(a, "%s_bucket", istio_metrics[m].name);
    uint64_t below = 0;
    int rc = 0;

    if (h->count == 0)
        return 0;
    for (size_t i = 0; rc == 0 && i < BUCKETS; i++) {
        below += h->buckets[i];
        rc = put_series(c, base, bucket, c->red->le[i], (double)below);
    }
    if (rc == 0)
        rc = put_series(c, base, arena_printf(a, "%s_sum", istio_metrics[m].name), NULL, h->sum);
    return rc < 0 ? rc
                  : put_series(c, base, arena_printf(a, "%s_count", istio_metrics[m].name), NULL, (double)h->count);
}

static int put_counter(struct red_counts *c, const struct base *base, enum istio_metric m, uint64_t by)
{
    return put_series(c, base, str_of(istio_metrics[m].name), NULL, (double)by);
}

static int put_set(struct red_counts *c, const struct red_set *s)
{
    struct base base;
    int rc = 0;

    base_labels(c, s, &base);
    if (!s->is_http) {
        if ((rc = put_counter(c, &base, ISTIO_TCP_OPENED, s->requests)) < 0 ||
            (rc = put_counter(c, &base, ISTIO_TCP_CLOSED, s->requests)) < 0 ||
            (rc = put_counter(c, &base, ISTIO_TCP_SENT, s->sent_bytes)) < 0)
            return rc;
        return put_counter(c, &base, ISTIO_TCP_RECEIVED, s->received_bytes);
    }
    rc = put_counter(c, &base, ISTIO_REQUESTS, s->requests);
    for (size_t i = 0; rc == 0 && i < ISTIO_HISTOGRAMS; i++)
        rc = put_histogram(c, &base, (enum istio_metric)(ISTIO_DURATION + i), &s->histograms[i]);
    return rc;
}

static int put_metadata(struct batch *b)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < ISTIO_METRICS; i++) {
        const struct istio_metric_info *m = &istio_metrics[i];
        const struct batch_metadata d = {str_of(m->name), m->is_histogram ? STR("histogram") : STR("counter"),
                                         str_of(m->help), STR_NULL};

        rc = batch_add_metadata(b, &d);
    }
    return rc;
}

int red_counts_put(struct red_counts *c)
{
    int rc = c->first ? put_metadata(c->batch) : 0;

    for (const struct red_set *s = c->first; rc == 0 && s; s = s->next)
        rc = put_set(c, s);
    return rc;
}
