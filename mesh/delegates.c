/* delegates.c: one VirtualService lends its rules to another.
 *
 * A rule that delegates is replaced by the rules of the VirtualService it names, each narrowed to what the delegating
 * rule matches: of two conditions on one field the delegate's counts, and must lie within the other's; where it does
 * not, that pair of matches can never hold and is left out. What the delegate's rule does not set it takes over. */
#include "mesh/model-internal.h"

enum { MOST_MERGED = 10000 }; /* rules, and matches of one rule */

struct merge {
    struct check c;
    size_t rules, cap;
    struct vs_http *v;
};

/* Whether `leaf` may ask for more than `root` lets through. */
static bool string_conflict(const struct vs_string *root, const struct vs_string *leaf)
{
    if (!root || !leaf)
        return false;
    if (root->match.kind == STRING_EXACT)
        return leaf->match.kind != STRING_EXACT || !str_eq(root->exact, leaf->exact);
    if (root->match.kind == STRING_PREFIX && leaf->match.kind == STRING_EXACT)
        return !str_starts(leaf->exact, root->prefix);
    if (root->match.kind == STRING_PREFIX && leaf->match.kind == STRING_PREFIX)
        return !str_starts(leaf->prefix, root->prefix);
    return root->match.kind != STRING_PRESENT;
}

static bool map_conflict(const struct vs_string *root, size_t nroot, const struct vs_string *leaf, size_t nleaf)
{
    for (size_t i = 0; i < nroot; i++)
        for (size_t k = 0; k < nleaf; k++)
            if (str_eq(root[i].at->key, leaf[k].at->key) && string_conflict(&root[i], &leaf[k]))
                return true;
    return false;
}

static bool match_conflict(const struct vs_http_match *root, const struct vs_http_match *leaf)
{
    return string_conflict(root->uri, leaf->uri) || string_conflict(root->scheme, leaf->scheme) ||
           string_conflict(root->method, leaf->method) || string_conflict(root->authority, leaf->authority) ||
           map_conflict(root->headers.v, root->headers.n, leaf->headers.v, leaf->headers.n) ||
           map_conflict(root->without_headers.v, root->without_headers.n, leaf->without_headers.v,
                        leaf->without_headers.n) ||
           map_conflict(root->query_params.v, root->query_params.n, leaf->query_params.v, leaf->query_params.n) ||
           (root->port && leaf->port && root->port != leaf->port) ||
           (root->source_namespace.n && leaf->source_namespace.n &&
            !str_eq(root->source_namespace, leaf->source_namespace));
}

/* The leaf's conditions and those of the root's whose key the leaf does not have. */
static void merge_map(struct check *c, const struct vs_string *root, size_t nroot, struct vs_string **v, size_t *n)
{
    struct vs_string *both = check_alloc(c, nroot + *n, sizeof(*both));
    size_t k = 0;

    for (size_t i = 0; both && i < *n; i++)
        both[k++] = (*v)[i];
    for (size_t i = 0; both && i < nroot; i++) {
        bool there = false;

        for (size_t j = 0; j < *n; j++)
            there = there || str_eq(root[i].at->key, (*v)[j].at->key);
        if (!there)
            both[k++] = root[i];
    }
    if (both) {
        *v = both;
        *n = k;
    }
}

static struct vs_http_match merge_match(struct check *c, const struct vs_http_match *root,
                                        const struct vs_http_match *leaf)
{
    struct vs_http_match m = *leaf;

    if (!m.uri)
        m.uri = root->uri;
    if (!m.scheme)
        m.scheme = root->scheme;
    if (!m.method)
        m.method = root->method;
    if (!m.authority)
        m.authority = root->authority;
    if (!m.port)
        m.port = root->port;
    if (!m.source_namespace.n)
        m.source_namespace = root->source_namespace;
    if (!m.source_labels.n)
        m.source_labels = root->source_labels;
    if (!m.gateways.n) {
        m.gateways.v = root->gateways.v;
        m.gateways.n = root->gateways.n;
    }
    m.ignore_uri_case = root->ignore_uri_case || leaf->ignore_uri_case;
    merge_map(c, root->headers.v, root->headers.n, &m.headers.v, &m.headers.n);
    merge_map(c, root->without_headers.v, root->without_headers.n, &m.without_headers.v, &m.without_headers.n);
    merge_map(c, root->query_params.v, root->query_params.n, &m.query_params.v, &m.query_params.n);
    return m;
}

/* False when no pair of matches can hold, or memory is short. */
static bool merge_matches(struct check *c, const struct vs_http *root, struct vs_http *to)
{
    struct vs_http_match *v;
    size_t n = 0;

    if (root->match.n == 0)
        return true;
    if (to->match.n == 0) {
        to->match.v = root->match.v;
        to->match.n = root->match.n;
        return true;
    }
    if (root->match.n > MOST_MERGED / to->match.n)
        return false;
    v = check_alloc(c, root->match.n * to->match.n, sizeof(*v));
    for (size_t i = 0; v && i < root->match.n; i++)
        for (size_t k = 0; k < to->match.n && !c->nomem; k++)
            if (!match_conflict(&root->match.v[i], &to->match.v[k])) {
                v[n] = merge_match(c, &root->match.v[i], &to->match.v[k]);
                vs_compile_match(c, &v[n++]);
            }
    to->match.v = v;
    to->match.n = n;
    return n > 0 && !c->nomem;
}

static void merge_rest(struct check *c, const struct vs_http *root, struct vs_http *to)
{
    if (!to->rewrite && !to->redirect && !to->direct)
        to->rewrite = root->rewrite;
    if (!check_get(to->at, "timeout"))
        to->timeout = root->timeout;
    if (!to->retries)
        to->retries = root->retries;
    if (!to->fault)
        to->fault = root->fault;
    if (!to->mirrors.n) {
        to->mirrors.v = root->mirrors.v;
        to->mirrors.n = root->mirrors.n;
    }
    if (!to->cors)
        to->cors = root->cors;
    if (!to->headers)
        to->headers = root->headers;
    if (root->name.n && to->name.n)
        to->name = check_printf(c, "%.*s-%.*s", STR_ARG(root->name), STR_ARG(to->name));
    else if (root->name.n)
        to->name = root->name;
}

static void add_rule(struct merge *m, const struct vs_http *rule)
{
    if (arena_grow(m->c.arena, &m->v, &m->cap, m->rules + 1, sizeof(*m->v)) < 0)
        m->c.nomem = true;
    else
        m->v[m->rules++] = *rule;
}

static void expand_rule(struct merge *m, const struct mesh *mesh, const struct vs_http *root)
{
    const struct vs_delegate *d = root->delegate;
    const struct virtual_service *from = mesh_virtual_service(mesh, d->ns, d->name);

    if (!from || from->hosts.n) {
        check_warn(&m->c, d->at, NULL, from ? "VirtualService %.*s/%.*s has hosts, so that it cannot be delegated to"
                                            : "there is no VirtualService %.*s/%.*s: the rule does nothing",
                   STR_ARG(d->ns), STR_ARG(d->name));
        return;
    }
    for (size_t i = 0; i < from->http.n && m->rules < MOST_MERGED && !m->c.nomem; i++) {
        struct vs_http rule = from->http.v[i];

        if (rule.delegate || !merge_matches(&m->c, root, &rule))
            continue;
        merge_rest(&m->c, root, &rule);
        add_rule(m, &rule);
    }
}

void vs_merge_delegates(struct mesh *mesh, struct mesh_problems *p, bool *nomem)
{
    for (size_t i = 0; i < mesh->virtual_services.n && !*nomem; i++) {
        struct virtual_service *vs = &mesh->virtual_services.v[i];
        struct merge m = { .rules = 0 };
        bool any = false;

        for (size_t k = 0; k < vs->http.n; k++)
            any = any || vs->http.v[k].delegate;
        if (!any || vs->hosts.n == 0)
            continue;
        check_init(&m.c, mesh->arena, p, vs->object);
        for (size_t k = 0; k < vs->http.n && !m.c.nomem; k++) {
            if (vs->http.v[k].delegate)
                expand_rule(&m, mesh, &vs->http.v[k]);
            else
                add_rule(&m, &vs->http.v[k]);
        }
        vs->http.v = m.v;
        vs->http.n = m.rules;
        *nomem = m.c.nomem;
    }
}
