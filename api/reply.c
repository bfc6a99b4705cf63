#include "api/http-internal.h"

#include <float.h>
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

/* The shortest digits that read back as the same number, and the power of ten of the first one. Any number of up to 15
 * digits survives a double, so that shorter ones are the 15 without the zeros at their end; but not below DBL_MIN,
 * where a double has fewer digits itself. */
static size_t shortest_digits(double v, char digits[24], int *exponent)
{
    char text[40];
    size_t n = 0;

    for (int precision = fabs(v) < DBL_MIN ? 0 : 14; precision <= 16; precision++) {
        snprintf(text, sizeof(text), "%.*e", precision, fabs(v));
        if (strtod(text, NULL) == fabs(v))
            break;
    }
    for (const char *c = text; *c && *c != 'e'; c++)
        if (*c != '.')
            digits[n++] = *c;
    *exponent = atoi(strchr(text, 'e') + 1);
    while (n > 1 && digits[n - 1] == '0')
        n--;
    return n;
}

static void repeat_zero(struct buf *b, int n)
{
    while (n-- > 0)
        buf_putc(b, '0');
}

static void plain_number(struct buf *b, const char *digits, size_t n, int exponent)
{
    size_t whole = exponent < 0 ? 0 : (size_t)exponent + 1;

    if (whole == 0) {
        buf_puts(b, "0.");
        repeat_zero(b, -exponent - 1);
        buf_put(b, digits, n);
    } else if (whole >= n) {
        buf_put(b, digits, n);
        repeat_zero(b, (int)(whole - n));
    } else {
        buf_put(b, digits, whole);
        buf_putc(b, '.');
        buf_put(b, digits + whole, n - whole);
    }
}

static void put_number(struct buf *b, double v, bool exponents)
{
    char digits[24];
    size_t n;
    int exponent;

    if (!isfinite(v) || (v == trunc(v) && fabs(v) < 1e15)) {
        if (isfinite(v) && (v != 0 || !signbit(v)))
            buf_i64(b, (int64_t)v);
        else
            buf_double(b, v);
        return;
    }
    n = shortest_digits(v, digits, &exponent);
    if (v < 0)
        buf_putc(b, '-');
    if (!exponents || (fabs(v) >= 1e-6 && fabs(v) < 1e21)) {
        plain_number(b, digits, n, exponent);
        return;
    }
    buf_putc(b, digits[0]);
    if (n > 1)
        buf_putc(b, '.');
    buf_put(b, digits + 1, n - 1);
    buf_printf(b, "e%c%02d", exponent < 0 ? '-' : '+', abs(exponent));
}

void json_sample_value(struct buf *b, double v, bool exponents)
{
    buf_putc(b, '"');
    put_number(b, v, exponents);
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
