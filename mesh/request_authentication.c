/* request_authentication.c: whose tokens are read, where they stand and by which keys they are verified. */
#include "mesh/hosts-internal.h"
#include "mesh/names-internal.h"
#include "mesh/policy-internal.h"

enum { FETCH_MS = 5000, LEEWAY_S = 60 };

/* ---- checks ---- */

static void check_not_empty(struct check *c, const struct yaml_node *at, const char *member, const struct str *v,
                            size_t n)
{
    const struct yaml_node *list = check_get(at, member);

    for (size_t i = 0; i < n; i++)
        if (v[i].n == 0 && list->items[i].kind == YAML_STRING)
            check_error(c, &list->items[i], NULL, "must not be empty");
}

/* The name of a header that we read or write, in lower case. */
static struct str header_name(struct check *c, const struct yaml_node *at, const char *member, struct str name)
{
    struct str low = host_lower(c->arena, name);

    if (!name.n)
        check_error(c, at, member, "missing: the header's name");
    else if (name.p[0] == ':' || !name_is_header(name))
        check_error(c, at, member, "\"%.*s\" is no header name", STR_ARG(name));
    c->nomem = c->nomem || !low.p;
    return low;
}

static void check_header(struct check *c, void *message)
{
    struct jwt_header *h = message;

    h->name = header_name(c, h->at, "name", h->name);
}

/* Narrower than what HTTP allows: so does Istio have it for what it writes itself. */
static bool is_plain_name(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!(s.p[i] >= 'a' && s.p[i] <= 'z') && !(s.p[i] >= '0' && s.p[i] <= '9') && s.p[i] != '-' && s.p[i] != '_')
            return false;
    return true;
}

static void check_claim_header(struct check *c, void *message)
{
    struct jwt_claim_header *h = message;

    h->header = header_name(c, h->at, "header", h->header);
    if (!is_plain_name(h->header) && name_is_header(h->header))
        check_error(c, h->at, "header", "\"%.*s\": letters, digits, '-' and '_'", STR_ARG(h->header));
    if (!h->claim.n)
        check_error(c, h->at, "claim", "missing: the claim's name");
}

static void check_claim_headers(struct check *c, const struct jwt_source *s)
{
    for (size_t i = 0; i < s->claim_headers.n; i++)
        for (size_t k = 0; k < i; k++)
            if (str_eq(s->claim_headers.v[i].header, s->claim_headers.v[k].header))
                check_error(c, s->claim_headers.v[i].at, "header", "\"%.*s\" stands twice: also on line %d",
                            STR_ARG(s->claim_headers.v[i].header), s->claim_headers.v[k].at->line);
}

static bool is_web(struct str s)
{
    return str_starts(s, STR("http://")) || str_starts(s, STR("https://"));
}

static void check_uri(struct check *c, const struct jwt_source *s)
{
    struct str rest = str_from(s->jwks_uri, str_starts(s->jwks_uri, STR("https://")) ? 8 : 7);

    if (!is_web(s->jwks_uri))
        check_error(c, s->at, "jwksUri", "\"%.*s\" begins with neither http:// nor https://", STR_ARG(s->jwks_uri));
    else if (!rest.n || str_chr(rest, '/') == 0 || str_chr(rest, ':') == 0 || str_chr(rest, ' ') >= 0)
        check_error(c, s->at, "jwksUri", "\"%.*s\" names no host", STR_ARG(s->jwks_uri));
}

static void check_source(struct check *c, void *message)
{
    static const char *const keys[] = { "jwks", "jwksUri", NULL };
    struct jwt_source *s = message;
    size_t given = check_count_of(c, s->at, 0, 1, keys);

    if (!s->issuer.n && !s->jwks_uri.n && !s->jwks.n)
        check_error(c, s->at, "issuer", "missing: whose tokens are meant; or jwksUri, or jwks");
    else if (given == 0 && !is_web(s->issuer))
        check_warn(c, s->at, "jwksUri", "no keys: an issuer that is no URL cannot be asked for them, every token of it "
                   "is refused");
    if (s->jwks_uri.n)
        check_uri(c, s);
    if (s->jwks.n)
        jwks_check(c, s->at, s->jwks);
    check_not_empty(c, s->at, "audiences", s->audiences.v, s->audiences.n);
    check_not_empty(c, s->at, "fromParams", s->params.v, s->params.n);
    check_not_empty(c, s->at, "fromCookies", s->cookies.v, s->cookies.n);
    check_not_empty(c, s->at, "spaceDelimitedClaims", s->space_delimited.v, s->space_delimited.n);
    check_claim_headers(c, s);
    if (check_get(s->at, "outputPayloadToHeader"))
        s->payload_header = header_name(c, s->at, "outputPayloadToHeader", s->payload_header);
    if (!check_get(s->at, "timeout"))
        s->timeout = FETCH_MS;
    else if (s->timeout == 0)
        check_error(c, s->at, "timeout", "must be 1ms or more");
}

/* ---- compiling ---- */

/* Where an issuer tells of its keys: OpenID Connect Discovery 1.0, 4. */
static struct str configuration_of(struct check *c, struct str issuer)
{
    struct str uri;

    if (str_ends(issuer, STR("/")))
        issuer.n--;
    uri = arena_printf(c->arena, "%.*s/.well-known/openid-configuration", STR_ARG(issuer));
    c->nomem = c->nomem || !uri.p;
    return uri;
}

static void compile(struct check *c, const struct jwt_source *s, struct jwt_rule *to)
{
    struct jwt_place *headers = check_alloc(c, s->headers.n, sizeof(*headers));
    struct jwt_place *claims = check_alloc(c, s->claim_headers.n, sizeof(*claims));

    *to = (struct jwt_rule){ .issuer = s->issuer, .jwks = s->jwks, .jwks_uri = s->jwks_uri };
    to->discovery = !s->jwks.n && !s->jwks_uri.n && is_web(s->issuer);
    if (to->discovery)
        to->jwks_uri = configuration_of(c, s->issuer);
    for (size_t i = 0; headers && i < s->headers.n; i++)
        headers[i] = (struct jwt_place){ s->headers.v[i].name, s->headers.v[i].prefix };
    for (size_t i = 0; claims && i < s->claim_headers.n; i++)
        claims[i] = (struct jwt_place){ s->claim_headers.v[i].header, s->claim_headers.v[i].claim };
    to->audiences = s->audiences.v;
    to->naudiences = s->audiences.n;
    to->headers = headers;
    to->nheaders = s->headers.n;
    to->params = s->params.v;
    to->nparams = s->params.n;
    to->cookies = s->cookies.v;
    to->ncookies = s->cookies.n;
    to->payload_header = s->payload_header;
    to->claim_headers = claims;
    to->nclaim_headers = s->claim_headers.n;
    to->forward = s->forward;
    to->space_delimited = s->space_delimited.v;
    to->nspace_delimited = s->space_delimited.n;
    to->leeway_s = LEEWAY_S;
    to->timeout_ms = s->timeout;
}

static void check_request_authentication(struct check *c, void *message)
{
    struct request_authentication *r = message;
    const struct yaml_node *dry_run;

    policy_scope_check(c, r->at, &r->scope);
    if (policy_dry_run(c, &dry_run))
        check_error(c, dry_run, NULL, "is not supported for RequestAuthentication");
    r->rules = check_alloc(c, r->sources.n, sizeof(*r->rules));
    for (size_t i = 0; r->rules && i < r->sources.n; i++)
        compile(c, &r->sources.v[i], &r->rules[i]);
}

/* ---- fields ---- */

static const struct field header_fields[] = {
    FIELD(STRING, jwt_header, name, "name"),
    FIELD(STRING, jwt_header, prefix, "prefix"),
    END_OF_FIELDS,
};
static const struct message header_message = { sizeof(struct jwt_header), header_fields, false, check_header };
static const struct field claim_header_fields[] = {
    FIELD(STRING, jwt_claim_header, header, "header"),
    FIELD(STRING, jwt_claim_header, claim, "claim"),
    END_OF_FIELDS,
};
static const struct message claim_header_message = { sizeof(struct jwt_claim_header), claim_header_fields, false,
                                                     check_claim_header };
static const struct field source_fields[] = {
    FIELD(STRING, jwt_source, issuer, "issuer"),
    FIELD(STRINGS, jwt_source, audiences, "audiences"),
    FIELD(STRING, jwt_source, jwks_uri, "jwksUri"),
    FIELD(STRING, jwt_source, jwks, "jwks"),
    FIELD_OF(MESSAGES, jwt_source, headers, "fromHeaders", &header_message),
    FIELD(STRINGS, jwt_source, params, "fromParams"),
    FIELD(STRINGS, jwt_source, cookies, "fromCookies"),
    FIELD(STRING, jwt_source, payload_header, "outputPayloadToHeader"),
    FIELD_OF(MESSAGES, jwt_source, claim_headers, "outputClaimToHeaders", &claim_header_message),
    FIELD(BOOL, jwt_source, forward, "forwardOriginalToken"),
    FIELD(DURATION, jwt_source, timeout, "timeout"),
    FIELD(STRINGS, jwt_source, space_delimited, "spaceDelimitedClaims"),
    END_OF_FIELDS,
};
static const struct message source_message = { sizeof(struct jwt_source), source_fields, false, check_source };
static const struct field request_authentication_fields[] = {
    POLICY_SCOPE_FIELDS(request_authentication),
    FIELD_OF(MESSAGES, request_authentication, sources, "jwtRules", &source_message),
    END_OF_FIELDS,
};
const struct message request_authentication_message = { sizeof(struct request_authentication),
                                                        request_authentication_fields, false,
                                                        check_request_authentication };
