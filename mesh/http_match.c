/* http_match.c: the conditions of a VirtualService's http rules, from how they are written to what a proxy compares.
 *
 * Istio's meanings, where the field's name does not say it all: a regular expression must match the whole; "{}" and the
 * expression "*" ask for presence; ignoreUriCase goes for exact and prefix alone. */
#include "base/err.h"
#include "mesh/model-internal.h"
#include "mesh/names-internal.h"

struct regex *vs_regex(struct check *c, const struct yaml_node *at, const char *member, struct str text,
                       unsigned flags)
{
    struct err e = ERR_INIT;
    struct regex *re = regex_compile(c->arena, text, flags, &e);

    if (!re && e.code == ERR_NOMEM)
        c->nomem = true;
    else if (!re)
        check_error(c, at, member, "%s", e.msg);
    return re;
}

static void check_string(struct check *c, void *message)
{
    static const char *const forms[] = { "exact", "prefix", "regex", NULL };
    struct vs_string *s = message;

    check_count_of(c, s->at, 0, 1, forms);
    if (check_get(s->at, "exact"))
        s->match = (struct string_match){ .kind = STRING_EXACT, .value = s->exact };
    else if (check_get(s->at, "prefix"))
        s->match = (struct string_match){ .kind = STRING_PREFIX, .value = s->prefix };
    else if (check_get(s->at, "regex") && !str_eqz(s->regex, "*"))
        s->match = (struct string_match){ .kind = STRING_REGEX,
                                          .value = s->regex,
                                          .re = vs_regex(c, s->at, "regex", s->regex, REGEX_FULL) };
    else
        s->match = (struct string_match){ .kind = STRING_PRESENT };
}

static const struct field string_fields[] = {
    FIELD(STRING, vs_string, exact, "exact"),
    FIELD(STRING, vs_string, prefix, "prefix"),
    FIELD(STRING, vs_string, regex, "regex"),
    END_OF_FIELDS,
};
const struct message vs_string_message = { sizeof(struct vs_string), string_fields, false, check_string };

static const struct field match_fields[] = {
    FIELD(STRING, vs_http_match, name, "name"),
    FIELD_OF(MESSAGE, vs_http_match, uri, "uri", &vs_string_message),
    FIELD_OF(MESSAGE, vs_http_match, scheme, "scheme", &vs_string_message),
    FIELD_OF(MESSAGE, vs_http_match, method, "method", &vs_string_message),
    FIELD_OF(MESSAGE, vs_http_match, authority, "authority", &vs_string_message),
    FIELD_OF(MAP, vs_http_match, headers, "headers", &vs_string_message),
    FIELD_OF(MAP, vs_http_match, without_headers, "withoutHeaders", &vs_string_message),
    FIELD_OF(MAP, vs_http_match, query_params, "queryParams", &vs_string_message),
    FIELD(PORT, vs_http_match, port, "port"),
    FIELD(LABELS, vs_http_match, source_labels, "sourceLabels"),
    FIELD(STRING, vs_http_match, source_namespace, "sourceNamespace"),
    FIELD(STRINGS, vs_http_match, gateways, "gateways"),
    FIELD(BOOL, vs_http_match, ignore_uri_case, "ignoreUriCase"),
    FIELD(STRING, vs_http_match, stat_prefix, "statPrefix"),
    END_OF_FIELDS,
};

/* An empty prefix or expression matches everything: surely not what was meant. */
static void refuse_empty(struct check *c, const struct vs_string *s)
{
    if (s && s->match.kind == STRING_PREFIX && s->prefix.n == 0)
        check_error(c, s->at, "prefix", "must not be empty: {} asks for presence");
    else if (s && s->match.kind == STRING_REGEX && s->regex.n == 0)
        check_error(c, s->at, "regex", "must not be empty: {} asks for presence");
}

static void check_header_names(struct check *c, const struct vs_string *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!name_is_header(v[i].at->key))
            check_error(c, v[i].at, NULL, "\"%.*s\" is no header name", STR_ARG(v[i].at->key));
        else if (str_starts(v[i].at->key, STR("@request.auth.")))
            check_warn(c, v[i].at, NULL, "tokens are not read yet: no request has these claims");
        refuse_empty(c, &v[i]);
    }
}

static void check_match(struct check *c, void *message)
{
    struct vs_http_match *m = message;

    refuse_empty(c, m->scheme);
    refuse_empty(c, m->method);
    refuse_empty(c, m->authority);
    check_header_names(c, m->headers.v, m->headers.n);
    check_header_names(c, m->without_headers.v, m->without_headers.n);
    for (size_t i = 0; i < m->query_params.n; i++)
        refuse_empty(c, &m->query_params.v[i]);
    vs_resolve_gateways(c, m->at, m->gateways.v, m->gateways.n);
}

const struct message vs_http_match_message = { sizeof(struct vs_http_match), match_fields, false, check_match };

/* Names that stand for other fields of the match; Istio passes over them. */
static bool is_reserved(struct str name)
{
    return str_eqz(name, "uri") || str_eqz(name, "scheme") || str_eqz(name, "method") || str_eqz(name, "authority");
}

static size_t compile_keys(struct key_match *to, const struct vs_string *v, size_t n, bool invert, bool headers)
{
    size_t k = 0;

    for (size_t i = 0; i < n; i++)
        if (!headers || !is_reserved(v[i].at->key))
            to[k++] = (struct key_match){ v[i].at->key, v[i].match, invert };
    return k;
}

static const struct string_match *whole_value(const struct vs_string *s)
{
    return s && s->match.kind != STRING_PRESENT ? &s->match : NULL;
}

void vs_compile_match(struct check *c, struct vs_http_match *m)
{
    struct key_match *headers = check_alloc(c, m->headers.n + m->without_headers.n, sizeof(*headers));
    struct key_match *query = check_alloc(c, m->query_params.n, sizeof(*query));
    struct route_match *to = &m->match;

    if (c->nomem)
        return;
    if (m->uri && m->ignore_uri_case && m->uri->match.kind != STRING_REGEX)
        m->uri->match.ignore_case = true;
    to->uri = whole_value(m->uri);
    to->scheme = whole_value(m->scheme);
    to->method = whole_value(m->method);
    to->authority = whole_value(m->authority);
    to->nheaders = compile_keys(headers, m->headers.v, m->headers.n, false, true);
    to->nheaders += compile_keys(headers + to->nheaders, m->without_headers.v, m->without_headers.n, true, true);
    to->nquery = compile_keys(query, m->query_params.v, m->query_params.n, false, false);
    to->headers = headers;
    to->query = query;
}
