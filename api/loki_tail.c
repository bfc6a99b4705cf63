/* loki_tail.c: /loki/api/v1/tail: the handshake. */
#include "api/loki_tail-internal.h"

#include "base/clock.h"
#include "base/num.h"

enum { DEFAULT_LIMIT = 100, MOST_LIMIT = 5000 };

/* Whether one of the header's words, between commas, is `word`. */
static bool has_word(const struct request *rq, const char *header, const char *word)
{
    struct str rest = str_of(request_header(rq, header));

    while (rest.p && rest.n)
        if (str_ieq(str_trim(str_cut(&rest, ',')), str_of(word)))
            return true;
    return false;
}

/* False: it is no WebSocket's handshake (RFC 6455, 4.2.1); the answer is there. */
static bool check_handshake(struct request *rq)
{
    struct str key = str_trim(str_of(request_header(rq, "Sec-WebSocket-Key")));

    if (!has_word(rq, "Upgrade", "websocket") || !has_word(rq, "Connection", "upgrade"))
        reply_text(rq, 400, "this path is for WebSockets: Connection: Upgrade and Upgrade: websocket are missing");
    else if (!str_eqz(str_trim(str_of(request_header(rq, "Sec-WebSocket-Version"))), "13")) {
        reply_text(rq, 426, "Sec-WebSocket-Version should be 13");
        reply_header(rq, "Sec-WebSocket-Version", "13");
    } else if (!websocket_key_is_valid(key))
        reply_text(rq, 400, "Sec-WebSocket-Key should be 16 bytes in base64");
    else
        return true;
    return false;
}

/* delay_for is a number of seconds. */
static int read_wanted(struct request *rq, struct tail_wanted *w, struct err *e)
{
    uint64_t limit, delay;
    struct logql_expr *x;
    int rc;

    if ((rc = request_limit(rq, "limit", DEFAULT_LIMIT, &limit, e)) < 0 ||
        (rc = request_limit(rq, "delay_for", 0, &delay, e)) < 0 ||
        (rc = loki_time(rq, "start", clock_now_ns() - HOUR_NS, &w->start_ns, e)) < 0)
        return rc;
    if (delay > TAIL_MOST_DELAY_S)
        return err_set(e, ERR_INVALID, "delay_for can't be greater than %d", TAIL_MOST_DELAY_S);
    x = loki_query_of(rq, e);
    if (!x)
        return e->code;
    if (logql_is_metric(x))
        return err_set(e, ERR_INVALID, "query: only lines can be followed, as in {app=\"web\"} |= \"error\"");
    w->query = request_parameter(rq, "query");
    w->delay_ns = (int64_t)delay * 1000000000;
    w->limit = limit > MOST_LIMIT ? MOST_LIMIT : (size_t)limit;
    w->categorised = loki_categorises(rq);
    return 0;
}

void loki_tail(struct request *rq)
{
    struct tail_wanted w = { 0 };
    struct err e = ERR_INIT;
    char accept[WEBSOCKET_KEY_TEXT];

    if (!check_handshake(rq))
        return;
    if (read_wanted(rq, &w, &e) < 0 || !(rq->owner = tail_new(rq->api->tails, &w, &e))) {
        if (e.code == ERR_LIMIT)
            reply_text(rq, 429, "%s", e.msg);
        else
            loki_fail(rq, &e);
        return;
    }
    rq->release = tail_drop;
    websocket_accept(str_trim(str_of(request_header(rq, "Sec-WebSocket-Key"))), accept);
    reply_begin(rq, 101, NULL);
    rq->upgrade = tail_upgraded;
    reply_header(rq, MHD_HTTP_HEADER_UPGRADE, "websocket");
    reply_header(rq, "Sec-WebSocket-Accept", arena_cstr(&rq->arena, str_of(accept)));
}
