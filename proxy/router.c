#include "proxy/router.h"

#include "base/num.h"

enum { MOST_JOINED = 8192, MOST_GROUPS = 10, MOST_BACKOFF = 10 };

void router_request_init(struct router_request *r, const struct http_head *h, struct str scheme, struct str target)
{
    struct str path = target;
    ptrdiff_t mark = str_chr(path, '?');

    *r = (struct router_request){ .head = h, .method = http_text(h, h->method), .scheme = scheme,
                                  .authority = http_text(h, h->authority), .path = path };
    if (mark >= 0) {
        r->path.n = (size_t)mark;
        r->query = str_from(path, (size_t)mark + 1);
    }
}

static bool istarts(struct str s, struct str prefix)
{
    return s.n >= prefix.n && str_ieq((struct str){ s.p, prefix.n }, prefix);
}

bool router_match_string(const struct string_match *m, struct str s)
{
    switch (m->kind) {
    case STRING_EXACT:
        return m->ignore_case ? str_ieq(s, m->value) : str_eq(s, m->value);
    case STRING_PREFIX:
        return m->ignore_case ? istarts(s, m->value) : str_starts(s, m->value);
    case STRING_REGEX:
        return regex_match(m->re, s);
    case STRING_PRESENT:
        return true;
    }
    return false;
}

/* A field's value; several fields of one name count as one, joined by commas. False: there is none. */
static bool field_value(const struct http_head *h, struct str name, char joined[MOST_JOINED], struct str *value)
{
    size_t n = 0, times = 0;

    for (size_t i = 0; i < h->nfields; i++) {
        struct str v;

        if (!str_ieq(http_text(h, h->fields[i].name), name))
            continue;
        v = http_text(h, h->fields[i].value);
        if (times++ == 0) {
            *value = v;
        } else {
            if (times == 2 && value->n < MOST_JOINED) {
                memcpy(joined, value->p, value->n);
                n = value->n;
            }
            if (n + 1 + v.n > MOST_JOINED)
                return true; /* no rule is that long: what is joined so far decides */
            joined[n++] = ',';
            memcpy(joined + n, v.p, v.n);
            n += v.n;
            *value = (struct str){ joined, n };
        }
    }
    return times > 0;
}

static bool match_header(const struct key_match *k, const struct router_request *r)
{
    char joined[MOST_JOINED];
    struct str value = STR_NULL;
    bool there = field_value(r->head, k->name, joined, &value);

    if (k->value.kind == STRING_PRESENT)
        return there != k->invert;
    if (!there && !k->invert)
        return false;
    /* withoutHeaders: a field that is not there counts as an empty one */
    return router_match_string(&k->value, value) != k->invert;
}

static bool match_query(const struct key_match *k, struct str query)
{
    while (query.p) {
        struct str value = str_cut(&query, '&'), name = str_cut(&value, '=');

        if (str_eq(name, k->name))
            return router_match_string(&k->value, value) != k->invert;
    }
    return k->invert;
}

static bool match_route(const struct route_match *m, const struct router_request *r)
{
    if ((m->uri && !router_match_string(m->uri, r->path)) ||
        (m->method && !router_match_string(m->method, r->method)) ||
        (m->scheme && !router_match_string(m->scheme, r->scheme)) ||
        (m->authority && !router_match_string(m->authority, r->authority)))
        return false;
    for (size_t i = 0; i < m->nheaders; i++)
        if (!match_header(&m->headers[i], r))
            return false;
    for (size_t i = 0; i < m->nquery; i++)
        if (!match_query(&m->query[i], r->query))
            return false;
    return true;
}

const struct route *router_match(const struct virtual_host *vh, const struct router_request *r)
{
    for (size_t i = 0; i < vh->nroutes; i++)
        if (match_route(&vh->routes[i].match, r))
            return &vh->routes[i];
    return NULL;
}

const struct destination *router_pick(const struct destination *d, size_t n, uint64_t total_weight, struct rng *rng)
{
    uint64_t at;
    size_t i = 0;

    if (n == 0)
        return NULL;
    if (n == 1 || total_weight == 0)
        return d;
    at = rng_below(rng, total_weight);
    while (i + 1 < n && at >= d[i].weight)
        at -= d[i++].weight;
    return &d[i];
}

/* Puts the replacement's \0 to \9 in place. */
static void expand(struct buf *b, struct str with, const struct str groups[MOST_GROUPS])
{
    for (size_t i = 0; i < with.n; i++) {
        if (with.p[i] != '\\' || i + 1 == with.n) {
            buf_putc(b, with.p[i]);
        } else {
            char c = with.p[++i];

            if (c >= '0' && c <= '9')
                buf_str(b, groups[c - '0']);
            else
                buf_putc(b, c);
        }
    }
}

static struct str rewrite_regex(struct arena *a, const struct route *rt, struct str path, struct str query)
{
    struct buf b = BUF_INIT(HTTP_MOST_HEAD);
    struct str rest = path, result = STR_NULL;

    while (rest.n) {
        struct str groups[MOST_GROUPS] = { STR_NULL };
        size_t before;

        if (!regex_capture(rt->rewrite_re, rest, groups, MOST_GROUPS) || !groups[0].p)
            break;
        before = (size_t)(groups[0].p - rest.p);
        buf_put(&b, rest.p, before);
        expand(&b, rt->rewrite_uri, groups);
        rest = str_from(rest, before + groups[0].n);
        if (groups[0].n == 0 && rest.n) { /* an empty match moves on by one */
            buf_putc(&b, rest.p[0]);
            rest = str_from(rest, 1);
        }
    }
    buf_str(&b, rest);
    if (query.p)
        buf_printf(&b, "?%.*s", STR_ARG(query));
    if (!buf_failed(&b))
        result = arena_str(a, buf_view(&b));
    buf_free(&b);
    return result;
}

/* How much of the path the route's match stands for: its prefix, or all of it. A route for every path has Istio's
 * prefix "/". */
static size_t matched_length(const struct route_match *m, struct str path)
{
    if (!m->uri || m->uri->kind == STRING_PRESENT)
        return path.n && path.p[0] == '/' ? 1 : 0;
    return m->uri->kind == STRING_PREFIX ? m->uri->value.n : path.n;
}

static struct str with_query(struct arena *a, struct str head, struct str tail, struct str query)
{
    return arena_printf(a, "%.*s%.*s%s%.*s", STR_ARG(head), STR_ARG(tail), query.p ? "?" : "", STR_ARG(query));
}

/* Path and query lie in one target, which is the one that rules have looked at: no other may go on. */
static struct str target_of(const struct router_request *r)
{
    return (struct str){ r->path.p, r->path.n + (r->query.p ? r->query.n + 1 : 0) };
}

struct str router_rewrite(struct arena *a, const struct route *rt, const struct router_request *r)
{
    if (!rt->rewrite)
        return target_of(r);
    if (rt->rewrite_re)
        return rewrite_regex(a, rt, r->path, r->query);
    if (rt->rewrite_uri.n == 0)
        return target_of(r);
    return with_query(a, rt->rewrite_uri, str_from(r->path, matched_length(&rt->match, r->path)), r->query);
}

static struct str without_port(struct str authority)
{
    size_t at = authority.n;

    while (at > 0 && authority.p[at - 1] >= '0' && authority.p[at - 1] <= '9')
        at--;
    return at > 0 && authority.p[at - 1] == ':' ? (struct str){ authority.p, at - 1 } : authority;
}

struct str router_split_authority(struct str authority, uint16_t *port)
{
    struct str host = without_port(authority);
    uint64_t v = 0;

    if (host.n < authority.n && (!num_u64(str_from(authority, host.n + 1), &v) || v > UINT16_MAX))
        v = 0;
    *port = (uint16_t)v;
    return host.n > 2 && host.p[0] == '[' && host.p[host.n - 1] == ']' ? (struct str){ host.p + 1, host.n - 2 } : host;
}

struct str router_location(struct arena *a, const struct route *rt, const struct router_request *r)
{
    const struct redirect *d = &rt->redirect;
    struct str scheme = d->scheme.n ? d->scheme : r->scheme;
    struct str host = d->authority.n ? d->authority : r->authority;
    struct str path = with_query(a, r->path, STR_NULL, r->query);

    if (d->uri.n) /* a query of its own takes the request's place */
        path = with_query(a, d->uri, STR_NULL, str_chr(d->uri, '?') >= 0 ? STR_NULL : r->query);
    else if (d->prefix.n)
        path = with_query(a, d->prefix, str_from(r->path, matched_length(&rt->match, r->path)), r->query);
    if (!path.p)
        return STR_NULL;
    if (d->port)
        return arena_printf(a, "%.*s://%.*s:%u%.*s", STR_ARG(scheme), STR_ARG(without_port(host)), d->port,
                            STR_ARG(path));
    if (!d->authority.n && !str_eq(scheme, r->scheme) &&
        (str_ends(host, STR(":80")) || str_ends(host, STR(":443")))) /* the other scheme's default port */
        host = without_port(host);
    return arena_printf(a, "%.*s://%.*s%.*s", STR_ARG(scheme), STR_ARG(host), STR_ARG(path));
}

struct str router_https_location(struct arena *a, const struct router_request *r)
{
    return arena_printf(a, "https://%.*s%.*s", STR_ARG(without_port(r->authority)), STR_ARG(target_of(r)));
}

bool router_cors_allows(const struct cors *c, struct str origin)
{
    for (size_t i = 0; origin.p && i < c->norigins; i++) {
        const struct string_match *m = &c->origins[i];

        if (router_match_string(m, origin) || (m->kind == STRING_EXACT && str_eqz(m->value, "*")))
            return true;
    }
    return false;
}

static bool retries_grpc(const struct retry_policy *p, struct str status)
{
    return (p->on & RETRY_CANCELLED && str_eqz(status, "1")) ||
           (p->on & RETRY_DEADLINE_EXCEEDED && str_eqz(status, "4")) ||
           (p->on & RETRY_RESOURCE_EXHAUSTED && str_eqz(status, "8")) ||
           (p->on & RETRY_INTERNAL && str_eqz(status, "13")) ||
           (p->on & RETRY_UNAVAILABLE && str_eqz(status, "14"));
}

bool router_retries_status(const struct retry_policy *p, unsigned status, struct str grpc_status)
{
    if ((p->on & RETRY_5XX && status >= 500) || (p->on & RETRY_GATEWAY_ERROR && status >= 502 && status <= 504) ||
        (p->on & RETRY_RETRIABLE_4XX && status == 409) || (grpc_status.n && retries_grpc(p, grpc_status)))
        return true;
    for (size_t i = 0; p->on & RETRY_STATUS_CODES && i < p->ncodes; i++)
        if (p->codes[i] == status)
            return true;
    return false;
}

bool router_retries_reset(const struct retry_policy *p, enum router_reset how)
{
    if (p->on & (RETRY_5XX | RETRY_GATEWAY_ERROR | RETRY_RESET))
        return true;
    if (how == RESET_CONNECT && p->on & (RETRY_CONNECT_FAILURE | RETRY_RESET_BEFORE_REQUEST))
        return true;
    return how == RESET_REFUSED && p->on & RETRY_REFUSED_STREAM;
}

int64_t router_backoff_ms(const struct retry_policy *p, unsigned retry, struct rng *rng)
{
    int64_t base = p->backoff_ms > 0 ? p->backoff_ms : 25, most = base * MOST_BACKOFF;
    int64_t span = base * ((INT64_C(1) << (retry < 5 ? retry : 5)) - 1);

    return (int64_t)rng_below(rng, (uint64_t)(span < most ? span : most) + 1);
}
