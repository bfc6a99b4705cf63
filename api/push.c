/* push.c: POST /loki/api/v1/push, /api/v2/spans (Zipkin) and /api/traces (Jaeger): decode, commit, and only then 204 or 202.
 *
 * What is refused for good is a 400, which senders do not repeat; the good rest of such a request is stored all the same. */

#include "api/http-internal.h"

#include "collector/jaeger_thrift.h"
#include "collector/loki_push.h"
#include "collector/red.h"
#include "collector/zipkin.h"

/* What lives from the request to its commit: in the request's arena. */
struct push {
    struct request *rq;
    enum push_receiver receiver;
    struct batch batch;
    struct push_outcome outcome;
};

static void answer(void *arg, int rc, const struct err *e)
{
    struct push *p = arg;
    struct push_count *c = &p->rq->api->push[p->receiver];

    if (rc < 0) {
        reply_refusal(p->rq, e);
        return;
    }
    atomic_fetch_add_explicit(&c->accepted, p->outcome.accepted, memory_order_relaxed);
    atomic_fetch_add_explicit(&c->refused, p->outcome.refused, memory_order_relaxed);
    if (p->outcome.refused)
        reply_text(p->rq, 400, "%s (%llu refused, %llu stored)", p->outcome.why, (unsigned long long)p->outcome.refused,
                   (unsigned long long)p->outcome.accepted);
    else
        reply_begin(p->rq, p->receiver == PUSH_LOKI ? 204 : 202, NULL);
}

static int decode(struct push *p, struct err *e)
{
    struct str body = buf_view(&p->rq->body);

    struct red *red = p->rq->api->options.red;
    int rc;

    if (p->receiver != PUSH_LOKI) {
        rc = p->receiver == PUSH_ZIPKIN ? zipkin_decode(body, &p->batch, &p->outcome, e)
                                        : jaeger_thrift_decode(body, &p->batch, &p->outcome, e);
        return rc == 0 && red ? red_spans(red, &p->batch, 0, e) : rc;
    }
    return loki_push_decode(request_is_json(p->rq) ? LOKI_JSON : LOKI_PROTOBUF, body, &p->batch, &p->outcome, e);
}

static void post(struct request *rq, enum push_receiver receiver)
{
    struct push *p = ARENA_NEW(&rq->arena, struct push);
    struct err e = ERR_INIT;
    int rc;

    if (!p) {
        err_set(&e, ERR_NOMEM, "no memory");
        reply_refusal(rq, &e);
        return;
    }
    p->rq = rq;
    p->receiver = receiver;
    rq->arena.max = 8 * rq->api->options.max_body;
    batch_init(&p->batch, &rq->arena);
    rc = decode(p, &e);
    if (rc < 0 || p->outcome.accepted == 0)
        answer(p, rc, &e);
    else
        request_commit(rq, &p->batch, answer, p);
}

void push_loki(struct request *rq)
{
    post(rq, PUSH_LOKI);
}

/* Zipkin's other encodings are told from JSON by their type alone. */
void push_zipkin(struct request *rq)
{
    struct str type = str_of(request_header(rq, MHD_HTTP_HEADER_CONTENT_TYPE));

    if (type.n && !request_is_json(rq))
        reply_text(rq, 415, "Content-Type \"%.*s\" should be application/json: Zipkin's JSON v2", STR_ARG(type));
    else
        post(rq, PUSH_ZIPKIN);
}

void push_jaeger(struct request *rq)
{
    struct str type = str_of(request_header(rq, MHD_HTTP_HEADER_CONTENT_TYPE)), name = type;
    struct str format = request_parameter(rq, "format");

    name = str_trim(str_cut(&name, ';'));
    if (!str_ieq(name, STR("application/x-thrift")) && !str_ieq(name, STR("application/vnd.apache.thrift.binary")))
        reply_text(rq, 415, "Content-Type \"%.*s\" should be application/x-thrift", STR_ARG(type));
    else if (format.n && !str_eqz(format, "jaeger.thrift"))
        reply_text(rq, 400, "format \"%.*s\" should be jaeger.thrift", STR_ARG(format));
    else
        post(rq, PUSH_JAEGER);
}
