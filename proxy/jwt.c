#include "proxy/jwt.h"
#include "proxy/base64url.h"

#include "base/mem.h"

enum { LATEST_S_BITS = 53 }; /* a time beyond is none: JSON's numbers are exact up to there */

static const char *const texts[] = {
#define JWT_TEXT(id, text) text,
    JWT_STATUSES(JWT_TEXT)
#undef JWT_TEXT
};

const char *jwt_status_text(enum jwt_status s)
{
    return texts[s];
}

unsigned jwt_status_code(enum jwt_status s)
{
    switch (s) {
    case JWT_OK:
        return 200;
    case JWT_BAD_AUDIENCE:
        return 403;
    case JWT_KEYS_AWAITED:
    case JWT_NO_MEMORY:
        return 503;
    default:
        return 401;
    }
}

static struct str json_text(const json_t *v)
{
    return json_is_string(v) ? (struct str){ json_string_value(v), json_string_length(v) } : STR_NULL;
}

/* ---- taking apart ---- */

/* NULL: `bad` says which of both. */
static json_t *object_of(struct str part, enum jwt_status bad_base64, enum jwt_status bad_json, enum jwt_status *bad)
{
    uint8_t *bytes = mem_alloc(BASE64URL_ROOM(part.n));
    ptrdiff_t n = bytes ? base64url_decode(part, bytes) : 0;
    json_t *v = NULL;

    *bad = !bytes ? JWT_NO_MEMORY : n < 0 ? bad_base64 : bad_json;
    if (bytes && n >= 0)
        v = json_loadb((const char *)bytes, (size_t)n, JSON_REJECT_DUPLICATES, NULL);
    mem_free(bytes);
    if (v && !json_is_object(v)) {
        json_decref(v);
        v = NULL;
    }
    return v;
}

static enum jwt_status read_header(struct jwt *t, struct str part)
{
    enum jwt_status bad;
    const json_t *alg, *kid;

    if (part.n > JWT_MOST_HEADER_BYTES)
        return JWT_BAD_FORM;
    t->header = object_of(part, JWT_HEADER_BAD_BASE64, JWT_HEADER_BAD_JSON, &bad);
    if (!t->header)
        return bad;
    alg = json_object_get(t->header, "alg");
    if (!json_is_string(alg))
        return JWT_HEADER_BAD_ALG;
    if (!jws_alg_of(json_text(alg), &t->alg))
        return JWT_HEADER_UNKNOWN_ALG;
    kid = json_object_get(t->header, "kid");
    if (kid && !json_is_string(kid))
        return JWT_HEADER_BAD_KID;
    t->kid = json_text(kid);
    /* Whoever does not know what must be understood must refuse (RFC 7515, 4.1.11). We know nothing of the kind. */
    return json_object_get(t->header, "crit") ? JWT_HEADER_CRITICAL : JWT_OK;
}

static bool read_time(const json_t *claims, const char *name, int64_t *s)
{
    const json_t *v = json_object_get(claims, name);
    double d = json_number_value(v);

    *s = 0;
    if (!v)
        return true;
    if (!json_is_number(v) || !(d >= 0 && d < (double)(1LL << LATEST_S_BITS)))
        return false;
    *s = (int64_t)d; /* RFC 7519, 2: a NumericDate may have a fraction */
    return true;
}

static bool is_text_list(const json_t *v)
{
    const json_t *item;
    size_t i;

    if (!json_is_array(v))
        return false;
    json_array_foreach (v, i, item)
        if (!json_is_string(item))
            return false;
    return true;
}

static enum jwt_status read_payload(struct jwt *t)
{
    enum jwt_status bad;
    const json_t *iss, *sub, *aud;

    t->claims = object_of(t->payload, JWT_PAYLOAD_BAD_BASE64, JWT_PAYLOAD_BAD_JSON, &bad);
    if (!t->claims)
        return bad;
    iss = json_object_get(t->claims, "iss");
    sub = json_object_get(t->claims, "sub");
    aud = json_object_get(t->claims, "aud");
    if (iss && !json_is_string(iss))
        return JWT_PAYLOAD_BAD_ISS;
    if (sub && !json_is_string(sub))
        return JWT_PAYLOAD_BAD_SUB;
    if (!read_time(t->claims, "iat", &t->issued))
        return JWT_PAYLOAD_BAD_IAT;
    if (!read_time(t->claims, "nbf", &t->not_before))
        return JWT_PAYLOAD_BAD_NBF;
    if (!read_time(t->claims, "exp", &t->expires))
        return JWT_PAYLOAD_BAD_EXP;
    if (aud && !json_is_string(aud) && !is_text_list(aud))
        return JWT_PAYLOAD_BAD_AUD;
    t->issuer = json_text(iss);
    t->subject = json_text(sub);
    return JWT_OK;
}

static enum jwt_status read_parts(struct jwt *t, uint8_t *room)
{
    struct str rest = t->text, header = str_cut(&rest, '.');
    enum jwt_status s;
    ptrdiff_t n;

    t->payload = rest.p ? str_cut(&rest, '.') : STR_NULL;
    if (!rest.p || str_chr(rest, '.') >= 0 || !header.n || !t->payload.n || !rest.n)
        return JWT_BAD_FORM;
    t->signed_part = (struct str){ t->text.p, header.n + 1 + t->payload.n };
    s = read_header(t, header);
    if (s == JWT_OK)
        s = read_payload(t);
    if (s != JWT_OK)
        return s;
    n = base64url_decode(rest, room);
    if (n < 0)
        return JWT_SIGNATURE_BAD_BASE64;
    t->signature = (struct str){ (const char *)room, (size_t)n };
    return JWT_OK;
}

enum jwt_status jwt_parse(struct str text, struct jwt **out)
{
    enum jwt_status s;
    struct jwt *t;
    char *copy;

    *out = NULL;
    if (text.n == 0 || text.n > JWT_MOST_BYTES)
        return JWT_BAD_FORM;
    t = mem_zalloc(sizeof(*t) + text.n + BASE64URL_ROOM(text.n)); /* text and signature stand behind it */
    if (!t)
        return JWT_NO_MEMORY;
    copy = (char *)(t + 1);
    memcpy(copy, text.p, text.n);
    t->refs = 1;
    t->text = (struct str){ copy, text.n };
    s = read_parts(t, (uint8_t *)copy + text.n);
    if (s != JWT_OK) {
        jwt_put(t);
        return s;
    }
    *out = t;
    return JWT_OK;
}

struct jwt *jwt_get(struct jwt *t)
{
    t->refs++;
    return t;
}

void jwt_put(struct jwt *t)
{
    if (!t || --t->refs)
        return;
    json_decref(t->header);
    json_decref(t->claims);
    mem_free(t);
}

/* ---- proving ---- */

enum jwt_status jwt_verify(const struct jwt *t, const struct jwks *keys)
{
    switch (jwks_verify(keys, t->alg, t->kid, t->signed_part, t->signature)) {
    case JWKS_VERIFIED:
        return JWT_OK;
    case JWKS_NO_KEY:
        return JWT_NO_KEY;
    case JWKS_BAD_SIGNATURE:
        break;
    }
    return JWT_BAD_SIGNATURE;
}

/* An audience without its scheme and last slash. */
static struct str bare_audience(struct str s)
{
    if (str_starts(s, STR("https://")))
        s = str_from(s, 8);
    else if (str_starts(s, STR("http://")))
        s = str_from(s, 7);
    if (s.n && s.p[s.n - 1] == '/')
        s.n--;
    return s;
}

static bool audience_allowed(const struct jwt_rule *r, struct str audience)
{
    for (size_t i = 0; i < r->naudiences; i++)
        if (str_eq(bare_audience(r->audiences[i]), bare_audience(audience)))
            return true;
    return false;
}

static bool audiences_allowed(const struct jwt *t, const struct jwt_rule *r)
{
    const json_t *aud = json_object_get(t->claims, "aud"), *item;
    size_t i;

    if (r->naudiences == 0)
        return true;
    if (json_is_string(aud))
        return audience_allowed(r, json_text(aud));
    json_array_foreach (aud, i, item)
        if (audience_allowed(r, json_text(item)))
            return true;
    return false;
}

enum jwt_status jwt_check(const struct jwt *t, const struct jwt_rule *r, int64_t now_s)
{
    if (r->issuer.n && !str_eq(t->issuer, r->issuer))
        return JWT_UNKNOWN_ISSUER;
    /* A token from the future was made by a clock that is not ours: its other times mean nothing either. */
    if (now_s + r->leeway_s < t->not_before || now_s + r->leeway_s < t->issued)
        return JWT_NOT_YET_VALID;
    if (t->expires && now_s > t->expires + r->leeway_s)
        return JWT_EXPIRED;
    return audiences_allowed(t, r) ? JWT_OK : JWT_BAD_AUDIENCE;
}

/* ---- claims ---- */

const json_t *jwt_claim(const struct jwt *t, struct str path)
{
    const json_t *at = t->claims;

    while (path.p && at) {
        struct str name = str_cut(&path, '\001');

        at = json_object_getn(at, name.p, name.n);
    }
    return at;
}

bool jwt_is_space_delimited(const struct jwt_rule *r, struct str claim)
{
    if (str_eqz(claim, "scope") || str_eqz(claim, "permission"))
        return true;
    for (size_t i = 0; r && i < r->nspace_delimited; i++)
        if (str_eq(r->space_delimited[i], claim))
            return true;
    return false;
}
