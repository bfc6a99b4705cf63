/* http1_fuzz.c: messages cut at random give what the whole gives: the same heads, bodies, trailers, refusals and places.
 *
 * The first byte seeds the cuts, its lowest bit says request or response. */
#include "proxy/http1_body.h"
#include "proxy/trailers.h"

#include "base/buf.h"

#include <stdlib.h>

struct result {
    struct buf told; /* heads' essentials and bodies, one behind the other */
    size_t used;
    unsigned refused;
};

static void tell_head(struct result *r, const struct http_head *h)
{
    buf_printf(&r->told, "[%zu %u %u %d %llu %d %zu]", h->size, h->status, h->version, (int)h->framing,
               (unsigned long long)h->length, h->keep_alive, h->nfields);
    for (size_t i = 0; i < h->nfields; i++) {
        struct str name = http_text(h, h->fields[i].name), value = http_text(h, h->fields[i].value);

        /* What is passed on must be a field again, whoever reads it. */
        if (!http1_is_token(name) || (value.n && (memchr(value.p, '\n', value.n) || memchr(value.p, '\r', value.n) ||
                                                  memchr(value.p, '\0', value.n))))
            abort();
        buf_printf(&r->told, "%.*s=%.*s;", STR_ARG(name), STR_ARG(value));
    }
}

/* What is passed on behind a body must be fields again, and none that says how to read the message. */
static void tell_trailers(struct result *r, const struct http1_body *b)
{
    struct fields f;

    trailers_from_lines(&f, http1_body_trailers(b));
    if (f.overflow)
        abort();
    for (size_t i = 0; i < f.n; i++) {
        struct str name = f.v[i].name, value = f.v[i].value;

        if (!http1_is_token(name) || str_ieq(name, STR("content-length")) || str_ieq(name, STR("transfer-encoding")) ||
            (value.n && (memchr(value.p, '\n', value.n) || memchr(value.p, '\r', value.n))))
            abort();
        buf_printf(&r->told, "<%.*s=%.*s>", STR_ARG(name), STR_ARG(value));
    }
}

/* Reads messages from in[0..n), of which `seen` bytes are there in the first round, a few more in each further one. */
static void run(struct str in, uint32_t seed, bool response, struct http1_body *body, struct result *r)
{
    size_t start = 0, seen = seed && 1 + seed % 7 < in.n ? 1 + seed % 7 : in.n;
    struct http1_scan scan = { 0 };
    struct http_head h;
    bool in_body = false;

    for (;;) {
        bool more = false;

        while (!more) {
            struct str rest = { in.p + start, seen - start }, data;

            if (!in_body) {
                enum http1_result k = response ? http1_response(&scan, rest, false, &h) : http1_request(&scan, rest, &h);

                if (k == HTTP1_REFUSED) {
                    r->refused = h.refused;
                    return;
                }
                more = k == HTTP1_MORE;
                if (more)
                    break;
                tell_head(r, &h);
                start += h.size;
                scan = (struct http1_scan){ 0 };
                http1_body_init(body, h.framing, h.length);
                body->keeps_trailers = true;
                in_body = true;
                continue;
            }
            switch (http1_body_next(body, &rest, &data)) {
            case HTTP1_BODY_DATA:
                buf_str(&r->told, data);
                break;
            case HTTP1_BODY_MORE:
                more = true;
                break;
            case HTTP1_BODY_END:
                tell_trailers(r, body);
                http1_body_free(body);
                in_body = false;
                break;
            case HTTP1_BODY_BAD:
                r->refused = 1;
                return;
            }
            start = (size_t)(rest.p - in.p);
            r->used = start;
        }
        if (seen == in.n)
            return;
        seed = seed * 1664525u + 1013904223u;
        seen += 1 + (seed >> 16) % 37;
        if (seen > in.n)
            seen = in.n;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct result whole = { .told = BUF_INIT(1 << 24) }, cut = { .told = BUF_INIT(1 << 24) };
    struct http1_body body = { .left = 0 };
    struct str in;

    if (size < 1)
        return 0;
    in = (struct str){ (const char *)data + 1, size - 1 };
    run(in, 0, data[0] & 1, &body, &whole);
    http1_body_free(&body);
    run(in, data[0] / 2 + 1u, data[0] & 1, &body, &cut);
    if (whole.refused != cut.refused || !str_eq(buf_view(&whole.told), buf_view(&cut.told)))
        abort();
    http1_body_free(&body);
    buf_free(&whole.told);
    buf_free(&cut.told);
    return 0;
}
