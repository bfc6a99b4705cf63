/* label_escape.c: names in forms that older readers can take.
 *
 * Prometheus 3 allows any UTF-8 in names. Where a name must be one of the classic alphabet ([a-zA-Z_][a-zA-Z0-9_]*, and
 * colons in metrics) it is either spelt out, "U__http_2e_status" for "http.status", or flattened to underscores. */

#include "api/http-internal.h"

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The code point between two underscores at s.p[*at]; moves *at behind the second. -1: there is none. */
static int32_t code_point(struct str s, size_t *at)
{
    int32_t v = 0;
    size_t i = *at + 1;

    for (; i < s.n && s.p[i] != '_'; i++) {
        int digit = hex_value(s.p[i]);

        if (digit < 0 || i - *at > 6)
            return -1;
        v = v * 16 + digit;
    }
    if (i == s.n || i == *at + 1 || v > 0x10ffff || (v >= 0xd800 && v < 0xe000))
        return -1;
    *at = i + 1;
    return v;
}

static size_t put_code_point(char *to, int32_t v)
{
    if (v < 0x80) {
        to[0] = (char)v;
        return 1;
    }
    if (v < 0x800) {
        to[0] = (char)(0xc0 | v >> 6);
        to[1] = (char)(0x80 | (v & 0x3f));
        return 2;
    }
    if (v < 0x10000) {
        to[0] = (char)(0xe0 | v >> 12);
        to[1] = (char)(0x80 | (v >> 6 & 0x3f));
        to[2] = (char)(0x80 | (v & 0x3f));
        return 3;
    }
    to[0] = (char)(0xf0 | v >> 18);
    to[1] = (char)(0x80 | (v >> 12 & 0x3f));
    to[2] = (char)(0x80 | (v >> 6 & 0x3f));
    to[3] = (char)(0x80 | (v & 0x3f));
    return 4;
}

struct str label_unescape(struct arena *a, struct str s)
{
    struct str rest = str_from(s, 3);
    char *to = str_starts(s, STR("U__")) ? arena_alloc(a, rest.n + 1) : NULL;
    size_t n = 0, at = 0;

    if (!to)
        return s;
    while (at < rest.n) {
        int32_t v;

        if (rest.p[at] != '_') {
            to[n++] = rest.p[at++];
        } else if (at + 1 < rest.n && rest.p[at + 1] == '_') {
            to[n++] = '_';
            at += 2;
        } else if ((v = code_point(rest, &at)) >= 0) {
            n += put_code_point(to + n, v); /* shorter than what it was written as */
        } else {
            return s; /* not written so after all */
        }
    }
    return (struct str){ to, n };
}

static bool is_classic(struct str name, size_t i, bool colons)
{
    char c = name.p[i];

    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (colons && c == ':') ||
           (i && c >= '0' && c <= '9');
}

bool label_is_classic(struct str name, bool colons)
{
    for (size_t i = 0; i < name.n; i++)
        if (!is_classic(name, i, colons))
            return false;
    return name.n > 0;
}

void label_flatten(struct buf *out, struct str name, bool colons)
{
    for (size_t i = 0; i < name.n; i++)
        if (((unsigned char)name.p[i] & 0xc0) != 0x80) /* one for a character, not for each of its bytes */
            buf_putc(out, is_classic(name, i, colons) ? name.p[i] : '_');
}
