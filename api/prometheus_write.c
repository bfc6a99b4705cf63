/* prometheus_write.c: POST /api/v1/write: decode, commit, and only then 204.
 *
 * Source: prometheus.io/docs/specs/prw/remote_write_spec (1.0). What is refused for good is a 400, which a sender does
 * not repeat; the good rest of such a request is stored all the same. */

#include "api/http-internal.h"

#include "collector/remote_write.h"

/* What lives from the request to its commit: in the request's arena. */
struct write_post {
    struct request *rq;
    struct batch batch;
    struct remote_write_outcome outcome;
};

static void count(struct api *api, const struct remote_write_outcome *o)
{
    atomic_fetch_add_explicit(&api->write.samples, o->samples, memory_order_relaxed);
    atomic_fetch_add_explicit(&api->write.refused, o->refused, memory_order_relaxed);
    atomic_fetch_add_explicit(&api->write.exemplars, o->exemplars, memory_order_relaxed);
}

static void answer(void *arg, int rc, const struct err *e)
{
    struct write_post *p = arg;

    if (rc < 0) {
        reply_refusal(p->rq, e);
        return;
    }
    count(p->rq->api, &p->outcome);
    if (p->outcome.refused)
        reply_text(p->rq, 400, "%s (%llu refused, %llu samples stored)", p->outcome.why,
                   (unsigned long long)p->outcome.refused, (unsigned long long)p->outcome.samples);
    else
        reply_begin(p->rq, 204, NULL);
}

/* application/x-protobuf, or nothing at all, as early senders have it; version 1.0 may be named by its message. */
static bool check_type(struct request *rq)
{
    struct str header = str_of(request_header(rq, MHD_HTTP_HEADER_CONTENT_TYPE)), rest = header;
    struct str name = str_trim(str_cut(&rest, ';')), message = STR("proto=prometheus.WriteRequest");
    bool right = name.n == 0 || str_ieq(name, STR("application/x-protobuf"));

    while (right && rest.p) {
        struct str parameter = str_trim(str_cut(&rest, ';'));

        right = str_eq(parameter, message) || !str_starts(parameter, STR("proto="));
    }
    if (!right)
        reply_text(rq, 415, "Content-Type \"%.*s\" should be application/x-protobuf;%.*s", STR_ARG(header),
                   STR_ARG(message));
    return right;
}

void prometheus_write(struct request *rq)
{
    struct err e = ERR_INIT;
    struct write_post *p;
    int rc;

    if (!check_type(rq))
        return;
    p = ARENA_NEW(&rq->arena, struct write_post);
    if (!p) {
        err_set(&e, ERR_NOMEM, "no memory");
        reply_refusal(rq, &e);
        return;
    }
    p->rq = rq;
    rq->arena.max = 8 * rq->api->options.max_body;
    batch_init(&p->batch, &rq->arena);
    rc = remote_write_decode(buf_view(&rq->body), rq->api->store, &p->batch, &p->outcome, &e);
    if (rc < 0 || p->batch.nseries + p->batch.nmetadata + p->batch.nexemplars == 0)
        answer(p, rc, &e);
    else
        request_commit(rq, &p->batch, answer, p);
}
