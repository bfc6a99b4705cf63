#include "collector/json-internal.h"

struct json_reader json_reader(struct str text)
{
    return (struct json_reader){ text.p, text.p, text.p ? text.p + text.n : text.p };
}

int json_fail(const struct json_reader *r, struct err *e, const char *what)
{
    return err_set(e, ERR_PARSE, "json: byte %zu: %s", (size_t)(r->p - r->start), what);
}

char json_peek(struct json_reader *r)
{
    while (r->p < r->end && (*r->p == ' ' || *r->p == '\n' || *r->p == '\t' || *r->p == '\r'))
        r->p++;
    return r->p < r->end ? *r->p : '\0';
}

bool json_take(struct json_reader *r, char c)
{
    if (json_peek(r) != c || r->p == r->end)
        return false;
    r->p++;
    return true;
}

int json_want(struct json_reader *r, char c, struct err *e)
{
    char what[] = "should be ' '";

    if (json_take(r, c))
        return 0;
    what[sizeof(what) - 3] = c;
    return json_fail(r, e, what);
}

int json_more(struct json_reader *r, char close, bool *first, struct err *e)
{
    if (json_take(r, close)) {
        *first = false;
        return 0;
    }
    if (!*first && !json_take(r, ','))
        return json_fail(r, e, close == '}' ? "should be ',' or '}'" : "should be ',' or ']'");
    if (!*first && json_peek(r) == close)
        return json_fail(r, e, "should be a value: nothing follows the comma");
    *first = false;
    return 1;
}

static bool read_hex4(struct json_reader *r, uint32_t *v)
{
    *v = 0;
    if (r->end - r->p < 4)
        return false;
    for (int i = 0; i < 4; i++) {
        char c = *r->p++;
        unsigned digit;

        if (c >= '0' && c <= '9')
            digit = (unsigned)(c - '0');
        else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
            digit = (unsigned)((c | 0x20) - 'a' + 10);
        else
            return false;
        *v = *v << 4 | digit;
    }
    return true;
}

static void put_utf8(struct buf *out, uint32_t c)
{
    if (c < 0x80) {
        buf_putc(out, (char)c);
    } else if (c < 0x800) {
        buf_putc(out, (char)(0xc0 | c >> 6));
        buf_putc(out, (char)(0x80 | (c & 0x3f)));
    } else if (c < 0x10000) {
        buf_putc(out, (char)(0xe0 | c >> 12));
        buf_putc(out, (char)(0x80 | (c >> 6 & 0x3f)));
        buf_putc(out, (char)(0x80 | (c & 0x3f)));
    } else {
        buf_putc(out, (char)(0xf0 | c >> 18));
        buf_putc(out, (char)(0x80 | (c >> 12 & 0x3f)));
        buf_putc(out, (char)(0x80 | (c >> 6 & 0x3f)));
        buf_putc(out, (char)(0x80 | (c & 0x3f)));
    }
}

/* \uXXXX, with its second half when it is a surrogate pair. */
static int read_unicode(struct json_reader *r, struct buf *out, struct err *e)
{
    uint32_t c, low;

    if (!read_hex4(r, &c))
        return json_fail(r, e, "\\u should be followed by four hexadecimal digits");
    if (c >= 0xd800 && c < 0xdc00) {
        if (r->end - r->p < 2 || r->p[0] != '\\' || r->p[1] != 'u')
            return json_fail(r, e, "half a surrogate pair");
        r->p += 2;
        if (!read_hex4(r, &low) || low < 0xdc00 || low > 0xdfff)
            return json_fail(r, e, "half a surrogate pair");
        c = 0x10000 + ((c - 0xd800) << 10 | (low - 0xdc00));
    } else if (c >= 0xdc00 && c < 0xe000) {
        return json_fail(r, e, "half a surrogate pair");
    }
    put_utf8(out, c);
    return 0;
}

static int read_escape(struct json_reader *r, struct buf *out, struct err *e)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char *at;
    char c;

    if (r->p == r->end)
        return json_fail(r, e, "cut short in a string");
    c = *r->p++;
    if (c == 'u')
        return read_unicode(r, out, e);
    at = c ? strchr(from, c) : NULL;
    if (!at)
        return json_fail(r, e, "no such escape in a string");
    buf_putc(out, to[at - from]);
    return 0;
}

int json_string(struct json_reader *r, struct buf *out, struct err *e)
{
    const char *from;
    int rc = 0;

    buf_reset(out);
    if (!json_take(r, '"'))
        return json_fail(r, e, "should be a string");
    while (rc == 0) {
        from = r->p;
        while (r->p < r->end && *r->p != '"' && *r->p != '\\' && (unsigned char)*r->p >= 0x20)
            r->p++;
        if (!str_is_utf8((struct str){ from, (size_t)(r->p - from) }))
            return json_fail(r, e, "the string before is not UTF-8");
        buf_put(out, from, (size_t)(r->p - from));
        if (r->p == r->end)
            return json_fail(r, e, "cut short in a string");
        if (*r->p == '"')
            break;
        if (*r->p++ != '\\')
            return json_fail(r, e, "a control character in a string");
        rc = read_escape(r, out, e);
    }
    r->p += rc == 0;
    if (rc == 0 && buf_failed(out))
        return err_set(e, ERR_NOMEM, "json: no memory for a string");
    return rc;
}

int json_text(struct json_reader *r, struct arena *a, struct buf *scratch, struct str *out, struct err *e)
{
    const char *from = NULL, *to;
    int rc;

    if (json_peek(r) == '"') {
        from = to = r->p + 1;
        while (to < r->end && *to != '"' && *to != '\\' && (unsigned char)*to >= 0x20)
            to++;
        *out = (struct str){ from, (size_t)(to - from) };
        if (to < r->end && *to == '"' && str_is_utf8(*out)) {
            r->p = to + 1;
            return 0;
        }
    }
    if ((rc = json_string(r, scratch, e)) < 0)
        return rc;
    *out = arena_str(a, buf_view(scratch));
    return out->p ? 0 : err_set(e, ERR_NOMEM, "json: no memory for a string");
}

static size_t digits(struct json_reader *r)
{
    const char *from = r->p;

    while (r->p < r->end && *r->p >= '0' && *r->p <= '9')
        r->p++;
    return (size_t)(r->p - from);
}

int json_number(struct json_reader *r, struct str *text, struct err *e)
{
    const char *from;
    size_t n;
    bool zero;

    json_peek(r);
    from = r->p;
    if (r->p < r->end && *r->p == '-')
        r->p++;
    zero = r->p < r->end && *r->p == '0';
    n = digits(r);
    if (n == 0 || (zero && n > 1))
        return json_fail(r, e, "should be a number");
    if (r->p < r->end && *r->p == '.') {
        r->p++;
        if (digits(r) == 0)
            return json_fail(r, e, "a digit should follow the point");
    }
    if (r->p < r->end && (*r->p | 0x20) == 'e') {
        r->p++;
        if (r->p < r->end && (*r->p == '+' || *r->p == '-'))
            r->p++;
        if (digits(r) == 0)
            return json_fail(r, e, "a digit should follow the exponent");
    }
    *text = (struct str){ from, (size_t)(r->p - from) };
    return 0;
}

bool json_word(struct json_reader *r, struct str word)
{
    json_peek(r);
    if (!str_starts((struct str){ r->p, (size_t)(r->end - r->p) }, word))
        return false;
    r->p += word.n;
    return true;
}

static int skip_members(struct json_reader *r, struct buf *scratch, char close, unsigned depth, struct err *e)
{
    bool first = true;
    int rc;

    while ((rc = json_more(r, close, &first, e)) == 1) {
        if (close == '}' && ((rc = json_string(r, scratch, e)) < 0 || (rc = json_want(r, ':', e)) < 0))
            return rc;
        if ((rc = json_skip(r, scratch, depth, e)) < 0)
            return rc;
    }
    return rc;
}

int json_skip(struct json_reader *r, struct buf *scratch, unsigned depth, struct err *e)
{
    struct str number;

    if (depth == 0)
        return json_fail(r, e, "nested too deeply");
    switch (json_peek(r)) {
    case '{':
        r->p++;
        return skip_members(r, scratch, '}', depth - 1, e);
    case '[':
        r->p++;
        return skip_members(r, scratch, ']', depth - 1, e);
    case '"':
        return json_string(r, scratch, e);
    case 't':
    case 'f':
    case 'n':
        if (json_word(r, STR("true")) || json_word(r, STR("false")) || json_word(r, STR("null")))
            return 0;
        return json_fail(r, e, "should be a value");
    default:
        return json_number(r, &number, e);
    }
}
