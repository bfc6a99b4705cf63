#include "proxy/xfcc.h"

#include "base/buf.h"

/* ---- writing ---- */

/* Quoted; of backslashes in front of a quote, or of the end, there are twice as many. */
static void put_quoted(struct buf *b, struct str s)
{
    size_t slashes = 0;

    buf_putc(b, '"');
    for (size_t i = 0; i <= s.n; i++) {
        char c = i < s.n ? s.p[i] : '"';

        if (c == '"')
            for (size_t k = 0; k < slashes + (i < s.n); k++)
                buf_putc(b, '\\');
        slashes = c == '\\' ? slashes + 1 : 0;
        buf_putc(b, c);
    }
}

static bool is_special(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] == ',' || s.p[i] == ';' || s.p[i] == '=' || s.p[i] == '"' || s.p[i] == ' ' || s.p[i] == '\t')
            return true;
    return false;
}

static void put_pair(struct buf *b, const char *name, struct str value, bool quote)
{
    if (b->n)
        buf_putc(b, ';');
    buf_printf(b, "%s=", name);
    if (quote || is_special(value))
        put_quoted(b, value);
    else
        buf_str(b, value);
}

struct str xfcc_format(struct arena *a, const struct xfcc_element *e)
{
    struct buf b = BUF_INIT(XFCC_MOST_BYTES);
    struct str out = STR_NULL;

    if (e->by.n)
        put_pair(&b, "By", e->by, false);
    if (e->hash.n)
        put_pair(&b, "Hash", e->hash, false);
    if (e->cert.n)
        put_pair(&b, "Cert", e->cert, true);
    if (e->chain.n)
        put_pair(&b, "Chain", e->chain, true);
    if (e->subject.p)
        put_pair(&b, "Subject", e->subject, true);
    for (size_t i = 0; i < e->nuris; i++)
        put_pair(&b, "URI", e->uris[i], false);
    for (size_t i = 0; i < e->ndns; i++)
        put_pair(&b, "DNS", e->dns[i], false);
    if (!buf_failed(&b))
        out = arena_str(a, buf_view(&b));
    buf_free(&b);
    return out;
}

int xfcc_apply(struct arena *a, enum xfcc_mode mode, bool mutual, struct str came, struct str ours, struct str *out)
{
    *out = STR_NULL;
    if (mode == XFCC_ALWAYS_FORWARD_ONLY || (mode == XFCC_FORWARD_ONLY && mutual))
        *out = came;
    if (!mutual || (mode != XFCC_APPEND_FORWARD && mode != XFCC_SANITIZE_SET))
        return 0;
    *out = mode == XFCC_APPEND_FORWARD && came.n ? arena_printf(a, "%.*s,%.*s", STR_ARG(came), STR_ARG(ours)) : ours;
    return out->p ? 0 : ERR_NOMEM;
}

/* ---- reading ---- */

struct reader {
    struct arena *a;
    struct str in;
    size_t at;
    struct err *e;
};

static bool is_at(const struct reader *r, char c)
{
    return r->at < r->in.n && r->in.p[r->at] == c;
}

static void skip_blanks(struct reader *r)
{
    while (is_at(r, ' ') || is_at(r, '\t'))
        r->at++;
}

/* Behind the opening quote, up to and with the closing one. */
static int read_quoted(struct reader *r, struct str *value)
{
    char *p = arena_alloc(r->a, r->in.n - r->at + 1);
    size_t n = 0, slashes = 0, opened = r->at;

    if (!p)
        return err_set(r->e, ERR_NOMEM, "no memory for a value");
    for (; r->at < r->in.n; r->at++) {
        char c = r->in.p[r->at];

        if (c == '"') {
            n -= slashes - slashes / 2;
            if (slashes % 2 == 0) {
                r->at++;
                *value = (struct str){ p, n };
                return 0;
            }
        }
        slashes = c == '\\' ? slashes + 1 : 0;
        p[n++] = c;
    }
    return err_set(r->e, ERR_PARSE, "byte %zu: a quote is opened and not closed", opened);
}

static int read_value(struct reader *r, struct str *value)
{
    size_t from;
    int rc;

    skip_blanks(r);
    if (is_at(r, '"')) {
        r->at++;
        rc = read_quoted(r, value);
        if (rc < 0)
            return rc;
        skip_blanks(r);
    } else {
        from = r->at;
        while (r->at < r->in.n && !memchr(",;\"", r->in.p[r->at], 3))
            r->at++;
        *value = str_trim((struct str){ r->in.p + from, r->at - from });
    }
    if (r->at < r->in.n && !is_at(r, ',') && !is_at(r, ';'))
        return err_set(r->e, ERR_PARSE, "byte %zu: , or ; is expected behind a value", r->at);
    return 0;
}

/* The names of an element while it is read. */
struct names {
    struct str v[XFCC_MOST_NAMES];
    size_t n;
};

static int add_name(struct reader *r, struct names *names, struct str value)
{
    if (value.n == 0) /* "URI=" says that there is none */
        return 0;
    if (names->n == XFCC_MOST_NAMES)
        return err_set(r->e, ERR_LIMIT, "byte %zu: more than %d names in an element", r->at, XFCC_MOST_NAMES);
    names->v[names->n++] = value;
    return 0;
}

static int take_pair(struct reader *r, struct str key, struct str value, struct xfcc_element *el, struct names *uris,
                     struct names *dns)
{
    if (str_ieq(key, STR("URI")))
        return add_name(r, uris, value);
    if (str_ieq(key, STR("DNS")))
        return add_name(r, dns, value);
    if (str_ieq(key, STR("By")) && !el->by.n) /* newer Envoys say all of their URIs: the first is the identity */
        el->by = value;
    else if (str_ieq(key, STR("Hash")))
        el->hash = value;
    else if (str_ieq(key, STR("Cert")))
        el->cert = value;
    else if (str_ieq(key, STR("Chain")))
        el->chain = value;
    else if (str_ieq(key, STR("Subject")))
        el->subject = value;
    return 0;
}

static int read_pair(struct reader *r, struct xfcc_element *el, struct names *uris, struct names *dns)
{
    size_t from = r->at;
    struct str key, value = STR_NULL;
    int rc;

    while (r->at < r->in.n && !memchr("=,;\"", r->in.p[r->at], 4))
        r->at++;
    key = str_trim((struct str){ r->in.p + from, r->at - from });
    if (!is_at(r, '=') || key.n == 0)
        return err_set(r->e, ERR_PARSE, "byte %zu: NAME=VALUE is expected", from);
    r->at++;
    rc = read_value(r, &value);
    return rc < 0 ? rc : take_pair(r, key, value, el, uris, dns);
}

static int keep_names(struct reader *r, const struct names *names, const struct str **v, size_t *n)
{
    struct str *copy = arena_array(r->a, names->n ? names->n : 1, sizeof(*copy));

    if (!copy)
        return err_set(r->e, ERR_NOMEM, "no memory for names");
    memcpy(copy, names->v, names->n * sizeof(*copy));
    *v = copy;
    *n = names->n;
    return 0;
}

static int read_element(struct reader *r, struct xfcc_element *el)
{
    struct names uris = { .n = 0 }, dns = { .n = 0 };
    bool more = true;
    int rc = 0;

    *el = (struct xfcc_element){ .nuris = 0 };
    while (more && rc == 0) {
        rc = read_pair(r, el, &uris, &dns);
        more = is_at(r, ';');
        r->at += more;
    }
    if (rc == 0)
        rc = keep_names(r, &uris, &el->uris, &el->nuris);
    return rc == 0 ? keep_names(r, &dns, &el->dns, &el->ndns) : rc;
}

int xfcc_parse(struct arena *a, struct str value, const struct xfcc_element **v, size_t *n, struct err *e)
{
    struct reader r = { a, value, 0, e };
    struct xfcc_element *list = arena_array(a, XFCC_MOST_ELEMENTS, sizeof(*list));
    bool more = true;
    int rc = 0;

    *v = list;
    *n = 0;
    if (!list)
        return err_set(e, ERR_NOMEM, "no memory for elements");
    if (value.n > XFCC_MOST_BYTES)
        return err_set(e, ERR_LIMIT, "%zu bytes, at most %d are read", value.n, XFCC_MOST_BYTES);
    while (more && rc == 0) {
        if (*n == XFCC_MOST_ELEMENTS)
            return err_set(e, ERR_LIMIT, "more than %d elements", XFCC_MOST_ELEMENTS);
        rc = read_element(&r, &list[*n]);
        *n += rc == 0;
        more = is_at(&r, ',');
        r.at += more;
    }
    return rc;
}
