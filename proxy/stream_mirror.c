/* stream_mirror.c: requests copied to another destination, fired and forgotten: no retries, no record, no waiting.
 *
 * A copy that falls behind while a body streams is given up, so that it can never slow the request down. */
#include "proxy/stream-internal.h"

#include "base/mem.h"
#include "proxy/worker.h"

struct stream_mirror {
    struct stream *s;             /* NULL: it goes on alone */
    struct stream_mirror *next;   /* of s */
    struct upstream_call *u;
};

static void leave(struct stream_mirror *m)
{
    struct stream_mirror **at = m->s ? &m->s->mirrors : NULL;

    while (at && *at && *at != m)
        at = &(*at)->next;
    if (at && *at)
        *at = m->next;
    mem_free(m);
}

static void on_head(void *arg, const struct http_head *h)
{
    (void)arg, (void)h;
}

static void on_data(void *arg, struct str bytes)
{
    (void)arg, (void)bytes;
}

static void on_end(void *arg)
{
    leave(arg);
}

static void on_fail(void *arg, enum upstream_failure why, int err)
{
    (void)why, (void)err;
    leave(arg);
}

static void on_drained(void *arg)
{
    (void)arg;
}

static void start_one(struct stream *s, const struct destination *to)
{
    static const struct upstream_handler handler = { .head = on_head, .data = on_data, .end = on_end, .fail = on_fail,
                                                     .drained = on_drained };
    struct upstream_cluster *cluster = view_cluster(s->view, to->cluster);
    long slot = cluster ? lb_pick(upstream_lb(cluster, s->w->now_ns), &s->w->rng, NULL, 0) : -1;
    struct upstream_host *host;
    struct stream_mirror *m = slot >= 0 ? mem_zalloc(sizeof(*m)) : NULL;

    if (!m)
        return;
    host = cluster->slots[slot].host;
    m->u = upstream_open(host, cluster->cluster, s->view->snapshot->self.ip, cluster->cluster->http2, false, &handler, m);
    if (!m->u) {
        mem_free(m);
        return;
    }
    if (!stream_pass_head(s, to, m->u)) {
        upstream_abort(m->u);
        mem_free(m);
        return;
    }
    m->s = s;
    m->next = s->mirrors;
    s->mirrors = m;
    if (s->request_done)
        upstream_end(m->u, NULL);
}

void mirror_start_all(struct stream *s)
{
    s->tries = 1;
    for (size_t i = 0; i < s->route->nmirrors; i++) {
        const struct mirror *m = &s->route->mirrors[i];

        if (!s->upgrade && m->ppm > 0 && (m->ppm >= 1000000 || rng_below(&s->w->rng, 1000000) < m->ppm))
            start_one(s, &m->destination);
    }
    s->tries = 0;
}

void mirror_body(struct stream *s, struct str bytes)
{
    struct stream_mirror *next;

    for (struct stream_mirror *m = s->mirrors; m; m = next) {
        next = m->next;
        if (upstream_is_full(m->u)) {
            upstream_abort(m->u);
            leave(m);
        } else {
            upstream_data(m->u, bytes);
        }
    }
}

void mirror_end(struct stream *s, const struct fields *trailers)
{
    for (struct stream_mirror *m = s->mirrors; m; m = m->next)
        upstream_end(m->u, trailers);
}

void mirror_leave_all(struct stream *s)
{
    while (s->mirrors) {
        struct stream_mirror *m = s->mirrors;

        s->mirrors = m->next;
        m->s = NULL;
        if (!s->request_done) {
            upstream_abort(m->u);
            mem_free(m);
        }
    }
}
