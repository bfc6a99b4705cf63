/* red_counts.c: requests to the increments of Istio's metrics.
 *
 * A batch has thousands of rows of some hundred label sets: they are summed up by label set first, and then each set's
 * sums are put into the batch as increments of its series (red_sets.c).
 *
 * Invariant  The increment of istio_requests_total, or of istio_tcp_connections_opened_total, is the number of
 *            requests that were added with these labels.
 *
 * A histogram has only the requests whose value is known: a duration that a log does not tell is not 0 ms. All its
 * buckets are given, those without an increment too: a bucket that is missing would be taken for none. */

#include "collector/red-internal.h"

enum { LONGEST_KEY = 64 << 10 };

struct red_sum {
    struct red_sum *next;
    struct red_set *set;
    uint64_t requests, sent_bytes, received_bytes;
    uint64_t awaited, found; /* callers */
    struct red_histogram {
        uint64_t buckets[RED_BUCKETS], count; /* each bucket for itself */
        double sum;
    } histograms[ISTIO_HISTOGRAMS];
};

void red_counts_init(struct red_counts *c, struct red *r, struct batch *b, const char *job)
{
    *c = (struct red_counts){.red = r,
                             .batch = b,
                             .job = job,
                             .sets = red_sets_take(r),
                             .by_key = STRMAP_INIT,
                             .key = BUF_INIT(LONGEST_KEY)};
    c->last = &c->first;
}

void red_counts_fini(struct red_counts *c)
{
    strmap_free(&c->by_key);
    buf_free(&c->key);
    red_sets_drop(c->sets);
}

/* --- adding --- */

/* The raw texts, each behind its length: equal keys are equal label sets. */
static bool make_key(const struct red_counts *c, struct buf *key, const struct red_request *q)
{
    buf_reset(key);
    buf_puts(key, c->job);
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

static struct red_sum *sum_of(struct red_counts *c, struct red_set *set)
{
    struct red_sum *s = set ? strmap_get(&c->by_key, set->key) : NULL;

    if (s || !set)
        return s;
    s = ARENA_NEW(c->batch->arena, struct red_sum);
    if (!s || strmap_put(&c->by_key, set->key, s, NULL) < 0)
        return NULL;
    s->set = set;
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

struct red_set *red_counts_add(struct red_counts *c, const struct red_request *q)
{
    struct red_sum *s;

    if (!make_key(c, &c->key, q))
        return NULL;
    s = strmap_get(&c->by_key, buf_view(&c->key));
    if (!s)
        s = sum_of(c, red_sets_get(c->sets, c->red, c->batch->arena, buf_view(&c->key), q, c->job));
    if (!s)
        return NULL;
    s->requests++;
    for (size_t i = 0; q->is_http && i < ISTIO_HISTOGRAMS; i++)
        observe(&s->histograms[i], q->observed[i]);
    s->sent_bytes += q->sent_bytes > 0 ? (uint64_t)q->sent_bytes : 0;
    s->received_bytes += q->received_bytes > 0 ? (uint64_t)q->received_bytes : 0;
    return s->set;
}

int red_counts_awaited(struct red_counts *c, struct red_set *set)
{
    struct red_sum *s = sum_of(c, set);

    if (!s)
        return ERR_NOMEM;
    s->awaited++;
    return 0;
}

int red_counts_found(struct red_counts *c, struct red_set *set)
{
    struct red_sum *s = sum_of(c, set);

    if (!s)
        return ERR_NOMEM;
    s->found++;
    return 0;
}

/* --- series --- */

/* One set's share of the batch, which has room for it. */
struct putting {
    struct batch *batch;
    const struct red *red;
    const struct red_set *set;
    struct sample *samples;
    uint32_t ids[RED_SERIES];
};

static int put_series(struct putting *p, size_t which, double by)
{
    struct sample *sample = p->samples++;
    const struct batch_series s = {.labels = p->set->labels,
                                   .own = &p->red->own[which],
                                   .id = p->ids[which],
                                   .samples = sample,
                                   .n = 1,
                                   .increments = true};

    *sample = (struct sample){0, by};
    return batch_add_series(p->batch, &s);
}

static int put_histogram(struct putting *p, size_t which, const struct red_histogram *h)
{
    uint64_t below = 0;
    int rc = 0;

    if (h->count == 0)
        return 0;
    for (size_t i = 0; rc == 0 && i < RED_BUCKETS; i++) {
        below += h->buckets[i];
        rc = put_series(p, which + i, (double)below);
    }
    if (rc == 0)
        rc = put_series(p, which + RED_BUCKETS, h->sum);
    return rc < 0 ? rc : put_series(p, which + RED_BUCKETS + 1, (double)h->count);
}

static int put_tcp(struct putting *p, const struct red_sum *s)
{
    const uint64_t by[] = {s->requests, s->requests, s->sent_bytes, s->received_bytes}; /* opened, closed, sent, … */
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < sizeof(by) / sizeof(by[0]); i++)
        rc = put_series(p, RED_TCP + i, (double)by[i]);
    return rc;
}

/* Both or none: who takes one off the other finds both. */
static int put_callers(struct putting *p, const struct red_sum *s)
{
    int rc = s->awaited + s->found ? put_series(p, RED_AWAITED, (double)s->awaited) : 0;

    return rc == 0 && s->awaited + s->found ? put_series(p, RED_FOUND, (double)s->found) : rc;
}

static int put_http(struct putting *p, const struct red_sum *s)
{
    int rc = s->requests ? put_series(p, RED_REQUESTS, (double)s->requests) : 0;

    if (rc == 0)
        rc = put_callers(p, s);
    for (size_t i = 0; rc == 0 && i < ISTIO_HISTOGRAMS; i++)
        rc = put_histogram(p, RED_HISTOGRAM_SERIES + i * RED_HISTOGRAM, &s->histograms[i]);
    return rc;
}

static int put_sum(const struct red_counts *c, const struct red_sum *s)
{
    struct putting p = {.batch = c->batch, .red = c->red, .set = s->set};

    p.samples = arena_alloc(c->batch->arena, RED_SERIES * sizeof(*p.samples));
    if (!p.samples)
        return ERR_NOMEM;
    red_sets_numbers(c->sets, c->red, s->set, p.ids);
    return s->set->is_http ? put_http(&p, s) : put_tcp(&p, s);
}

static int put_metadata(struct batch *b)
{
    static const struct batch_metadata own[] = {
        {STR_INIT(SPAN_CALLERS_AWAITED), STR_INIT("counter"),
         STR_INIT("Requests that spans tell, counted before their caller's span came."), STR_NULL},
        {STR_INIT(SPAN_CALLERS_FOUND), STR_INIT("counter"),
         STR_INIT("Of these, requests whose caller has told of them since."), STR_NULL},
    };
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < ISTIO_TCP_END; i++) { /* gRPC's messages stand in no log */
        const struct istio_metric_info *m = &istio_metrics[i];
        const struct batch_metadata d = {str_of(m->name), m->is_histogram ? STR("histogram") : STR("counter"),
                                         str_of(m->help), STR_NULL};

        rc = batch_add_metadata(b, &d);
    }
    for (size_t i = 0; rc == 0 && i < sizeof(own) / sizeof(own[0]); i++)
        rc = batch_add_metadata(b, &own[i]);
    return rc;
}

int red_counts_put(struct red_counts *c)
{
    int rc;

    if (!c->first)
        return 0;
    rc = red_sets_lend(c->sets, c->batch->arena);
    if (rc == 0)
        rc = batch_reserve_series(c->batch, c->by_key.n * RED_SERIES);
    if (rc == 0)
        rc = put_metadata(c->batch);
    for (const struct red_sum *s = c->first; rc == 0 && s; s = s->next)
        rc = put_sum(c, s);
    return rc;
}
