#include "api/http-internal.h"

#include <stdarg.h>
#include <stdio.h>

void reply_begin(struct request *rq, unsigned status, const char *content_type)
{
    rq->status = status;
    rq->content_type = content_type;
    buf_reset(&rq->out);
}

void reply_json(struct request *rq, unsigned status)
{
    reply_begin(rq, status, "application/json");
}

void reply_text(struct request *rq, unsigned status, const char *fmt, ...)
{
    struct str text;
    char small[1024];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(small, sizeof(small), fmt, ap);
    va_end(ap);
    text = str_of(small);
    reply_begin(rq, status, "text/plain; charset=utf-8");
    buf_str(&rq->out, text);
    buf_putc(&rq->out, '\n');
}

unsigned error_status(int code)
{
    switch (code) {
    case ERR_PARSE:
    case ERR_INVALID:
    case ERR_RANGE:
        return 400;
    case ERR_LIMIT:
        return 422;
    case ERR_NOTFOUND:
        return 404;
    case ERR_CONFLICT:
        return 409;
    case ERR_UNSUPPORTED:
        return 501;
    case ERR_BUSY:
    case ERR_FULL:
    case ERR_CLOSED:
    case ERR_TIMEOUT:
    case ERR_NOMEM:
        return 503;
    default:
        return 500;
    }
}

void reply_error(struct request *rq, const struct err *e)
{
    reply_json(rq, error_status(e->code));
    buf_puts(&rq->out, "{\"error\":");
    buf_json(&rq->out, str_of(e->msg));
    buf_puts(&rq->out, "}\n");
    if (e->code == ERR_BUSY)
        reply_header(rq, "Retry-After", "1");
}

void reply_refusal(struct request *rq, const struct err *e)
{
    unsigned status = error_status(e->code);

    if (e->code == ERR_LIMIT || (e->code == ERR_NOMEM && rq->arena.used > rq->arena.max / 2))
        status = 413;
    reply_text(rq, status, "%s", e->msg);
    if (status == 503)
        reply_header(rq, MHD_HTTP_HEADER_RETRY_AFTER, "1");
}

void reply_header(struct request *rq, const char *name, const char *value)
{
    if (rq->nheaders < HTTP_MOST_HEADERS && value)
        rq->headers[rq->nheaders++] = (struct header){ name, value };
}

/* "name":"value", */
static void put_label(struct buf *b, const struct label *l)
{
    size_t n = l->name.n + l->value.n + 6;
    char *to = buf_reserve(b, n);

    if (!to)
        return;
    if (json_plain(to, l->name) && json_plain(to + l->name.n + 3, l->value)) { /* nearly always */
        to[l->name.n + 2] = ':';
        to[n - 1] = ',';
        b->n += n;
        return;
    }
    buf_json(b, l->name);
    buf_putc(b, ':');
    buf_json(b, l->value);
    buf_putc(b, ',');
}

void json_labels(struct buf *b, struct labels l)
{
    buf_putc(b, '{');
    for (size_t i = 0; i < l.n; i++)
        put_label(b, &l.v[i]);
    if (l.n && !buf_failed(b))
        b->n--; /* the last comma */
    buf_putc(b, '}');
}

static size_t same_labels(struct labels a, struct labels b)
{
    size_t n = 0;

    while (n < a.n && n < b.n && n < LABELS_TEXT_MOST && a.v[n].name.p == b.v[n].name.p &&
           a.v[n].name.n == b.v[n].name.n && a.v[n].value.p == b.v[n].value.p && a.v[n].value.n == b.v[n].value.n)
        n++;
    return n;
}

void json_labels_after(struct buf *b, struct labels l, struct labels_text *before)
{
    size_t start = b->n, same = same_labels(l, before->l), n = same ? before->ends[same - 1] : 0;
    char *to = buf_reserve(b, n + 1);

    if (!to)
        return;
    *to = '{';
    if (same) {
        memcpy(to, b->p + before->start, n);
        to[n - 1] = ',';
    }
    b->n += same ? n : 1;
    for (size_t i = same; i < l.n; i++) {
        put_label(b, &l.v[i]);
        if (i < LABELS_TEXT_MOST)
            before->ends[i] = b->n - start;
    }
    if (l.n && !buf_failed(b))
        b->n--; /* the last comma */
    buf_putc(b, '}');
    before->l = l;
    before->start = start;
}

void json_strings(struct buf *b, const struct str *v, size_t n)
{
    buf_putc(b, '[');
    for (size_t i = 0; i < n; i++) {
        if (i)
            buf_putc(b, ',');
        buf_json(b, v[i]);
    }
    buf_putc(b, ']');
}
