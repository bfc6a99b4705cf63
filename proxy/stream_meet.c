/* stream_meet.c: what HTTP itself asks of whoever stands between client and server (RFC 9110), whatever the routes say:
 * Expect (10.1.1), Max-Forwards (7.6.2), and that a TRACE has no content (9.3.8). */
#include "proxy/stream-internal.h"

enum { MOST_FORWARDS_DIGITS = 9 };

/* Of HTTP/1.0 it is not understood. False: another expectation than the one there is. */
static bool meet_expectation(struct stream *s)
{
    const struct http_head *h = &s->head;

    if (!h->first[HTTP_EXPECT] || h->version == HTTP_VERSION_10)
        return true;
    for (size_t i = h->first[HTTP_EXPECT] - 1u; i < h->nfields; i++)
        if (h->fields[i].id == HTTP_EXPECT && !str_ieq(http_text(h, h->fields[i].value), STR("100-continue")))
            return false;
    s->expects_continue = true;
    return true;
}

static struct str max_forwards(const struct http_head *h)
{
    for (size_t i = 0; i < h->nfields; i++)
        if (str_ieq(http_text(h, h->fields[i].name), STR("max-forwards")))
            return http_text(h, h->fields[i].value);
    return STR_NULL;
}

/* -1: no number. */
static long parse_forwards(struct str s)
{
    long n = 0;

    if (s.n == 0 || s.n > MOST_FORWARDS_DIGITS)
        return -1;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return -1;
        n = n * 10 + (s.p[i] - '0');
    }
    return n;
}

/* Where it may not go on, the answer is ours. To echo a TRACE would show its sender what others have added to it. */
static bool count_forwards(struct stream *s, bool trace)
{
    struct str text = max_forwards(&s->head);
    long n = text.p ? parse_forwards(text) : 1;

    if (!text.p)
        return true;
    if (n < 0)
        stream_reply(s, 400, FLAG_DPE, "max_forwards_invalid", STR("Max-Forwards is no number"));
    else if (n == 0)
        stream_reply(s, trace ? 405 : 200, 0, "max_forwards_reached", STR_NULL);
    else
        s->max_forwards = arena_printf(&s->arena, "%ld", n - 1);
    return n > 0;
}

bool stream_meet(struct stream *s)
{
    bool trace = str_eqz(s->rq.method, "TRACE");

    if (!meet_expectation(s)) {
        stream_reply(s, 417, 0, "expectation_failed", STR_NULL);
        return false;
    }
    if (trace && s->head.framing != HTTP_NO_BODY) {
        stream_reply(s, 400, FLAG_DPE, "trace_with_content", STR("TRACE has no content"));
        return false;
    }
    return (!trace && !str_eqz(s->rq.method, "OPTIONS")) || count_forwards(s, trace);
}
