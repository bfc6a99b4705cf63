/* jwt_places.c: where requests show tokens, as Envoy's JWT filter looks for them: in headers, the query, cookies.
 *
 * What is not found is not asked for, so looking must not be stricter than those behind us: a prefix counts wherever it
 * stands in the header, names and values of the query are decoded. */
#include "proxy/jwt_places-internal.h"
#include "proxy/percent.h"

struct look {
    struct arena *a;
    const struct header_source *headers;
    struct str query;
    struct jwt_found *found;
    int n; /* -1: too many, -2: no memory */
};

static void add(struct look *l, struct str text, enum jwt_place_kind kind, struct str name)
{
    if (l->n < 0)
        return;
    if (l->n == JWT_MOST_FOUND)
        l->n = -1;
    else
        l->found[l->n++] = (struct jwt_found){ text, kind, name };
}

static void look_in_header(struct look *l, struct str name, struct str prefix)
{
    for (size_t i = 0;; i++) {
        struct str value = header_nth(l->headers, name, i), rest;
        ptrdiff_t at;

        if (!value.p)
            return;
        at = str_find(value, prefix);
        if (at < 0)
            continue;
        rest = str_from(value, (size_t)at + prefix.n);
        while (rest.n && prefix.n && (rest.p[0] == '~' || !percent_is_unreserved(rest.p[0])))
            rest = str_from(rest, 1);
        add(l, rest.n ? rest : value, JWT_IN_HEADER, name);
    }
}

/* Without escapes; a view where there are none. p NULL: no memory. */
static struct str decode(struct arena *a, struct str s)
{
    char *p;
    size_t n = 0;

    if (str_chr(s, '%') < 0)
        return s;
    p = arena_alloc(a, s.n);
    if (!p)
        return STR_NULL;
    for (size_t i = 0; i < s.n; i++) {
        int c = percent_byte(s, i);

        p[n++] = c < 0 ? s.p[i] : (char)c;
        i += c < 0 ? 0 : 2;
    }
    return (struct str){ p, n };
}

static void look_in_query(struct look *l, struct str name)
{
    struct str rest = l->query;

    while (rest.p) {
        struct str value = str_cut(&rest, '&'), key = decode(l->a, str_cut(&value, '='));

        if (!key.p && l->n >= 0)
            l->n = -2;
        if (!str_eq(key, name) || !value.p)
            continue;
        value = decode(l->a, value);
        if (!value.p)
            l->n = -2;
        add(l, value, JWT_IN_QUERY, name); /* each of that name: the one behind us may read the first or the last */
    }
}

static void look_in_cookies(struct look *l, struct str name)
{
    for (size_t i = 0;; i++) {
        struct str rest = header_nth(l->headers, STR("cookie"), i);

        if (!rest.p)
            return;
        while (rest.p) {
            struct str value = str_cut(&rest, ';'), key = str_trim(str_cut(&value, '='));

            if (!str_eq(key, name) || !value.p)
                continue;
            value = str_trim(value);
            if (value.n >= 2 && value.p[0] == '"' && value.p[value.n - 1] == '"')
                value = (struct str){ value.p + 1, value.n - 2 };
            add(l, value, JWT_IN_COOKIE, name);
        }
    }
}

int jwt_look(const struct jwt_rule *r, struct arena *a, const struct header_source *headers, struct str target,
             struct jwt_found found[JWT_MOST_FOUND])
{
    ptrdiff_t mark = str_chr(target, '?');
    struct look l = { a, headers, mark < 0 ? STR_NULL : str_from(target, (size_t)mark + 1), found, 0 };

    for (size_t i = 0; i < r->nheaders; i++)
        look_in_header(&l, r->headers[i].name, r->headers[i].prefix);
    for (size_t i = 0; i < r->nparams; i++)
        look_in_query(&l, r->params[i]);
    for (size_t i = 0; i < r->ncookies; i++)
        look_in_cookies(&l, r->cookies[i]);
    if (r->nheaders + r->nparams + r->ncookies == 0) { /* RFC 6750, 2.1 and 2.3 */
        look_in_header(&l, STR("authorization"), STR("Bearer "));
        look_in_query(&l, STR("access_token"));
    }
    return l.n;
}

struct str jwt_without_param(struct arena *a, struct str target, struct str name)
{
    ptrdiff_t mark = str_chr(target, '?');
    struct str rest = str_from(target, (size_t)mark + 1);
    char *p = arena_alloc(a, target.n + 1);
    size_t n = (size_t)mark;

    if (!p)
        return STR_NULL;
    memcpy(p, target.p, n);
    while (rest.p) {
        struct str part = str_cut(&rest, '&'), value = part, key = decode(a, str_cut(&value, '='));

        if (!key.p)
            return STR_NULL;
        if (str_eq(key, name))
            continue;
        p[n] = n == (size_t)mark ? '?' : '&';
        if (part.n)
            memcpy(p + n + 1, part.p, part.n);
        n += 1 + part.n;
    }
    return (struct str){ p, n };
}
