#include "query/logql_json-internal.h"

static void skip_blanks(struct json_text *r)
{
    while (r->p < r->end && (*r->p == ' ' || *r->p == '\t' || *r->p == '\n' || *r->p == '\r'))
        r->p++;
}

enum json_kind json_text_peek(struct json_text *r)
{
    skip_blanks(r);
    if (r->p == r->end)
        return JSON_NONE;
    switch (*r->p) {
    case '{':
        return JSON_OBJECT;
    case '[':
        return JSON_ARRAY;
    case '"':
        return JSON_STRING;
    case 't':
        return JSON_TRUE;
    case 'f':
        return JSON_FALSE;
    case 'n':
        return JSON_NULL;
    default:
        return *r->p == '-' || (*r->p >= '0' && *r->p <= '9') ? JSON_NUMBER : JSON_NONE;
    }
}

/* Behind a string's closing quote; NULL: there is none. */
static const char *string_end(const char *p, const char *end, bool *escapes)
{
    *escapes = false;
    for (p++; p < end && *p != '"'; p++) {
        if ((unsigned char)*p < 0x20)
            return NULL;
        if (*p == '\\') {
            *escapes = true;
            p++;
        }
    }
    return p < end ? p + 1 : NULL;
}

static bool skip_digits(struct json_text *r)
{
    const char *from = r->p;

    while (r->p < r->end && *r->p >= '0' && *r->p <= '9')
        r->p++;
    return r->p > from;
}

static bool skip_number(struct json_text *r)
{
    r->p += *r->p == '-';
    if (!skip_digits(r))
        return false;
    if (r->p < r->end && *r->p == '.') {
        r->p++;
        if (!skip_digits(r))
            return false;
    }
    if (r->p < r->end && (*r->p == 'e' || *r->p == 'E')) {
        r->p++;
        if (r->p < r->end && (*r->p == '+' || *r->p == '-'))
            r->p++;
        return skip_digits(r);
    }
    return true;
}

static bool skip_word(struct json_text *r, struct str word)
{
    if (!str_starts((struct str){ r->p, (size_t)(r->end - r->p) }, word))
        return false;
    r->p += word.n;
    return true;
}

static bool skip_members(struct json_text *r, char close)
{
    bool bad = false, first = true;

    if (!json_text_enter(r))
        return false;
    for (; json_text_more(r, close, first, &bad); first = false) {
        struct str raw;

        if (close == '}' && (json_text_peek(r) != JSON_STRING || !json_text_skip(r, &raw) || !json_text_colon(r)))
            return false;
        if (!json_text_skip(r, &raw))
            return false;
    }
    return !bad;
}

bool json_text_skip(struct json_text *r, struct str *raw)
{
    enum json_kind kind = json_text_peek(r);
    const char *from = r->p, *to;
    bool ok = false, escapes;

    switch (kind) {
    case JSON_OBJECT:
    case JSON_ARRAY:
        ok = skip_members(r, kind == JSON_OBJECT ? '}' : ']');
        break;
    case JSON_STRING:
        to = string_end(r->p, r->end, &escapes);
        ok = to != NULL;
        r->p = ok ? to : r->p;
        break;
    case JSON_NUMBER:
        ok = skip_number(r);
        break;
    case JSON_TRUE:
        ok = skip_word(r, STR("true"));
        break;
    case JSON_FALSE:
        ok = skip_word(r, STR("false"));
        break;
    case JSON_NULL:
        ok = skip_word(r, STR("null"));
        break;
    case JSON_NONE:
        break;
    }
    *raw = (struct str){ from, (size_t)(r->p - from) };
    return ok;
}

/* --- strings ----------------------------------------------------------------------------------------------------- */

static int hex4(const char *p, const char *end)
{
    int v = 0;

    if (end - p < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        char c = p[i];
        int d = c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;

        if (d < 0)
            return -1;
        v = v << 4 | d;
    }
    return v;
}

static char *put_utf8(char *to, unsigned c)
{
    if (c < 0x80) {
        *to++ = (char)c;
        return to;
    }
    if (c >= 0x10000) {
        *to++ = (char)(0xf0 | c >> 18);
        *to++ = (char)(0x80 | (c >> 12 & 63));
        *to++ = (char)(0x80 | (c >> 6 & 63));
    } else if (c >= 0x800) {
        *to++ = (char)(0xe0 | c >> 12);
        *to++ = (char)(0x80 | (c >> 6 & 63));
    } else {
        *to++ = (char)(0xc0 | c >> 6);
    }
    *to++ = (char)(0x80 | (c & 63));
    return to;
}

/* \uXXXX, a surrogate with its other half; half a pair becomes U+FFFD. *p stands behind the u. NULL: no digits. */
static char *unescape_unicode(const char **p, const char *end, char *to)
{
    int high = hex4(*p, end), low;

    if (high < 0)
        return NULL;
    *p += 4;
    if (high < 0xd800 || high > 0xdfff)
        return put_utf8(to, (unsigned)high);
    low = high < 0xdc00 && end - *p >= 6 && (*p)[0] == '\\' && (*p)[1] == 'u' ? hex4(*p + 2, end) : -1;
    if (low < 0xdc00 || low > 0xdfff)
        return put_utf8(to, 0xfffd);
    *p += 6;
    return put_utf8(to, 0x10000u + ((unsigned)(high - 0xd800) << 10) + (unsigned)(low - 0xdc00));
}

/* Never longer than what it is made of. NULL: an escape that JSON does not have. */
static char *unescape(const char *p, const char *end, char *to)
{
    static const char from[] = "\"\\/bfnrt", made[] = "\"\\/\b\f\n\r\t";

    while (p < end) {
        const char *at;

        if (*p != '\\') {
            *to++ = *p++;
            continue;
        }
        p++;
        if (p < end && *p == 'u') {
            p++;
            to = unescape_unicode(&p, end, to);
            if (!to)
                return NULL;
            continue;
        }
        at = p < end && *p ? strchr(from, *p) : NULL;
        if (!at)
            return NULL;
        *to++ = made[at - from];
        p++;
    }
    return to;
}

bool json_text_string(struct json_text *r, struct arena *a, struct str *value, bool *failed)
{
    const char *from, *to;
    char *made, *end;
    bool escapes;

    if (json_text_peek(r) != JSON_STRING || !(to = string_end(r->p, r->end, &escapes)))
        return false;
    from = r->p + 1;
    r->p = to--;
    *value = (struct str){ from, (size_t)(to - from) };
    if (!escapes)
        return true;
    made = arena_alloc(a, value->n + 1);
    if (!made) {
        *failed = true;
        return false;
    }
    end = unescape(from, to, made);
    *value = (struct str){ made, end ? (size_t)(end - made) : 0 };
    return end != NULL;
}

/* --- members ----------------------------------------------------------------------------------------------------- */

bool json_text_enter(struct json_text *r)
{
    if (r->depth == JSON_DEPTH)
        return false;
    r->depth++;
    r->p++;
    return true;
}

bool json_text_more(struct json_text *r, char close, bool first, bool *bad)
{
    skip_blanks(r);
    if (r->p < r->end && *r->p == close) {
        r->p++;
        r->depth--;
        return false;
    }
    if (first)
        return true;
    if (r->p < r->end && *r->p == ',') {
        r->p++;
        return true;
    }
    *bad = true;
    return false;
}

bool json_text_colon(struct json_text *r)
{
    skip_blanks(r);
    if (r->p == r->end || *r->p != ':')
        return false;
    r->p++;
    return true;
}

bool json_text_done(struct json_text *r)
{
    skip_blanks(r);
    return r->p == r->end;
}
