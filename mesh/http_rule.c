/* http_rule.c: a VirtualService's http rule as a whole: its destinations, mirrors, CORS policy, and which parts go
 * together. */
#include "base/err.h"
#include "mesh/model-internal.h"
#include "mesh/names-internal.h"

enum { ALL_PPM = 1000000 };

/* ---- CORS ---- */

static struct str join(struct check *c, const struct str *v, size_t n)
{
    size_t len = n, at = 0;
    char *to;

    for (size_t i = 0; i < n; i++)
        len += v[i].n;
    to = check_alloc(c, len + 1, 1);
    for (size_t i = 0; to && i < n; i++) {
        if (i)
            to[at++] = ',';
        if (v[i].n)
            memcpy(to + at, v[i].p, v[i].n);
        at += v[i].n;
    }
    return (struct str){ to, at };
}

static void check_names(struct check *c, const struct yaml_node *at, const char *member, const struct str *v, size_t n)
{
    const struct yaml_node *list = check_get(at, member);

    for (size_t i = 0; i < n; i++)
        if (!str_eqz(v[i], "*") && !name_is_header(v[i]))
            check_error(c, &list->items[i], NULL, "\"%.*s\" is no name of a header or method", STR_ARG(v[i]));
}

/* The old allowOrigin's words are exact, but for "*". */
static struct string_match old_origin(struct str s)
{
    if (str_eqz(s, "*"))
        return (struct string_match){ .kind = STRING_PRESENT };
    return (struct string_match){ .kind = STRING_EXACT, .value = s };
}

static void compile_origins(struct check *c, struct vs_cors *p)
{
    struct string_match *v = check_alloc(c, p->allow_origins.n + p->allow_origin.n, sizeof(*v));

    p->cors.origins = v;
    for (size_t i = 0; v && i < p->allow_origins.n; i++) {
        const struct vs_string *s = &p->allow_origins.v[i];

        if (s->match.kind == STRING_PRESENT || (s->match.kind != STRING_REGEX && s->match.value.n == 0))
            check_error(c, s->at, NULL, "must be exact, prefix or regex, and not empty");
        v[p->cors.norigins++] = s->match;
    }
    for (size_t i = 0; v && p->allow_origins.n == 0 && i < p->allow_origin.n; i++)
        v[p->cors.norigins++] = old_origin(p->allow_origin.v[i]);
}

static void check_cors(struct check *c, void *message)
{
    struct vs_cors *p = message;

    check_names(c, p->at, "allowMethods", p->allow_methods.v, p->allow_methods.n);
    check_names(c, p->at, "allowHeaders", p->allow_headers.v, p->allow_headers.n);
    check_names(c, p->at, "exposeHeaders", p->expose_headers.v, p->expose_headers.n);
    compile_origins(c, p);
    p->cors.methods = join(c, p->allow_methods.v, p->allow_methods.n);
    p->cors.headers = join(c, p->allow_headers.v, p->allow_headers.n);
    p->cors.expose = join(c, p->expose_headers.v, p->expose_headers.n);
    p->cors.max_age_s = check_get(p->at, "maxAge") ? p->max_age / 1000 : -1;
    p->cors.credentials = p->allow_credentials;
    p->cors.ignore_unmatched = p->unmatched == 2;
}

static const char *const preflights[] = { "UNSPECIFIED", "FORWARD", "IGNORE", NULL };
static const struct field cors_fields[] = {
    FIELD(STRINGS, vs_cors, allow_origin, "allowOrigin"),
    FIELD_OF(MESSAGES, vs_cors, allow_origins, "allowOrigins", &vs_string_message),
    FIELD(STRINGS, vs_cors, allow_methods, "allowMethods"),
    FIELD(STRINGS, vs_cors, allow_headers, "allowHeaders"),
    FIELD(STRINGS, vs_cors, expose_headers, "exposeHeaders"),
    FIELD(DURATION, vs_cors, max_age, "maxAge"),
    FIELD(BOOL, vs_cors, allow_credentials, "allowCredentials"),
    FIELD_OF(ENUM, vs_cors, unmatched, "unmatchedPreflights", preflights),
    END_OF_FIELDS,
};
static const struct message cors_message = { sizeof(struct vs_cors), cors_fields, false, check_cors };

/* ---- mirrors ---- */

static void check_mirror(struct check *c, void *message)
{
    struct vs_mirror *m = message;

    (void)c;
    m->ppm = m->percentage ? vs_ppm(m->percentage) : ALL_PPM;
}

static const struct field mirror_fields[] = {
    REQUIRED_OF(MESSAGE, vs_mirror, destination, "destination", &vs_destination_message),
    FIELD_OF(MESSAGE, vs_mirror, percentage, "percentage", &vs_percent_message),
    END_OF_FIELDS,
};
static const struct message mirror_message = { sizeof(struct vs_mirror), mirror_fields, false, check_mirror };

/* The old way of one mirror becomes a list of one. */
static void take_mirror(struct check *c, struct vs_http *r)
{
    struct vs_mirror *m;

    if (r->mirror_percent > 100)
        check_error(c, r->at, "mirrorPercent", "must be from 0 to 100");
    if (!r->mirror)
        return;
    if (r->mirrors.n) {
        check_error(c, r->at, "mirrors", "only one of mirror, mirrors may be given");
        return;
    }
    m = check_alloc(c, 1, sizeof(*m));
    if (!m)
        return;
    *m = (struct vs_mirror){ .at = r->mirror->at, .destination = r->mirror, .percentage = r->mirror_percentage };
    m->ppm = m->percentage ? vs_ppm(m->percentage) : ALL_PPM;
    if (!m->percentage && check_get(r->at, "mirrorPercent"))
        m->ppm = r->mirror_percent * (ALL_PPM / 100);
    r->mirrors.v = m;
    r->mirrors.n = 1;
}

/* ---- the rule ---- */

static const struct field weighted_fields[] = {
    REQUIRED_OF(MESSAGE, vs_weighted, destination, "destination", &vs_destination_message),
    FIELD(INT, vs_weighted, weight, "weight"),
    FIELD_OF(MESSAGE, vs_weighted, headers, "headers", &vs_headers_message),
    END_OF_FIELDS,
};
static const struct message weighted_message = { sizeof(struct vs_weighted), weighted_fields, false, NULL };

/* Which other parts an action excludes. */
static void check_combination(struct check *c, const struct vs_http *r)
{
    static const char *const actions[] = { "route", "redirect", "directResponse", "delegate", NULL };
    static const char *const forwarding[] = { "fault", "rewrite", "mirror", "mirrors" };
    const char *action = r->redirect ? "redirect" : r->direct ? "directResponse" : NULL;

    check_count_of(c, r->at, 1, 1, actions);
    for (size_t i = 0; action && i < sizeof(forwarding) / sizeof(forwarding[0]); i++)
        if (check_get(r->at, forwarding[i]) && !(r->direct && i == 0))
            check_error(c, r->at, forwarding[i], "has no meaning with %s", action);
    if (r->at->kind == YAML_MAP && check_get(r->at, "route") && r->route.n == 0)
        check_error(c, r->at, "route", "must name at least one destination");
}

static void check_prefix_rewrite(struct check *c, const struct vs_http *r)
{
    for (size_t i = 0; i < r->match.n; i++)
        if (!r->match.v[i].uri || r->match.v[i].uri->match.kind != STRING_PREFIX)
            check_error(c, r->match.v[i].at, "uri",
                        "must be a prefix: redirect.prefixRewrite replaces what it matched");
}

static void check_http(struct check *c, void *message)
{
    struct vs_http *r = message;

    check_combination(c, r);
    if (r->redirect && r->redirect->prefix_rewrite.n)
        check_prefix_rewrite(c, r);
    vs_check_weights(c, r->at, r->route.v, r->route.n);
    take_mirror(c, r);
    for (size_t i = 0; i < r->match.n && !c->nomem; i++)
        vs_compile_match(c, &r->match.v[i]);
}

static const struct field http_fields[] = {
    FIELD(STRING, vs_http, name, "name"),
    FIELD_OF(MESSAGES, vs_http, match, "match", &vs_http_match_message),
    FIELD_OF(MESSAGES, vs_http, route, "route", &weighted_message),
    FIELD_OF(MESSAGE, vs_http, redirect, "redirect", &vs_redirect_message),
    FIELD_OF(MESSAGE, vs_http, direct, "directResponse", &vs_direct_response_message),
    FIELD_OF(MESSAGE, vs_http, delegate, "delegate", &vs_delegate_message),
    FIELD_OF(MESSAGE, vs_http, rewrite, "rewrite", &vs_rewrite_message),
    FIELD(DURATION, vs_http, timeout, "timeout"),
    FIELD_OF(MESSAGE, vs_http, retries, "retries", &vs_retries_message),
    FIELD_OF(MESSAGE, vs_http, fault, "fault", &vs_fault_message),
    FIELD_OF(MESSAGE, vs_http, mirror, "mirror", &vs_destination_message),
    FIELD_OF(MESSAGES, vs_http, mirrors, "mirrors", &mirror_message),
    FIELD(COUNT, vs_http, mirror_percent, "mirrorPercent"),
    FIELD_OF(MESSAGE, vs_http, mirror_percentage, "mirrorPercentage", &vs_percent_message),
    FIELD_OF(MESSAGE, vs_http, cors, "corsPolicy", &cors_message),
    FIELD_OF(MESSAGE, vs_http, headers, "headers", &vs_headers_message),
    END_OF_FIELDS,
};
const struct message vs_http_message = { sizeof(struct vs_http), http_fields, false, check_http };
