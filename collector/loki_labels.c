/* loki_labels.c: a stream's labels as text.
 *
 *   labels = "{" [ pair { "," pair } [ "," ] ] "}"      pair = name "=" string
 *   name   = [a-zA-Z_:][a-zA-Z0-9_:.-]*                 string = Go's, "…" with escapes or `…` without */
#include "collector/loki_push-internal.h"

struct scanner {
    const char *start, *p, *end;
    struct arena *arena;
};

static int fail(const struct scanner *s, struct err *e, const char *what)
{
    return err_set(e, ERR_PARSE, "1:%zu: parse error: %s", (size_t)(s->p - s->start) + 1, what);
}

static char peek(struct scanner *s)
{
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\t' || *s->p == '\n' || *s->p == '\r'))
        s->p++;
    return s->p < s->end ? *s->p : '\0';
}

static bool take(struct scanner *s, char c)
{
    if (peek(s) != c || s->p == s->end)
        return false;
    s->p++;
    return true;
}

static bool in_name(char c, bool first)
{
    bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == ':';

    return letter || (!first && ((c >= '0' && c <= '9') || c == '.' || c == '-'));
}

static int read_name(struct scanner *s, struct str *name, struct err *e)
{
    const char *from;

    peek(s);
    from = s->p;
    while (s->p < s->end && in_name(*s->p, s->p == from))
        s->p++;
    *name = (struct str){ from, (size_t)(s->p - from) };
    return name->n ? 0 : fail(s, e, "should be a label's name");
}

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : 99;
}

/* n digits to a base. */
static bool read_code(struct scanner *s, size_t n, unsigned base, uint32_t *code)
{
    *code = 0;
    if ((size_t)(s->end - s->p) < n)
        return false;
    for (size_t i = 0; i < n; i++) {
        unsigned d = (unsigned)digit(*s->p++);

        if (d >= base)
            return false;
        *code = *code * base + d;
    }
    return true;
}

/* `to` has room for four bytes; returns how many. */
static size_t put_rune(char *to, uint32_t c)
{
    size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const unsigned char lead[] = { 0, 0, 0xc0, 0xe0, 0xf0 };

    for (size_t i = n; i-- > 1; c >>= 6)
        to[i] = (char)(0x80 | (c & 0x3f));
    to[0] = (char)(lead[n] | c);
    return n;
}

/* Behind the backslash. What it stands for is never longer than the escape. */
static int read_escape(struct scanner *s, char *to, size_t *n, struct err *e)
{
    static const char from[] = "abfnrtv\\\"'", means[] = "\a\b\f\n\r\t\v\\\"'";
    const char *at;
    uint32_t code;
    char c = s->p < s->end ? *s->p++ : '\0';
    size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;

    if (digits && read_code(s, digits, 16, &code) && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff)) {
        *n += c == 'x' ? 1 : put_rune(to + *n, code);
        if (c == 'x')
            to[*n - 1] = (char)code;
        return 0;
    }
    if (c >= '0' && c <= '7') {
        s->p--;
        if (read_code(s, 3, 8, &code) && code <= 0xff) {
            to[(*n)++] = (char)code;
            return 0;
        }
    }
    at = c && !digits ? strchr(from, c) : NULL;
    if (!at)
        return fail(s, e, "no such escape in a string");
    to[(*n)++] = means[at - from];
    return 0;
}

static int read_escaped(struct scanner *s, struct str raw, struct str *out, struct err *e)
{
    struct scanner in = { s->start, raw.p, raw.p + raw.n, s->arena };
    char *to = arena_alloc(s->arena, raw.n + 1);
    size_t n = 0;
    int rc = 0;

    if (!to)
        return err_set(e, ERR_NOMEM, "no memory for a label");
    while (rc == 0 && in.p < in.end) {
        char c = *in.p++;

        if (c == '\\')
            rc = read_escape(&in, to, &n, e);
        else
            to[n++] = c;
    }
    *out = (struct str){ to, n };
    return rc;
}

static int read_string(struct scanner *s, struct str *out, struct err *e)
{
    char quote = peek(s);
    const char *from = s->p + 1;
    bool escaped = false;

    if (quote != '"' && quote != '`')
        return fail(s, e, "should be a string");
    s->p++;
    while (s->p < s->end && *s->p != quote && !(quote == '"' && *s->p == '\n')) {
        bool escape = quote == '"' && *s->p == '\\';

        escaped |= escape;
        s->p += escape && s->p + 1 < s->end ? 2 : 1;
    }
    if (s->p >= s->end || *s->p != quote)
        return fail(s, e, "the string does not end");
    *out = (struct str){ from, (size_t)(s->p++ - from) };
    return escaped ? read_escaped(s, *out, out, e) : 0;
}

int loki_labels_parse(struct str text, struct arena *a, struct loki_labels *out, struct err *e)
{
    struct scanner s = { text.p, text.p, text.p ? text.p + text.n : text.p, a };
    struct str name, value;
    int rc;

    out->n = 0;
    if (!take(&s, '{'))
        return fail(&s, e, "should be {");
    while (!take(&s, '}')) {
        if (out->n && !take(&s, ','))
            return fail(&s, e, "should be , or }");
        if (out->n && take(&s, '}'))
            break;
        if ((rc = read_name(&s, &name, e)) < 0)
            return rc;
        if (!take(&s, '='))
            return fail(&s, e, "should be =");
        if ((rc = read_string(&s, &value, e)) < 0)
            return rc;
        loki_label_add(out, name, value);
    }
    return peek(&s) || s.p != s.end ? fail(&s, e, "nothing should follow }") : 0;
}
