/* snapshot_telemetry.c: what is told of a proxy's traffic, on each side: as a client and as a server.
 *
 * Three Telemetries have a say, the later over the earlier: the root namespace's for all, the own namespace's for all,
 * and one there that chooses this workload; of several at one of these levels the oldest. Of an access log the last of
 * them that speaks of it counts whole; of traces and metrics each field of its own. */
#include "mesh/snapshot-internal.h"

static bool is_side(const struct telemetry_match *m, enum telemetry_mode side)
{
    return !m || m->mode == TELEMETRY_BOTH || m->mode == (int)side;
}

/* Its entries are providers of one log: it is off where all are, and has what any of them lets through. */
static void take_logs(struct draft *d, const struct telemetry *t, enum telemetry_mode side, struct telemetry_policy *to)
{
    const struct cel **filters = draft_alloc(d, t->logs.n, sizeof(const struct cel *));
    bool spoken = false, on = false, all = false;
    size_t n = 0;

    for (size_t i = 0; filters && i < t->logs.n; i++) {
        const struct telemetry_log *l = &t->logs.v[i];

        if (!is_side(l->match, side))
            continue;
        spoken = true;
        on = on || !l->disabled;
        all = all || (!l->disabled && !l->filter);
        if (!l->disabled && l->filter)
            filters[n++] = l->filter->compiled;
    }
    if (!spoken)
        return;
    to->no_access_log = !on;
    to->log_filters = filters;
    to->nlog_filters = all ? 0 : n;
}

static void take_traces(const struct telemetry *t, enum telemetry_mode side, struct telemetry_policy *to)
{
    enum { PPM_OF_PERCENT = 10000 };

    for (size_t i = 0; i < t->traces.n; i++) {
        const struct telemetry_trace *r = &t->traces.v[i];

        if (!is_side(r->match, side))
            continue;
        if (check_get(r->at, "randomSamplingPercentage"))
            to->sampling_ppm = (int32_t)(r->sampling * PPM_OF_PERCENT + 0.5);
        if (check_get(r->at, "disableSpanReporting"))
            to->no_spans = r->no_spans;
        if (check_get(r->at, "disableContextPropagation"))
            to->no_propagation = r->no_propagation;
        if (check_get(r->at, "enableIstioTags"))
            to->no_istio_tags = !r->istio_tags;
        if (check_get(r->at, "customTags")) {
            to->tags = r->span_tags;
            to->ntags = r->tags.n;
        }
    }
}

static void take_tags(struct draft *d, const struct telemetry_override *o, uint32_t metrics,
                      struct telemetry_policy *to)
{
    struct metric_tag *tags = draft_alloc(d, to->nmetric_tags + o->tags.n, sizeof(*tags));
    size_t n = to->nmetric_tags;

    if (!tags)
        return;
    if (n)
        memcpy(tags, to->metric_tags, n * sizeof(*tags));
    for (size_t i = 0; i < o->tags.n && n < METRIC_TAGS_MOST; i++) {
        const struct telemetry_tag_override *t = &o->tags.v[i];

        if (t->operation == TAG_REMOVE || t->compiled)
            tags[n++] = (struct metric_tag){ metrics, t->label, t->compiled };
    }
    to->metric_tags = tags;
    to->nmetric_tags = n;
}

static void take_override(struct draft *d, const struct telemetry_override *o, enum telemetry_mode side,
                          struct telemetry_policy *to)
{
    uint32_t bits = (1u << TELEMETRY_METRICS) - 1;

    if (!is_side(o->match, side) || (o->match && o->match->custom_metric.n))
        return;
    if (o->match && o->match->metric)
        bits = 1u << (o->match->metric - 1);
    if (check_get(o->at, "disabled"))
        to->metrics_off = o->disabled ? to->metrics_off | bits : to->metrics_off & ~bits;
    if (o->tags.n)
        take_tags(d, o, bits, to);
}

static void take(struct draft *d, const struct telemetry *t, enum telemetry_mode side, struct telemetry_policy *to)
{
    if (!t)
        return;
    take_logs(d, t, side, to);
    take_traces(t, side, to);
    for (size_t i = 0; i < t->metrics.n; i++)
        for (size_t k = 0; k < t->metrics.v[i].overrides.n; k++)
            take_override(d, &t->metrics.v[i].overrides.v[k], side, to);
}

/* ---- what expressions ask of answers ---- */

static size_t list_of_one(const struct cel *c, enum cel_map m, struct str *v, size_t n)
{
    struct str name;

    for (size_t i = 0; c && (name = cel_header(c, m, i)).p; i++) {
        if (v)
            v[n] = name;
        n++;
    }
    return n;
}

/* Into `v`, NULL: counts. */
static size_t list_all(const struct telemetry_policy *p, enum cel_map m, struct str *v)
{
    size_t n = 0;

    for (size_t i = 0; i < p->nlog_filters; i++)
        n = list_of_one(p->log_filters[i], m, v, n);
    for (size_t i = 0; i < p->nmetric_tags; i++)
        n = list_of_one(p->metric_tags[i].value, m, v, n);
    return n;
}

static size_t list_names(struct draft *d, const struct telemetry_policy *p, enum cel_map m, const struct str **out)
{
    size_t n = list_all(p, m, NULL);
    struct str *v = n ? draft_alloc(d, n, sizeof(*v)) : NULL;

    if (!v)
        return 0;
    *out = v;
    return list_all(p, m, v);
}

static void list_headers(struct draft *d, struct telemetry_policy *p)
{
    p->nresponse_headers = list_names(d, p, CEL_RESPONSE_HEADERS, &p->response_headers);
    p->nresponse_trailers = list_names(d, p, CEL_RESPONSE_TRAILERS, &p->response_trailers);
}

void draft_telemetry(struct draft *d)
{
    enum { MESH, NAMESPACE, WORKLOAD, LEVELS };
    const struct policies *all = &d->mesh->policies;
    const struct telemetry *levels[LEVELS] = { NULL };

    for (size_t i = all->telemetries.n; i-- > 0;) {
        const struct telemetry *t = &all->telemetries.v[i];
        bool wide = policy_scope_is_wide(&t->scope), own = str_eq(t->object->ns, d->ns);

        if (own && !wide && draft_covers(d, &t->scope, NULL))
            levels[WORKLOAD] = t;
        else if (own && wide)
            levels[NAMESPACE] = t;
        else if (wide && str_eqz(t->object->ns, ROOT_NAMESPACE))
            levels[MESH] = t;
    }
    d->out->client.sampling_ppm = d->out->server.sampling_ppm = -1;
    for (size_t i = 0; i < LEVELS; i++) {
        take(d, levels[i], TELEMETRY_CLIENT, &d->out->client);
        take(d, levels[i], TELEMETRY_SERVER, &d->out->server);
    }
    list_headers(d, &d->out->client);
    list_headers(d, &d->out->server);
}
