/* latency.c: cumulative buckets, and quantiles from them as Prometheus computes them.
 *
 * The rank q·n lies in the first bucket whose count reaches it; inside the bucket observations are taken to be spread
 * evenly. In the +Inf bucket the answer is the largest finite bound. Source: prometheus.io/docs, histogram_quantile. */
#include "graph/graph-internal.h"

#include <math.h>

int latency_add(struct histogram *h, struct arena *a, double le, double count)
{
    size_t i = h->n, cap = h->cap;

    if (isnan(le))
        return 0;
    while (i > 0 && h->le[i - 1] > le)
        i--;
    if (i > 0 && h->le[i - 1] == le) {
        h->count[i - 1] += count;
        return 0;
    }
    if (arena_grow(a, &h->le, &cap, h->n + 1, sizeof(*h->le)) < 0 ||
        arena_grow(a, &h->count, &h->cap, h->n + 1, sizeof(*h->count)) < 0)
        return ERR_NOMEM;
    memmove(h->le + i + 1, h->le + i, (h->n - i) * sizeof(*h->le));
    memmove(h->count + i + 1, h->count + i, (h->n - i) * sizeof(*h->count));
    h->le[i] = le;
    h->count[i] = count;
    h->n++;
    return 0;
}

int latency_merge(struct histogram *to, struct arena *a, const struct histogram *from)
{
    for (size_t i = 0; i < from->n; i++)
        if (latency_add(to, a, from->le[i], from->count[i]) < 0)
            return ERR_NOMEM;
    return 0;
}

double latency_quantile(const struct histogram *h, double q)
{
    double total = 0, below = 0, here, rank;
    size_t i;

    if (h->n < 2 || !isinf(h->le[h->n - 1]))
        return NAN;
    for (i = 0; i < h->n; i++) /* counts of two proxies may be a flush apart: cumulative all the same */
        total = h->count[i] > total ? h->count[i] : total;
    if (!(total > 0))
        return NAN;
    rank = q * total;
    for (i = 0, here = 0; i < h->n - 1; i++) {
        here = h->count[i] > here ? h->count[i] : here;
        if (here >= rank)
            break;
        below = here;
    }
    if (i == h->n - 1)
        return h->le[h->n - 2];
    if (i == 0 && h->le[0] <= 0)
        return h->le[0];
    if (!(here > below))
        return h->le[i];
    return (i ? h->le[i - 1] : 0) + (h->le[i] - (i ? h->le[i - 1] : 0)) * ((rank - below) / (here - below));
}

struct quantiles latency_quantiles(const struct histogram *h)
{
    return (struct quantiles){ latency_quantile(h, 0.50), latency_quantile(h, 0.95), latency_quantile(h, 0.99) };
}
