#include "base/buf.h"

#include "base/mem.h"

#include <float.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

/* Room for n bytes below the ceiling, and for `spare` more that do not count: a NUL. */
static char *reserve(struct buf *b, size_t n, size_t spare)
{
    if (b->failed)
        return NULL;
    if (n > b->max || b->n > b->max - n || mem_grow(&b->p, &b->cap, b->n + n + spare, 1) < 0) {
        b->failed = true;
        return NULL;
    }
    return b->p + b->n;
}

char *buf_reserve(struct buf *b, size_t n)
{
    /* The common case; what the array has beyond the ceiling is not to be given away. */
    if (!b->failed && b->p && n <= b->cap - b->n && b->cap <= b->max)
        return b->p + b->n;
    return reserve(b, n, 0);
}

void buf_put(struct buf *b, const void *p, size_t n)
{
    char *to;

    if (n == 0)
        return;
    to = buf_reserve(b, n);
    if (!to)
        return;
    memcpy(to, p, n);
    b->n += n;
}

void buf_str(struct buf *b, struct str s)
{
    buf_put(b, s.p, s.n);
}

void buf_puts(struct buf *b, const char *s)
{
    buf_put(b, s, strlen(s));
}

void buf_putc(struct buf *b, char c)
{
    buf_put(b, &c, 1);
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list ap, again;
    char *to;
    int n;

    va_start(ap, fmt);
    va_copy(again, ap);
    n = vsnprintf(NULL, 0, fmt, ap);
    to = n >= 0 ? reserve(b, (size_t)n, 1) : NULL;
    if (to) {
        vsnprintf(to, (size_t)n + 1, fmt, again);
        b->n += (size_t)n;
    } else {
        b->failed = true;
    }
    va_end(again);
    va_end(ap);
}

void buf_i64(struct buf *b, int64_t v)
{
    uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
    char digits[24];
    size_t at = sizeof(digits);

    do {
        digits[--at] = (char)('0' + u % 10);
        u /= 10;
    } while (u);
    if (v < 0)
        digits[--at] = '-';
    buf_put(b, digits + at, sizeof(digits) - at);
}

void buf_double(struct buf *b, double v)
{
    char digits[40];
    int n = 0;

    if (isnan(v)) {
        buf_puts(b, "NaN");
        return;
    }
    if (isinf(v)) {
        buf_puts(b, v > 0 ? "+Inf" : "-Inf");
        return;
    }
    /* 15 digits give back every shorter form; numbers below DBL_MIN have fewer digits than that to begin with. */
    for (int precision = fabs(v) < DBL_MIN ? 1 : 15; precision <= 17; precision++) {
        n = snprintf(digits, sizeof(digits), "%.*g", precision, v);
        if (strtod(digits, NULL) == v)
            break;
    }
    buf_put(b, digits, (size_t)n);
}

/* Bytes of the UTF-8 sequence that starts at s.p[at], or 0 when there is none. */
static size_t sequence_at(struct str s, size_t at)
{
    for (size_t n = 1; n <= 4 && at + n <= s.n; n++)
        if (str_is_utf8((struct str){ s.p + at, n }))
            return n;
    return 0;
}

void buf_utf8(struct buf *b, struct str s)
{
    size_t from = 0, at = 0;

    while (at < s.n) {
        size_t n = sequence_at(s, at);

        if (n) {
            at += n;
            continue;
        }
        buf_put(b, s.p + from, at - from);
        buf_puts(b, REPLACEMENT);
        from = ++at;
    }
    if (at > from)
        buf_put(b, s.p + from, at - from);
}

static void json_escape(struct buf *b, unsigned char c)
{
    switch (c) {
    case '"':
        buf_puts(b, "\\\"");
        break;
    case '\\':
        buf_puts(b, "\\\\");
        break;
    case '\n':
        buf_puts(b, "\\n");
        break;
    case '\r':
        buf_puts(b, "\\r");
        break;
    case '\t':
        buf_puts(b, "\\t");
        break;
    default:
        buf_printf(b, "\\u%04x", c);
    }
}

void buf_json(struct buf *b, struct str s)
{
    size_t from = 0, at = 0;

    buf_putc(b, '"');
    while (at < s.n) {
        unsigned char c = (unsigned char)s.p[at];
        size_t n = c < 0x80 ? 1 : sequence_at(s, at);

        if (c >= 0x20 && c != '"' && c != '\\' && n) {
            at += n;
            continue;
        }
        buf_put(b, s.p + from, at - from);
        if (n == 0)
            buf_puts(b, REPLACEMENT);
        else
            json_escape(b, c);
        from = ++at;
    }
    if (at > from)
        buf_put(b, s.p + from, at - from);
    buf_putc(b, '"');
}

const char *buf_cstr(struct buf *b)
{
    char *end = reserve(b, 0, 1);

    if (!end)
        return NULL;
    *end = '\0';
    return b->p;
}

void buf_reset(struct buf *b)
{
    b->n = 0;
    b->failed = false;
}

void buf_drain(struct buf *b, size_t n)
{
    if (n >= b->n) {
        b->n = 0;
        return;
    }
    memmove(b->p, b->p + n, b->n - n);
    b->n -= n;
}

void buf_free(struct buf *b)
{
    mem_free(b->p);
    *b = (struct buf)BUF_INIT(b->max);
}

char *buf_take(struct buf *b, size_t *n)
{
    char *p = NULL;

    if (buf_cstr(b)) {
        p = b->p;
        if (n)
            *n = b->n;
        b->p = NULL;
    }
    buf_free(b);
    return p;
}
