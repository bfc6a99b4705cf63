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
static void take_logs(const struct telemetry *t, enum telemetry_mode side, struct telemetry_policy *to)
{
    bool spoken = false, on = false;
    int32_t least = INT32_MAX;

    for (size_t i = 0; i < t->logs.n; i++) {
        const struct telemetry_log *l = &t->logs.v[i];
        int32_t status = l->filter ? l->filter->least_status : 0;

        if (!is_side(l->match, side))
            continue;
        spoken = true;
        on = on || !l->disabled;
        if (!l->disabled && status < least)
            least = status;
    }
    if (!spoken)
        return;
    to->no_access_log = !on;
    to->log_least_status = on ? least : 0;
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

static void take_override(const struct telemetry_override *o, enum telemetry_mode side, struct telemetry_policy *to)
{
    uint32_t bits = (1u << TELEMETRY_METRICS) - 1;

    if (!check_get(o->at, "disabled") || !is_side(o->match, side) || (o->match && o->match->custom_metric.n))
        return;
    if (o->match && o->match->metric)
        bits = 1u << (o->match->metric - 1);
    to->metrics_off = o->disabled ? to->metrics_off | bits : to->metrics_off & ~bits;
}

static void take(const struct telemetry *t, enum telemetry_mode side, struct telemetry_policy *to)
{
    if (!t)
        return;
    take_logs(t, side, to);
    take_traces(t, side, to);
    for (size_t i = 0; i < t->metrics.n; i++)
        for (size_t k = 0; k < t->metrics.v[i].overrides.n; k++)
            take_override(&t->metrics.v[i].overrides.v[k], side, to);
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
        take(levels[i], TELEMETRY_CLIENT, &d->out->client);
        take(levels[i], TELEMETRY_SERVER, &d->out->server);
    }
}
