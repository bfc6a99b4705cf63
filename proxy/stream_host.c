/* stream_host.c: which host a try goes to, and what that host's outlier detection learns of it.
 *
 * A cluster with hosts of its own: the balancer chooses, by hash where there is one. Without: the request's own host
 * says where it goes, and its name may have to be asked for first. */
#include "proxy/stream-internal.h"

#include "proxy/worker.h"

enum { NAME_LOOK_MS = 5 };

/* ---- what is told of a host ---- */

static bool is_watched(const struct stream *s)
{
    return s->cluster->cluster->outlier.on && s->host->shared;
}

static struct outlier outlier_of(const struct stream *s)
{
    return (struct outlier){ .rules = &s->cluster->cluster->outlier, .circuit = s->cluster->circuit,
                             .host = s->host->shared, .nhosts = s->cluster->nslots, .now_ns = s->w->now_ns };
}

void stream_tell_failed(const struct stream *s, enum outlier_result r)
{
    struct outlier o;

    if (!is_watched(s))
        return;
    o = outlier_of(s);
    outlier_ended(&o, r);
}

void stream_tell_answered(const struct stream *s, unsigned status, struct str grpc)
{
    unsigned as = grpc.n ? outlier_grpc_status(grpc) : 0;
    struct outlier o;

    if (!is_watched(s))
        return;
    o = outlier_of(s);
    outlier_answered(&o, as ? as : status);
}

/* ---- which host ---- */

static long pick_host(struct stream *s)
{
    struct lb *lb = upstream_lb(s->cluster, s->w->now_ns);
    const struct retry_policy *retry = &s->route->retry;

    if (s->hashed) /* a retry goes to the same host, as Envoy's does */
        return lb_pick_hash(lb, s->hash, NULL, 0);
    if (retry->other_priorities)
        return lb_pick_elsewhere(lb, &s->w->rng, s->tried, s->ntried);
    return lb_pick(lb, &s->w->rng, s->tried, retry->same_hosts ? 0 : s->ntried);
}

static enum stream_host_choice choose_slot(struct stream *s, struct str host)
{
    long slot = s->cluster->cluster->passthrough ? upstream_slot_at(s->cluster, host) : -1;

    if (slot < 0)
        slot = pick_host(s);
    if (slot < 0)
        return upstream_is_asking(s->cluster) ? STREAM_HOST_ASKED : STREAM_HOST_NONE;
    upstream_host_put(s->host);
    s->host = upstream_host_get(s->cluster->slots[slot].host);
    s->endpoint = s->cluster->slots[slot].endpoint;
    if (s->ntried < STREAM_MOST_TRIED)
        s->tried[s->ntried++] = (uint32_t)slot;
    return STREAM_HOST_CHOSEN;
}

/* The addresses of the request's host: it may be one itself. */
static enum name_state read_host(struct stream *s, struct str host, struct name_addresses *a)
{
    a->n = 1;
    if (upstream_parse_address(&a->v[0], host))
        return NAME_KNOWN;
    if (!s->name)
        s->name = name_get(s->w->settings->names, host);
    return s->name ? name_read(s->name, a) : NAME_UNKNOWN;
}

static enum stream_host_choice choose_named(struct stream *s, struct str host, uint16_t port)
{
    struct name_addresses a;
    enum name_state state = read_host(s, host, &a);
    uint16_t own = s->cluster->cluster->port;

    if (state != NAME_KNOWN)
        return state == NAME_ASKING ? STREAM_HOST_ASKED : STREAM_HOST_UNRESOLVED;
    upstream_host_put(s->host);
    s->host = upstream_named(s->cluster, host, &a, s->tries, own ? own : port ? port : s->l->port);
    s->endpoint = NULL;
    return s->host ? STREAM_HOST_CHOSEN : STREAM_HOST_NONE;
}

/* A name's first answer is looked for every few milliseconds: it is rare, and a way back from the resolver's threads
 * into each worker's loop would be one more thing to get wrong. */
static bool wait_for_name(struct stream *s)
{
    if (s->resolving_until_ns == 0)
        s->resolving_until_ns = s->w->now_ns + s->cluster->cluster->connect_timeout_ms * 1000000;
    if (s->w->now_ns >= s->resolving_until_ns)
        return false;
    s->state = STREAM_RESOLVING;
    stream_set_timer(&s->pause, NAME_LOOK_MS);
    return true;
}

enum stream_host_choice stream_choose_host(struct stream *s)
{
    uint16_t port;
    struct str host = router_split_authority(s->rq.authority, &port);
    enum stream_host_choice c = upstream_goes_by_request(s->cluster) ? choose_named(s, host, port) :
                                                                         choose_slot(s, host);

    return c != STREAM_HOST_ASKED || wait_for_name(s) ? c :
           upstream_goes_by_request(s->cluster) ? STREAM_HOST_UNRESOLVED : STREAM_HOST_NONE;
}
