/* ledger.c: two proxies see one request; it is counted once.
 *
 * Problem    The source's sidecar and the destination's both count a request. Kiali takes the first report of (metric,
 *            source, destination, code, flags, host) and drops the second. That doubles a request on whose end the two
 *            disagree (a timeout is "504 UT" to one and "0 DC" to the other), and it shows the older of two counts while
 *            one proxy has not sent its last batch yet, or never will because it was killed.
 * Idea       Between one source and one destination, let a report that both make count as the larger of the two. What
 *            only the destination says counts as it is. What only the source says counts
 *              – in full when its flags tell that nothing was sent on (UH, UF, NR …: nobody else can have seen it),
 *              – else as far as the source has counted more than all of the above: the rest are requests that the
 *                destination has counted under another name.
 * Invariant  total = not sent + max(sent by the source's count, seen by the destination's count and the shared ones).
 *            Where the two agree, as in Kiali's own cases, this is Kiali's result.
 * Price      Of two windows that meet between the flushes of the two proxies each may claim a request of the last flush.
 *
 * Histograms are cumulative and cannot be mixed: a destination's, where there is one, else the source's. */
#include "graph/graph-internal.h"

#include "base/buf.h"

struct ledger_entry {
    struct ledger_entry *next;
    struct report r;
    double value[2]; /* by the source, by the destination */
    bool said[2];
};

struct ledger_pair {
    struct ledger_pair *next;
    struct ledger_entry *first, **last;
    bool is_histogram;
};

void ledger_init(struct ledger *l, struct arena *a)
{
    *l = (struct ledger){ .a = a, .pairs = STRMAP_INIT, .entries = STRMAP_INIT };
    l->last = &l->first;
}

void ledger_fini(struct ledger *l)
{
    strmap_free(&l->pairs);
    strmap_free(&l->entries);
}

/* Length and bytes, so that no two lists of fields look the same. */
static void put_field(struct buf *b, struct str s)
{
    buf_put(b, &s.n, sizeof(s.n));
    buf_str(b, s);
}

static void put_party(struct buf *b, const struct party *p)
{
    const struct str *f[] = { &p->cluster, &p->ns, &p->workload, &p->app, &p->version, &p->service_ns, &p->service };

    for (size_t i = 0; i < sizeof(f) / sizeof(f[0]); i++)
        put_field(b, *f[i]);
}

static struct ledger_pair *find_pair(struct ledger *l, struct str key, const struct report *r)
{
    struct ledger_pair *p = strmap_get(&l->pairs, key);

    if (p)
        return p;
    p = ARENA_NEW(l->a, struct ledger_pair);
    key = arena_str(l->a, key);
    if (!p || !key.p || strmap_put(&l->pairs, key, p, NULL) < 0)
        return NULL;
    p->last = &p->first;
    p->is_histogram = r->metric == METRIC_DURATION;
    *l->last = p;
    l->last = &p->next;
    return p;
}

static struct ledger_entry *find_entry(struct ledger *l, struct ledger_pair *p, struct str key, const struct report *r)
{
    struct ledger_entry *x = strmap_get(&l->entries, key);

    if (x)
        return x;
    x = ARENA_NEW(l->a, struct ledger_entry);
    key = arena_str(l->a, key);
    if (!x || !key.p || strmap_put(&l->entries, key, x, NULL) < 0)
        return NULL;
    x->r = *r;
    *p->last = x;
    p->last = &x->next;
    return x;
}

int ledger_add(struct ledger *l, const struct report *r)
{
    struct buf key = BUF_INIT(1 << 20);
    struct ledger_pair *p = NULL;
    struct ledger_entry *x = NULL;
    char kind[2] = { (char)r->metric, (char)r->protocol };

    buf_put(&key, kind, sizeof(kind));
    put_party(&key, &r->source);
    put_party(&key, &r->destination);
    if (!buf_failed(&key))
        p = find_pair(l, buf_view(&key), r);
    put_field(&key, r->code);
    put_field(&key, r->flags);
    put_field(&key, r->host);
    buf_put(&key, &r->le, sizeof(r->le));
    if (p && !buf_failed(&key))
        x = find_entry(l, p, buf_view(&key), r);
    buf_free(&key);
    if (!x)
        return ERR_NOMEM;
    x->value[r->by_destination] += r->value;
    x->said[r->by_destination] = true;
    return 0;
}

static double larger(double a, double b)
{
    return a > b ? a : b;
}

static void settle_counts(struct ledger_pair *p)
{
    double sent = 0, seen = 0, rest;

    for (struct ledger_entry *x = p->first; x; x = x->next) {
        bool only_source = !x->said[1];

        x->r.value = larger(x->value[0], x->value[1]);
        if (!only_source)
            seen += x->r.value;
        if (!(only_source && flags_not_sent(x->r.flags)))
            sent += x->value[0];
    }
    rest = larger(sent - seen, 0);
    for (struct ledger_entry *x = p->first; x; x = x->next) {
        if (x->said[1] || flags_not_sent(x->r.flags))
            continue;
        if (x->r.value > rest)
            x->r.value = rest;
        rest -= x->r.value;
    }
}

static void settle_histogram(struct ledger_pair *p)
{
    bool by_destination = false;

    for (struct ledger_entry *x = p->first; x; x = x->next)
        by_destination |= x->value[1] > 0;
    for (struct ledger_entry *x = p->first; x; x = x->next)
        x->r.value = x->value[by_destination];
}

int ledger_settle(struct ledger *l, int (*each)(void *arg, const struct report *r), void *arg)
{
    for (struct ledger_pair *p = l->first; p; p = p->next) {
        if (p->is_histogram)
            settle_histogram(p);
        else
            settle_counts(p);
        for (struct ledger_entry *x = p->first; x; x = x->next) {
            int rc = each(arg, &x->r);

            if (rc)
                return rc;
        }
    }
    return 0;
}
