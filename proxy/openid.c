#include "proxy/openid.h"

#include <jansson.h>

static const struct str well_known = STR_INIT("/.well-known/openid-configuration");

static struct str text_of(const json_t *root, const char *member)
{
    const json_t *v = json_object_get(root, member);

    return json_is_string(v) ? (struct str){ json_string_value(v), json_string_length(v) } : STR_NULL;
}

/* Its issuer may end in a slash, where the address has one. */
static bool is_of(struct str issuer, struct str asked)
{
    if (str_ends(issuer, STR("/")))
        issuer.n--;
    return issuer.n && str_ends(asked, well_known) &&
           str_eq(issuer, (struct str){ asked.p, asked.n - well_known.n });
}

int openid_keys_uri(struct str document, struct str asked, struct buf *uri, struct err *e)
{
    json_error_t why;
    json_t *root = json_loadb(document.p ? document.p : "", document.n, JSON_REJECT_DUPLICATES, &why);
    struct str issuer = text_of(root, "issuer"), keys = text_of(root, "jwks_uri");
    int rc = 0;

    if (!root)
        rc = err_set(e, ERR_PARSE, "the OpenID configuration is no JSON: line %d: %s", why.line, why.text);
    else if (!keys.n)
        rc = err_set(e, ERR_INVALID, "the OpenID configuration has no \"jwks_uri\"");
    else if (str_starts(asked, STR("https://")) && !str_starts(keys, STR("https://")))
        rc = err_set(e, ERR_INVALID, "the OpenID configuration's \"jwks_uri\" should be https, as its own is");
    else if (!is_of(issuer, asked))
        rc = err_set(e, ERR_INVALID, "the OpenID configuration is of the issuer \"%.*s\"", STR_ARG(issuer));
    else
        buf_str(uri, keys);
    if (rc == 0 && buf_failed(uri))
        rc = err_set(e, ERR_LIMIT, "the OpenID configuration's \"jwks_uri\" is longer than %zu bytes", uri->max);
    json_decref(root);
    return rc;
}
