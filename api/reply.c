#include "api/http-internal.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

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

void reply_header(struct request *rq, const char *name, const char *value)
{
    if (rq->nheaders < HTTP_MOST_HEADERS && value)
        rq->headers[rq->nheaders++] = (struct header){ name, value };
}

/* The shortest digits that read back as the same number, without an exponent. */
static void plain_double(struct buf *b, double v)
{
    char scientific[40], *at;
    int exponent, digits;

    for (digits = 0; digits < 17; digits++) {
        snprintf(scientific, sizeof(scientific), "%.*e", digits, v);
        if (strtod(scientific, NULL) == v)
            break;
    }
    at = strchr(scientific, 'e');
    exponent = atoi(at + 1);
    buf_printf(b, "%.*f", digits > exponent ? digits - exponent : 0, v);
}

void json_sample_value(struct buf *b, double v)
{
    char text[40];
    int precision = 0;

    buf_putc(b, '"');
    if (!isfinite(v) || v == 0) {
        buf_double(b, v);
    } else if (fabs(v) >= 1e-6 && fabs(v) < 1e21) {
        plain_double(b, v);
    } else {
        do
            snprintf(text, sizeof(text), "%.*e", precision, v);
        while (strtod(text, NULL) != v && ++precision < 17);
        buf_puts(b, text);
    }
    buf_putc(b, '"');
}

void json_sample_time(struct buf *b, int64_t ms)
{
    uint64_t all = ms < 0 ? 0 - (uint64_t)ms : (uint64_t)ms;

    if (ms < 0)
        buf_putc(b, '-');
    buf_printf(b, "%" PRIu64, all / 1000);
    if (all % 1000)
        buf_printf(b, ".%03u", (unsigned)(all % 1000));
}

void json_labels(struct buf *b, struct labels l)
{
    buf_putc(b, '{');
    for (size_t i = 0; i < l.n; i++) {
        if (i)
            buf_putc(b, ',');
        buf_json(b, l.v[i].name);
        buf_putc(b, ':');
        buf_json(b, l.v[i].value);
    }
    buf_putc(b, '}');
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
