/* otlp.c: POST /v1/{logs,metrics,traces}: decode, commit, and only then 200. */

#include "api/http-internal.h"

#include "base/num.h"
#include "base/pb.h"
#include "collector/otlp.h"

/* What lives from the request to its commit: in the request's arena. */
struct otlp_post {
    struct request *rq;
    enum otlp_signal signal;
    enum otlp_encoding encoding;
    struct batch batch;
    struct otlp_refused refused;
};

static const char *type_of(enum otlp_encoding encoding)
{
    return encoding == OTLP_JSON ? "application/json" : "application/x-protobuf";
}

/* A google.rpc.Status in the request's own encoding, as OTLP/HTTP wants it. */
static void fail(struct request *rq, enum otlp_encoding encoding, unsigned status, const char *text)
{
    enum { INVALID_ARGUMENT = 3, RESOURCE_EXHAUSTED = 8, INTERNAL = 13, UNAVAILABLE = 14 };
    int code = status == 503   ? UNAVAILABLE
               : status == 413 ? RESOURCE_EXHAUSTED
               : status < 500  ? INVALID_ARGUMENT
                               : INTERNAL;

    reply_begin(rq, status, type_of(encoding));
    if (encoding == OTLP_JSON) {
        buf_printf(&rq->out, "{\"code\":%d,\"message\":", code);
        buf_json(&rq->out, str_of(text));
        buf_putc(&rq->out, '}');
    } else {
        pb_put_varint(&rq->out, 1, (uint64_t)code);
        pb_put_str(&rq->out, 2, str_of(text));
    }
    if (status == 503)
        reply_header(rq, MHD_HTTP_HEADER_RETRY_AFTER, "1");
}

static void fail_error(struct otlp_post *p, const struct err *e)
{
    unsigned status = error_status(e->code);

    if (e->code == ERR_LIMIT || (e->code == ERR_NOMEM && p->rq->arena.used > p->rq->arena.max / 2))
        status = 413; /* it would need as much the next time */
    fail(p->rq, p->encoding, status, e->msg);
}

static void succeed(struct otlp_post *p)
{
    struct otlp_count *c = &p->rq->api->otlp[p->signal];

    atomic_fetch_add_explicit(&c->accepted, p->refused.accepted, memory_order_relaxed);
    atomic_fetch_add_explicit(&c->refused, p->refused.n, memory_order_relaxed);
    reply_begin(p->rq, 200, type_of(p->encoding));
    otlp_response(p->signal, p->encoding, &p->refused, &p->rq->out);
}

static void answer(void *arg, int rc, const struct err *e)
{
    struct otlp_post *p = arg;

    if (rc == 0)
        succeed(p);
    else
        fail_error(p, e);
}

/* Vigla-Sender and Vigla-Batch come together or not at all. */
static int read_number(struct otlp_post *p, struct err *e)
{
    struct str sender = str_of(request_header(p->rq, "Vigla-Sender"));
    struct str number = str_of(request_header(p->rq, "Vigla-Batch"));

    if (!sender.p && !number.p)
        return 0;
    if (sender.n == 0 || sender.n > 512 || !str_is_utf8(sender))
        return err_set(e, ERR_INVALID, "Vigla-Sender should be POD.NAMESPACE/INCARNATION/SIGNAL beside Vigla-Batch");
    if (!num_u64(number, &p->batch.number) || p->batch.number == 0 || p->batch.number > INT64_MAX)
        return err_set(e, ERR_INVALID, "Vigla-Batch is \"%.*s\", should be a number from 1", STR_ARG(number));
    p->batch.sender = arena_str(&p->rq->arena, sender);
    return p->batch.sender.p ? 0 : err_set(e, ERR_NOMEM, "no memory for the sender's name");
}

static bool is_empty(const struct batch *b)
{
    size_t n = b->nseries + b->nmetadata;

    for (int kind = 0; kind < EVENT_KINDS; kind++)
        n += b->events[kind].n;
    return n == 0 && b->sender.n == 0;
}

static bool read_encoding(struct request *rq, enum otlp_encoding *encoding)
{
    struct str type = str_of(request_header(rq, MHD_HTTP_HEADER_CONTENT_TYPE));
    struct str name = str_trim(str_cut(&type, ';'));

    if (str_ieq(name, STR("application/x-protobuf")))
        *encoding = OTLP_PROTOBUF;
    else if (str_ieq(name, STR("application/json")))
        *encoding = OTLP_JSON;
    else
        reply_text(rq, 415, "Content-Type \"%.*s\" should be application/x-protobuf or application/json",
                   STR_ARG(name));
    return rq->status == 0;
}

static void post(struct request *rq, enum otlp_signal signal)
{
    struct otlp_post *p;
    struct err e = ERR_INIT;
    enum otlp_encoding encoding;
    int rc;

    if (!read_encoding(rq, &encoding))
        return;
    p = ARENA_NEW(&rq->arena, struct otlp_post);
    if (!p) {
        fail(rq, encoding, 503, "no memory");
        return;
    }
    p->rq = rq;
    p->signal = signal;
    p->encoding = encoding;
    rq->arena.max = 8 * rq->api->options.max_body;
    batch_init(&p->batch, &rq->arena);
    rc = read_number(p, &e);
    if (rc == 0)
        rc = otlp_decode(signal, encoding, buf_view(&rq->body), rq->api->options.red, &p->batch, &p->refused, &e);
    if (rc < 0 || is_empty(&p->batch))
        answer(p, rc, &e);
    else
        request_commit(rq, &p->batch, answer, p);
}

void otlp_post_logs(struct request *rq)
{
    post(rq, OTLP_LOGS);
}

void otlp_post_metrics(struct request *rq)
{
    post(rq, OTLP_METRICS);
}

void otlp_post_traces(struct request *rq)
{
    post(rq, OTLP_TRACES);
}
