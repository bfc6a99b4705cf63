#include "base/num.h"
#include "query/lexer-internal.h"

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static size_t put_utf8(char *out, uint32_t c)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xc0 | c >> 6);
        out[1] = (char)(0x80 | (c & 63));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xe0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 63));
        out[2] = (char)(0x80 | (c & 63));
        return 3;
    }
    out[0] = (char)(0xf0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 63));
    out[2] = (char)(0x80 | (c >> 6 & 63));
    out[3] = (char)(0x80 | (c & 63));
    return 4;
}

/* Reads `digits` digits of the base at *p; false when they are not there. */
static bool digits_at(const char **p, const char *end, int digits, int base, uint32_t *v)
{
    *v = 0;
    for (int i = 0; i < digits; i++) {
        int d = *p < end ? hex_digit(**p) : -1;

        if (d < 0 || d >= base)
            return false;
        *v = *v * (uint32_t)base + (uint32_t)d;
        ++*p;
    }
    return true;
}

/* One escape, *p behind its backslash. Returns how many bytes it made, 0 when it is none of Go's. */
static size_t unescape(const char **p, const char *end, char quote, char *out)
{
    static const char from[] = "abfnrtv\\", to[] = "\a\b\f\n\r\t\v\\";
    char c = *p < end ? *(*p)++ : '\0';
    const char *simple = c ? strchr(from, c) : NULL;
    uint32_t v;

    if (simple || c == quote) {
        *out = simple ? to[simple - from] : quote;
        return 1;
    }
    if (c == 'x' && digits_at(p, end, 2, 16, &v)) {
        *out = (char)v;
        return 1;
    }
    if (c >= '0' && c <= '7') {
        --*p;
        if (!digits_at(p, end, 3, 8, &v) || v > 255)
            return 0;
        *out = (char)v;
        return 1;
    }
    if ((c == 'u' && digits_at(p, end, 4, 16, &v)) || (c == 'U' && digits_at(p, end, 8, 16, &v)))
        return v > 0x10ffff || (v >= 0xd800 && v < 0xe000) ? 0 : put_utf8(out, v);
    return 0;
}

struct str literal_string(struct arena *a, struct str quoted, const char **why)
{
    char quote = quoted.p[0];
    const char *p = quoted.p + 1, *end = quoted.p + quoted.n - 1;
    char *out = arena_alloc(a, quoted.n + 1);
    size_t n = 0;

    *why = "no memory";
    if (!out)
        return STR_NULL;
    while (p < end) {
        size_t made = 1;

        if (quote == '`' || *p != '\\') {
            out[n] = *p++;
        } else {
            p++;
            made = unescape(&p, end, quote, out + n);
        }
        if (made == 0) {
            *why = "invalid syntax";
            return STR_NULL;
        }
        n += made;
    }
    out[n] = '\0';
    return (struct str){ out, n };
}

bool literal_number(struct str s, double *v)
{
    char plain[400];
    size_t n = 0;

    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '_')
            continue;
        if (n == sizeof(plain))
            return false;
        plain[n++] = s.p[i];
    }
    return num_double((struct str){ plain, n }, v);
}
