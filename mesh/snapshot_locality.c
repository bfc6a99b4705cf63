/* snapshot_locality.c: near endpoints before far ones: a locality's share as weights, failover as priorities.
 *
 * Shares     A rule of `distribute` whose `from` is where the proxy runs gives each place it names that part of the
 *            whole, which its endpoints divide by their own weights; other endpoints are left out.
 * Failover   Only where outlier detection tells who ails: by the labels of failoverPriority that endpoint and proxy
 *            have in common, counted from the first; else by subzone, zone, region, `failover`'s region, anywhere.
 *            Priorities are made dense, as Envoy wants them. Without a localityLbSetting this is Istio's default. */
#include "mesh/locality-internal.h"
#include "mesh/snapshot-internal.h"

enum { SHARE = 1000000, MOST_PRIORITIES = 64 };

/* ---- shares ---- */

static const struct dr_distribute *find_distribute(const struct draft *d, const struct dr_locality *l)
{
    for (size_t i = 0; i < l->distribute.n; i++)
        if (locality_matches(&d->out->self, l->distribute.v[i].from.n ? l->distribute.v[i].from : STR("*")))
            return &l->distribute.v[i];
    return NULL;
}

static const struct named_number *find_share(const struct dr_distribute *r, const struct workload *w)
{
    for (size_t i = 0; i < r->to.n; i++)
        if (locality_matches(w, r->to.v[i].at->key))
            return &r->to.v[i];
    return NULL;
}

static uint64_t common_divisor(uint64_t a, uint64_t b)
{
    while (b) {
        uint64_t rest = a % b;

        a = b;
        b = rest;
    }
    return a;
}

/* Small numbers again where they have a common measure. */
static void reduce(struct endpoint *v, size_t n)
{
    uint64_t by = 0;

    for (size_t i = 0; i < n; i++)
        by = common_divisor(by, v[i].weight);
    for (size_t i = 0; by > 1 && i < n; i++)
        v[i].weight = (uint32_t)(v[i].weight / by);
}

/* The part of `whole` that weight `w` of `sum` is, at least 1. */
static uint32_t part(uint64_t whole, uint32_t w, uint64_t sum)
{
    uint64_t v = whole * w / sum;

    return v ? (uint32_t)v : 1;
}

static void distribute(struct draft *d, struct placed *p, const struct dr_distribute *r)
{
    uint64_t *sums = draft_alloc(d, r->to.n, sizeof(*sums));
    size_t n = 0;

    for (size_t i = 0; sums && i < p->n; i++) {
        const struct named_number *share = find_share(r, p->v[i].workload);

        if (share)
            sums[share - r->to.v] += p->v[i].weight;
    }
    for (size_t i = 0; sums && i < p->n; i++) {
        const struct named_number *share = find_share(r, p->v[i].workload);

        if (!share)
            continue;
        p->v[n] = p->v[i];
        p->v[n++].weight = part((uint64_t)share->value * SHARE, p->v[i].weight, sums[share - r->to.v]);
    }
    p->n = n;
    reduce(p->v, n);
}

/* ---- failover ---- */

/* How many of the labels, from the first, the endpoint has as the proxy has them, or as they are given. */
static uint32_t labels_in_common(const struct draft *d, const struct dr_locality *l, const struct workload *w,
                                 struct labels labels)
{
    for (size_t i = 0; i < l->priority.n; i++) {
        struct str wanted = l->priority.v[i], key = str_cut(&wanted, '=');

        if (!wanted.p)
            wanted = locality_label(&d->out->self, d->labels, key);
        if (!str_eq(locality_label(w, labels, key), wanted))
            return (uint32_t)i;
    }
    return (uint32_t)l->priority.n;
}

static uint32_t distance(const struct draft *d, const struct dr_locality *l, const struct workload *w)
{
    const struct workload *self = &d->out->self;

    if (str_eq(self->region, w->region) && str_eq(self->zone, w->zone))
        return !str_eq(self->subzone, w->subzone);
    if (str_eq(self->region, w->region))
        return 2;
    for (size_t i = 0; l && i < l->failover.n; i++)
        if (str_eq(l->failover.v[i].from, self->region) && str_eq(l->failover.v[i].to, w->region))
            return 3;
    return 4;
}

static void make_dense(struct placed *p)
{
    bool used[MOST_PRIORITIES] = { false };
    uint32_t dense[MOST_PRIORITIES], n = 0;

    for (size_t i = 0; i < p->n; i++)
        used[p->v[i].priority] = true;
    for (size_t i = 0; i < MOST_PRIORITIES; i++) {
        dense[i] = n;
        n += used[i];
    }
    for (size_t i = 0; i < p->n; i++)
        p->v[i].priority = dense[p->v[i].priority];
}

static void set_priorities(const struct draft *d, struct placed *p, const struct dr_locality *l)
{
    for (size_t i = 0; i < p->n; i++) {
        const struct workload *w = p->v[i].workload;
        uint32_t at = l && l->priority.n ? (uint32_t)l->priority.n - labels_in_common(d, l, w, p->labels[i])
                                         : distance(d, l, w);

        p->v[i].priority = at < MOST_PRIORITIES ? at : MOST_PRIORITIES - 1;
    }
    make_dense(p);
}

void draft_place_endpoints(struct draft *d, struct placed *p, const struct policy_parts *policy)
{
    const struct dr_locality *l = policy->balancer ? policy->balancer->locality : NULL;
    const struct dr_distribute *r = l ? find_distribute(d, l) : NULL;

    if (l && check_get(l->at, "enabled") && !l->enabled)
        return;
    if (l && l->distribute.n) {
        if (r)
            distribute(d, p, r);
        return;
    }
    if (policy->outlier)
        set_priorities(d, p, l);
}
