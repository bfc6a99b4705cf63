/* health_rpc.c: the wire of grpc.health.v1 (github.com/grpc/grpc, doc/health-checking.md):
 *
 *   request    00 | length, 4 bytes | HealthCheckRequest { 1: service, string }
 *   answer     00 | length, 4 bytes | HealthCheckResponse { 1: status, enum: 1 is SERVING }, then grpc-status 0 */
#include "proxy/health_rpc.h"

#include "base/mem.h"
#include "base/pb.h"

#include <errno.h>

enum { PREFIX = 5, SERVING = 1, MOST_ANSWER = 1024 };

struct health_rpc {
    struct upstream_call *call;
    health_rpc_done *done;
    void *arg;
    unsigned status;
    bool ok;             /* grpc-status is 0 */
    struct buf answer;
};

static void finish(struct health_rpc *r, enum health_answer answer, const char *why)
{
    health_rpc_done *done = r->done;
    void *arg = r->arg;

    buf_free(&r->answer);
    mem_free(r);
    done(arg, answer, why);
}

static bool is_serving(struct str answer)
{
    struct pb_reader message = pb_reader(str_from(answer, PREFIX));
    struct pb_field f;
    uint64_t status = 0;
    int rc;

    if (answer.n < PREFIX || answer.p[0] != 0)
        return false;
    while ((rc = pb_next(&message, &f, NULL)) == 1)
        if (f.number == 1 && f.type == PB_VARINT)
            status = f.u;
    return rc == 0 && status == SERVING;
}

static void on_head(void *arg, const struct http_head *h)
{
    struct health_rpc *r = arg;

    r->status = h->status;
    r->ok = str_eqz(http_value(h, HTTP_GRPC_STATUS), "0");
}

static void on_data(void *arg, struct str bytes)
{
    buf_str(&((struct health_rpc *)arg)->answer, bytes);
}

static void on_trailers(void *arg, const struct fields *f)
{
    ((struct health_rpc *)arg)->ok = str_eqz(fields_get(f, HTTP_GRPC_STATUS), "0");
}

static void on_end(void *arg)
{
    struct health_rpc *r = arg;
    bool whole = !buf_failed(&r->answer);

    if (r->status == 200 && r->ok && whole && is_serving(buf_view(&r->answer)))
        finish(r, HEALTH_GOOD, "it is SERVING");
    else if (r->status != 200)
        finish(r, HEALTH_BAD, http_reason(r->status));
    else
        finish(r, HEALTH_BAD, r->ok ? "it is not SERVING" : "its answer has a grpc-status that is not 0");
}

static void on_fail(void *arg, enum upstream_failure why, int err)
{
    bool connecting = why == UPSTREAM_CONNECT || why == UPSTREAM_TIMEOUT;

    finish(arg, HEALTH_NO_ANSWER, connecting ? upstream_why(err) : "the call ended without an answer");
}

static void on_drained(void *arg)
{
    (void)arg;
}

/* False: no memory. */
static bool put_message(struct upstream_call *call, struct str service)
{
    struct buf b = BUF_INIT(8192), message = BUF_INIT(4096);
    bool ok;

    if (service.n)
        pb_put_str(&message, 1, service);
    buf_putc(&b, 0);
    for (int shift = 24; shift >= 0; shift -= 8)
        buf_putc(&b, (char)(message.n >> shift));
    buf_str(&b, buf_view(&message));
    ok = !buf_failed(&message) && !buf_failed(&b);
    if (ok)
        upstream_data(call, buf_view(&b));
    buf_free(&message);
    buf_free(&b);
    return ok;
}

static bool put_request(struct health_rpc *r, const struct upstream_host *h, const struct cluster *c)
{
    const struct health_check *check = c->check;
    struct fields f = { .n = 0 };
    struct upstream_request rq = { .method = STR("POST"), .scheme = h->tls ? STR("https") : STR("http"),
                                   .authority = health_host(c), .path = STR("/grpc.health.v1.Health/Check"),
                                   .fields = &f, .framing = HTTP_STREAMED, .wants_trailers = true };

    fields_add(&f, STR("user-agent"), STR("Envoy/HC"));
    fields_add(&f, STR("content-type"), STR("application/grpc"));
    fields_apply(&f, check->headers, check->nheaders, NULL);
    upstream_head(r->call, &rq);
    if (!put_message(r->call, check->service))
        return false;
    upstream_end(r->call, NULL);
    return true;
}

struct health_rpc *health_rpc_start(struct upstream_host *h, const struct cluster *c, struct str from,
                                    health_rpc_done *done, void *arg)
{
    static const struct upstream_handler handler = { .head = on_head, .data = on_data, .trailers = on_trailers,
                                                     .end = on_end, .fail = on_fail, .drained = on_drained };
    struct health_rpc *r = mem_zalloc(sizeof(*r));

    if (!r) {
        errno = ENOMEM;
        return NULL;
    }
    *r = (struct health_rpc){ .done = done, .arg = arg, .answer = BUF_INIT(MOST_ANSWER) };
    r->call = upstream_open(h, c, from, true, false, &handler, r);
    if (!r->call) {
        mem_free(r);
        return NULL;
    }
    if (!put_request(r, h, c)) {
        health_rpc_stop(r);
        errno = ENOMEM;
        return NULL;
    }
    return r;
}

void health_rpc_stop(struct health_rpc *r)
{
    if (!r)
        return;
    upstream_abort(r->call);
    buf_free(&r->answer);
    mem_free(r);
}
