#include "base/buf.h"

#include "base/mem.h"
#include "base/num.h"

#include <stdarg.h>
#include <stdio.h>

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

void buf_expect(struct buf *b, size_t n)
{
    char *p = n > b->cap && n <= b->max ? mem_realloc(b->p, n + 1) : NULL;

    if (!p)
        return;
    b->p = p;
    b->cap = n + 1;
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
    char text[1 + NUM_MOST_U64];
    size_t minus = v < 0;

    text[0] = '-';
    buf_put(b, text, minus + num_put_u64(text + minus, v < 0 ? 0 - (uint64_t)v : (uint64_t)v));
}

void buf_u64(struct buf *b, uint64_t v)
{
    char text[NUM_MOST_U64];

    buf_put(b, text, num_put_u64(text, v));
}

void buf_double(struct buf *b, double v)
{
    char text[NUM_MOST_JSON];

    buf_put(b, text, num_put_double(text, v, NUM_GENERAL));
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

/* Whether any of eight bytes may not stand in a JSON string as it is: control characters, quotes, backslashes, and what
 * is beyond ASCII. (Byte by byte c - 0x20, (c ^ '"') - 1 and (c ^ '\\') - 1 have their top bit set only there; a borrow
 * from the byte before may cry wolf, and is looked at byte by byte then.) */
static bool any_special(uint64_t w)
{
    const uint64_t ones = 0x0101010101010101u, tops = 0x80 * ones;

    return (w | (w - 0x20 * ones) | ((w ^ '"' * ones) - ones) | ((w ^ '\\' * ones) - ones)) & tops;
}

static bool is_special(char c)
{
    return (unsigned char)(c - 0x20) >= 0x60 || c == '"' || c == '\\';
}

/* Copies from s[at] on what may stand as it is; returns how much. */
static size_t copy_plain(char *to, struct str s, size_t at)
{
    size_t from = at;
    uint64_t w;

    for (; at + sizeof(w) <= s.n; at += sizeof(w)) {
        memcpy(&w, s.p + at, sizeof(w));
        if (any_special(w))
            break;
        memcpy(to + (at - from), &w, sizeof(w));
    }
    for (; at < s.n && !is_special(s.p[at]); at++)
        to[at - from] = s.p[at];
    return at - from;
}

bool json_plain(char *to, struct str s)
{
    *to++ = '"';
    if (copy_plain(to, s, 0) < s.n)
        return false;
    to[s.n] = '"';
    return true;
}

static void json_escape(struct buf *b, unsigned char c)
{
    static const char from[] = "\"\\\n\r\t", letters[] = "\"\\nrt";
    const char *at = c ? strchr(from, c) : NULL;

    if (at)
        buf_put(b, (const char[]){ '\\', letters[at - from] }, 2);
    else
        buf_printf(b, "\\u%04x", c);
}

/* From a character on that is not plain. Returns its bytes. */
static size_t json_special(struct buf *b, struct str s, size_t at)
{
    unsigned char c = (unsigned char)s.p[at];
    size_t n = c < 0x80 ? 0 : sequence_at(s, at);

    if (n)
        buf_put(b, s.p + at, n);
    else if (c < 0x80)
        json_escape(b, c);
    else
        buf_puts(b, REPLACEMENT);
    return n ? n : 1;
}

void buf_json(struct buf *b, struct str s)
{
    char *to = buf_reserve(b, s.n + 2);

    if (!to)
        return;
    if (json_plain(to, s)) { /* nearly always */
        b->n += s.n + 2;
        return;
    }
    buf_putc(b, '"');
    for (size_t at = 0; at < s.n;) {
        to = buf_reserve(b, s.n - at);
        if (!to)
            return;
        b->n += copy_plain(to, s, at);
        at += b->n - (size_t)(to - b->p);
        if (at < s.n)
            at += json_special(b, s, at);
    }
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
