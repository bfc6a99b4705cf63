/* stream_limit.c: whether a request is within the local rate limits that stand at one place among the filters.
 *
 * A route's or virtual host's own limit takes the place of the listener's filter of the same name, as Envoy's
 * configuration by route does: so one that stands ahead of everything needs the route already, which is looked for once
 * more when tokens have been looked at: they may change the path. */
#include "proxy/stream-internal.h"

#include "proxy/admit.h"
#include "proxy/rate_limit.h"

static const struct rate_limit *own_limit(const struct rate_limit_rules *rules, struct str filter)
{
    for (size_t i = 0; rules && i < rules->nfilters; i++)
        if (str_eq(rules->filters[i].name, filter))
            return rules->filters[i].limit;
    return NULL;
}

static const struct rate_limiter *limiter_of(const struct stream *s, const struct rate_limit_filter *f)
{
    const struct rate_limit *l = s->route ? own_limit(s->route->limits, f->name) : NULL;

    if (!l && s->vh)
        l = own_limit(s->vh->limits, f->name);
    return &s->view->limiters[l ? l->index : f->limit->index];
}

static struct str only_cluster(const struct route *r)
{
    return r && r->action == ROUTE_FORWARD && r->ndestinations == 1 ? r->destinations[0].cluster_name : STR_NULL;
}

/* At the mesh's edge whose connection it is, behind it whom the proxy before names: as for policies. */
static struct str remote_ip(const struct stream *s)
{
    struct str own = s->cl->peer->remote_ip;

    if (s->l->direction == LISTENER_GATEWAY)
        return own;
    return admit_remote_text(http_value(&s->head, HTTP_X_FORWARDED_FOR), own);
}

static void refuse(struct stream *s, const struct rate_limit *l)
{
    struct fields f = { .n = 0 };

    fields_add(&f, STR("x-envoy-ratelimited"), STR("true"));
    fields_apply(&f, l->headers, l->nheaders, NULL);
    s->flags |= FLAG_RL;
    s->details = "local_rate_limited";
    stream_reply_with(s, l->status, &f, STR("local_rate_limited"));
}

static bool within(struct stream *s, const struct rate_limit_filter *filter)
{
    const struct rate_limiter *r = limiter_of(s, filter);
    const struct rate_limit_facts facts = { .headers = stream_headers(s), .query = s->rq.query,
                                            .remote_ip = remote_ip(s), .cluster = only_cluster(s->route),
                                            .route = s->route ? s->route->limits : NULL,
                                            .host = s->vh ? s->vh->limits : NULL };
    struct rate_limit_verdict v;

    rate_limit_ask(r, &facts, s->w->now_ns, &s->w->rng, &v);
    if (v.bucket && r->limit->tells)
        s->told_bucket = v.bucket;
    if (v.refused)
        refuse(s, r->limit);
    return !v.refused;
}

bool stream_limit_at(struct stream *s, enum rate_limit_place place)
{
    for (size_t i = 0; i < s->l->nlimits; i++) {
        if (s->l->limits[i].place != place)
            continue;
        if (place == RATE_LIMIT_FIRST && !s->vh)
            stream_find_route(s);
        if (!within(s, &s->l->limits[i]))
            return false;
    }
    return true;
}

static void add_number(struct stream *s, struct fields *f, struct str name, int64_t v)
{
    struct str text = arena_printf(&s->arena, "%lld", (long long)v);

    if (text.p)
        fields_set(f, name, text);
}

void stream_tell_limit(struct stream *s, struct fields *f)
{
    const struct rate_bucket *b = s->told_bucket;

    add_number(s, f, STR("x-ratelimit-limit"), b->most);
    add_number(s, f, STR("x-ratelimit-remaining"), rate_bucket_left(b, s->w->now_ns));
    add_number(s, f, STR("x-ratelimit-reset"), rate_bucket_next_ns(b, s->w->now_ns) / 1000000000);
}
