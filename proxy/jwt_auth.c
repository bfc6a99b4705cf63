/* jwt_auth.c: which of a request's tokens are in order, by which rule, and what of them goes upstream.
 *
 *   for each rule: look in its places ──▶ each token found: cache, or take apart ──▶ check ──▶ verify by its keys
 *   a token found by several rules (same place, another issuer or other keys) takes the best of their words
 *   all tokens are in order ──▶ the first one is the request's principal */
#include "proxy/jwt_auth.h"
#include "proxy/jwt_places-internal.h"

enum {
    MOST_TOKENS = 16,    /* different ones, by all rules */
    MOST_REALM_PATH = 256 /* Envoy's MaximumUriLength */
};

/* ---- keys ---- */

void jwt_keys_init(struct jwt_keys *k, const struct jwt_rule *r, struct err *e)
{
    *k = (struct jwt_keys){ .state = JWT_KEYS_STATE_AWAITED };
    if (r->jwks.n == 0 && r->jwks_uri.n)
        return;
    k->jwks = jwks_new(r->jwks, e);
    k->state = k->jwks ? JWT_KEYS_STATE_THERE : JWT_KEYS_STATE_NONE;
}

void jwt_keys_set(struct jwt_keys *k, struct jwks *jwks)
{
    struct jwks *old = k->jwks;

    *k = (struct jwt_keys){ JWT_KEYS_STATE_THERE, jwks_get(jwks) };
    jwks_put(old);
}

void jwt_keys_failed(struct jwt_keys *k)
{
    if (k->state == JWT_KEYS_STATE_AWAITED)
        k->state = JWT_KEYS_STATE_UNREACHABLE;
}

void jwt_keys_fini(struct jwt_keys *k)
{
    jwks_put(k->jwks);
    *k = (struct jwt_keys){ JWT_KEYS_STATE_NONE, NULL };
}

/* ---- one token ---- */

struct shown {
    struct jwt_found found;
    enum jwt_status status;      /* the best word so far */
    const struct jwt_rule *rule; /* whose it is */
    struct jwt *token;           /* a reference, once it has been taken apart or found in the cache */
};

/* A rule that knows the issuer knows better than one that does not; one that still waits may yet say yes. */
static int rank(enum jwt_status s)
{
    return s == JWT_OK ? 3 : s == JWT_KEYS_AWAITED ? 2 : s == JWT_UNKNOWN_ISSUER ? 0 : 1;
}

static enum jwt_status take_apart(struct shown *t)
{
    return t->token ? JWT_OK : jwt_parse(t->found.text, &t->token);
}

static enum jwt_status verify_by(struct jwt_keys *keys, struct jwt_cache *cache, struct jwt *token)
{
    enum jwt_status s;

    switch (keys->state) {
    case JWT_KEYS_STATE_AWAITED:
        return JWT_KEYS_AWAITED;
    case JWT_KEYS_STATE_UNREACHABLE:
        return JWT_KEYS_UNREACHABLE;
    case JWT_KEYS_STATE_NONE:
        return JWT_NO_KEYS;
    case JWT_KEYS_STATE_THERE:
        break;
    }
    s = jwt_verify(token, keys->jwks);
    if (s == JWT_OK)
        jwt_cache_put(cache, token, keys->jwks);
    return s;
}

static enum jwt_status judge(struct shown *t, const struct jwt_rule *r, struct jwt_keys *keys, struct jwt_cache *cache,
                             int64_t now_s)
{
    struct jwt *cached = keys->jwks ? jwt_cache_find(cache, t->found.text, keys->jwks) : NULL;
    enum jwt_status s = JWT_OK;

    if (cached && !t->token)
        t->token = jwt_get(cached);
    if (!cached)
        s = take_apart(t);
    if (s == JWT_OK)
        s = jwt_check(t->token, r, now_s);
    if (s == JWT_OK && !cached)
        s = verify_by(keys, cache, t->token);
    return s;
}

/* ---- all tokens ---- */

struct all {
    struct shown v[MOST_TOKENS];
    size_t n;
};

static struct shown *shown_as(struct all *all, const struct jwt_found *f)
{
    for (size_t i = 0; i < all->n; i++)
        if (all->v[i].found.kind == f->kind && str_ieq(all->v[i].found.name, f->name) &&
            str_eq(all->v[i].found.text, f->text))
            return &all->v[i];
    if (all->n == MOST_TOKENS)
        return NULL;
    all->v[all->n] = (struct shown){ .found = *f, .status = JWT_UNKNOWN_ISSUER };
    return &all->v[all->n++];
}

static enum jwt_status judge_by_rule(struct all *all, const struct jwt_auth *auth, size_t at, struct arena *a,
                                     const struct header_source *headers, struct str target, int64_t now_s)
{
    const struct jwt_rule *r = &auth->rules[at];
    struct jwt_found found[JWT_MOST_FOUND];
    int n = jwt_look(r, a, headers, target, found);

    if (n < 0)
        return n == -2 ? JWT_NO_MEMORY : JWT_TOO_MANY;
    for (int i = 0; i < n; i++) {
        struct shown *t = shown_as(all, &found[i]);
        enum jwt_status s;

        if (!t)
            return JWT_TOO_MANY;
        if (t->status == JWT_OK)
            continue;
        s = judge(t, r, &auth->keys[at], auth->cache, now_s);
        if (!t->rule || rank(s) > rank(t->status)) {
            t->status = s;
            t->rule = r;
        }
    }
    return JWT_OK;
}

/* The worst of all tokens' words; NULL: all are in order. */
static const struct shown *worst_of(const struct all *all)
{
    const struct shown *worst = NULL;

    for (size_t i = 0; i < all->n; i++) {
        const struct shown *t = &all->v[i];

        if (t->status != JWT_OK && (!worst || (worst->status == JWT_KEYS_AWAITED && t->status != JWT_KEYS_AWAITED)))
            worst = t;
    }
    return worst;
}

/* ---- what goes upstream ---- */

struct ops {
    struct header_op *v;
    size_t n;
};

static void add(struct ops *ops, int op, struct str name, struct str value)
{
    ops->v[ops->n++] = (struct header_op){ .op = op, .name = name, .value = value };
}

/* Whether a value may stand in a header: a token is its signer's word, not a right to write lines. */
static bool is_field_value(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];

        if ((c < ' ' && c != '\t') || c == 127)
            return false;
    }
    return s.n > 0;
}

/* A claim by Envoy's name for it: nested ones are joined by dots. A name with dots in it comes first. */
static const json_t *named_claim(const struct jwt *t, struct str name)
{
    const json_t *at = json_object_getn(t->claims, name.p, name.n);

    if (at)
        return at;
    at = t->claims;
    while (name.p && at) {
        struct str part = str_cut(&name, '.');

        at = json_object_getn(at, part.p, part.n);
    }
    return at;
}

/* p NULL: a claim that is none of text, number, bool; or no memory. */
static struct str claim_text(struct arena *a, const json_t *v)
{
    switch (v ? json_typeof(v) : JSON_NULL) {
    case JSON_STRING:
        return (struct str){ json_string_value(v), json_string_length(v) };
    case JSON_INTEGER:
        return arena_printf(a, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
    case JSON_REAL:
        return arena_printf(a, "%f", json_real_value(v));
    case JSON_TRUE:
        return STR("true");
    case JSON_FALSE:
        return STR("false");
    default:
        return STR_NULL;
    }
}

/* Sets a header to a copy, which outlives the token. False: no memory. */
static bool set(struct ops *ops, struct arena *a, struct str name, struct str value)
{
    struct str copy = arena_str(a, value);

    if (copy.p)
        add(ops, HEADER_SET, name, copy);
    return copy.p != NULL;
}

static bool add_words(struct ops *ops, struct arena *a, const struct shown *t)
{
    const struct jwt_rule *r = t->rule;
    bool ok = r->payload_header.n == 0 || set(ops, a, r->payload_header, t->token->payload);

    for (size_t i = 0; i < r->nclaim_headers && ok; i++) {
        struct str value = claim_text(a, named_claim(t->token, r->claim_headers[i].prefix));

        if (is_field_value(value))
            ok = set(ops, a, r->claim_headers[i].name, value);
    }
    return ok;
}

/* Removes the token from where it was. Out of cookies it is not taken, as in Envoy. */
static bool take_away(struct ops *ops, struct arena *a, const struct shown *t, struct str *target)
{
    if (t->found.kind == JWT_IN_HEADER)
        add(ops, HEADER_REMOVE, t->found.name, STR_NULL);
    if (t->found.kind == JWT_IN_QUERY && str_chr(*target, '?') >= 0)
        *target = jwt_without_param(a, *target, t->found.name);
    return target->p != NULL;
}

static bool make_ops(const struct jwt_auth *auth, struct arena *a, const struct all *all, struct jwt_answer *answer)
{
    size_t most = all->n;
    struct ops ops = { NULL, 0 };

    for (size_t i = 0; i < auth->nrules; i++)
        most += 1 + auth->rules[i].nclaim_headers;
    for (size_t i = 0; i < all->n; i++)
        most += 1 + all->v[i].rule->nclaim_headers;
    ops.v = arena_array(a, most, sizeof(*ops.v));
    if (!ops.v)
        return false;
    for (size_t i = 0; i < auth->nrules; i++) {
        const struct jwt_rule *r = &auth->rules[i];

        if (r->payload_header.n)
            add(&ops, HEADER_REMOVE, r->payload_header, STR_NULL);
        for (size_t k = 0; k < r->nclaim_headers; k++)
            add(&ops, HEADER_REMOVE, r->claim_headers[k].name, STR_NULL);
    }
    for (size_t i = 0; i < all->n; i++) {
        if (!all->v[i].rule->forward && !take_away(&ops, a, &all->v[i], &answer->target))
            return false;
        if (!add_words(&ops, a, &all->v[i]))
            return false;
    }
    answer->ops = ops.v;
    answer->nops = ops.n;
    return true;
}

void jwt_authenticate(const struct jwt_auth *auth, struct arena *a, const struct header_source *headers,
                      struct str target, int64_t now_s, struct jwt_answer *answer)
{
    struct all all = { .n = 0 };
    const struct shown *worst;

    *answer = (struct jwt_answer){ .target = target };
    for (size_t i = 0; i < auth->nrules && answer->status == JWT_OK; i++)
        answer->status = judge_by_rule(&all, auth, i, a, headers, target, now_s);
    worst = answer->status == JWT_OK ? worst_of(&all) : NULL;
    if (worst) {
        answer->status = worst->status;
        answer->rule = worst->rule;
    }
    if (answer->status == JWT_OK && auth->nrules && !make_ops(auth, a, &all, answer))
        answer->status = JWT_NO_MEMORY;
    if (answer->status == JWT_OK && all.n) {
        answer->rule = all.v[0].rule;
        answer->token = jwt_get(all.v[0].token);
    }
    for (size_t i = 0; i < all.n; i++)
        jwt_put(all.v[i].token);
}

/* ---- refusals ---- */

/* As the inside of a quoted-string (RFC 9110, 5.6.4). p NULL: no memory. */
static struct str quoted(struct arena *a, struct str s)
{
    char *p = arena_alloc(a, 2 * s.n + 1);
    size_t n = 0;

    for (size_t i = 0; p && i < s.n; i++) {
        if (s.p[i] == '"' || s.p[i] == '\\')
            p[n++] = '\\';
        p[n++] = s.p[i];
    }
    return (struct str){ p, n };
}

struct str jwt_challenge(struct arena *a, enum jwt_status s, struct str scheme, struct str authority, struct str path)
{
    struct str realm;

    if (path.n > MOST_REALM_PATH)
        path.n = MOST_REALM_PATH;
    realm = arena_printf(a, "%.*s://%.*s%.*s", STR_ARG(scheme), STR_ARG(authority), STR_ARG(path));
    realm = realm.p ? quoted(a, realm) : realm;
    if (!realm.p)
        return STR_NULL;
    return arena_printf(a, "Bearer realm=\"%.*s\"%s", STR_ARG(realm),
                        s == JWT_MISSING ? "" : ", error=\"invalid_token\"");
}

struct str jwt_details(struct arena *a, enum jwt_status s)
{
    struct str details = arena_printf(a, "jwt_authn_access_denied{%s}", jwt_status_text(s));

    for (size_t i = 0; i < details.n; i++)
        if (details.p[i] == ' ')
            ((char *)(uintptr_t)details.p)[i] = '_';
    return details;
}
