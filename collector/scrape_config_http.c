#include "base/err.h"
#include "collector/scrape_config-internal.h"

#include <stddef.h>

struct basic_auth {
    struct str username, username_file, password, password_file;
};

static const struct conf_field basic_fields[] = {
    { "username", CONF_TEXT, offsetof(struct basic_auth, username) },
    { "username_file", CONF_TEXT, offsetof(struct basic_auth, username_file) },
    { "password", CONF_TEXT, offsetof(struct basic_auth, password) },
    { "password_file", CONF_TEXT, offsetof(struct basic_auth, password_file) },
};

struct authorization {
    struct str type, credentials, credentials_file;
};

static const struct conf_field authorization_fields[] = {
    { "type", CONF_TEXT, offsetof(struct authorization, type) },
    { "credentials", CONF_TEXT, offsetof(struct authorization, credentials) },
    { "credentials_file", CONF_TEXT, offsetof(struct authorization, credentials_file) },
};

static const struct conf_field tls_fields[] = {
    { "ca", CONF_TEXT, offsetof(struct http_settings, ca) },
    { "ca_file", CONF_TEXT, offsetof(struct http_settings, ca_file) },
    { "cert", CONF_TEXT, offsetof(struct http_settings, cert) },
    { "cert_file", CONF_TEXT, offsetof(struct http_settings, cert_file) },
    { "key", CONF_TEXT, offsetof(struct http_settings, key) },
    { "key_file", CONF_TEXT, offsetof(struct http_settings, key_file) },
    { "server_name", CONF_TEXT, offsetof(struct http_settings, server_name) },
    { "insecure_skip_verify", CONF_BOOL, offsetof(struct http_settings, insecure_skip_verify) },
    { "min_version", CONF_TEXT, offsetof(struct http_settings, min_version) },
    { "max_version", CONF_TEXT, offsetof(struct http_settings, max_version) },
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* Makes *path absolute when it is set. */
static int place(const struct conf *c, struct str *path, struct err *e)
{
    if (!path->p)
        return 0;
    *path = conf_path(c, *path);
    return path->p ? 0 : err_set(e, ERR_NOMEM, "%s: no memory", c->file);
}

static int read_basic(const struct conf *c, const struct yaml_node *node, struct http_settings *out, struct err *e)
{
    struct basic_auth w = { STR_NULL, STR_NULL, STR_NULL, STR_NULL };
    int rc = conf_read(c, node, basic_fields, COUNT(basic_fields), &w, e);

    if (rc < 0)
        return rc;
    if (w.username.n && w.username_file.n)
        return conf_fail(c, node, e, "at most one of basic_auth username & username_file must be configured");
    if (w.password.n && w.password_file.n)
        return conf_fail(c, node, e, "at most one of basic_auth password & password_file must be configured");
    out->user = w.username.p ? w.username : STR("");
    out->user_file = w.username_file;
    out->password = w.password.p ? w.password : STR("");
    out->password_file = w.password_file;
    rc = place(c, &out->user_file, e);
    return rc < 0 ? rc : place(c, &out->password_file, e);
}

static int read_authorization(const struct conf *c, const struct yaml_node *node, struct http_settings *out,
                              struct err *e)
{
    struct authorization w = { STR_NULL, STR_NULL, STR_NULL };
    int rc = conf_read(c, node, authorization_fields, COUNT(authorization_fields), &w, e);

    if (rc < 0)
        return rc;
    if (w.credentials.n && w.credentials_file.n)
        return conf_fail(c, node, e, "at most one of authorization credentials & credentials_file must be configured");
    out->auth_type = str_trim(w.type).n ? str_trim(w.type) : STR("Bearer");
    if (str_ieq(out->auth_type, STR("basic")))
        return conf_fail(c, node, e, "authorization type cannot be set to \"basic\", use \"basic_auth\" instead");
    out->credentials = w.credentials.p ? w.credentials : STR("");
    out->credentials_file = w.credentials_file;
    return place(c, &out->credentials_file, e);
}

static int read_tls(const struct conf *c, const struct yaml_node *node, struct http_settings *out, struct err *e)
{
    int rc = conf_read(c, node, tls_fields, COUNT(tls_fields), out, e);

    if (rc < 0)
        return rc;
    if (out->ca.n && out->ca_file.n)
        return conf_fail(c, node, e, "at most one of ca and ca_file must be configured");
    if ((out->cert.n && out->cert_file.n) || (out->key.n && out->key_file.n))
        return conf_fail(c, node, e, "at most one of cert and cert_file, key and key_file must be configured");
    if ((out->cert.n || out->cert_file.n) != (out->key.n || out->key_file.n))
        return conf_fail(c, node, e, "exactly one of key and key_file must be configured when a client certificate is, "
                         "and none without one");
    rc = place(c, &out->ca_file, e);
    if (rc == 0)
        rc = place(c, &out->cert_file, e);
    return rc < 0 ? rc : place(c, &out->key_file, e);
}

/* http_headers: {NAME: {values: [..], secrets: [..]}} */
static int read_headers(const struct conf *c, const struct yaml_node *node, struct http_settings *out, struct err *e)
{
    struct label *v = NULL;
    size_t cap = 0;

    if (node->kind != YAML_MAP)
        return conf_fail(c, node, e, "should be a map of names to {values: [...]}");
    for (size_t i = 0; i < node->n; i++) {
        const struct yaml_node *header = &node->items[i];

        for (size_t k = 0; k < header->n; k++) {
            const struct yaml_node *list = &header->items[k];

            if ((!str_eqz(list->key, "values") && !str_eqz(list->key, "secrets")) || list->kind != YAML_LIST)
                return conf_fail(c, list, e, "should be values: [...] or secrets: [...]");
            for (size_t j = 0; j < list->n; j++) {
                if (arena_grow(c->arena, &v, &cap, out->nheaders + 1, sizeof(*v)) < 0)
                    return err_set(e, ERR_NOMEM, "%s: no memory", c->file);
                v[out->nheaders++] = (struct label){ arena_str(c->arena, header->key),
                                                     arena_str(c->arena, yaml_text(&list->items[j])) };
            }
        }
    }
    out->headers = v;
    return 0;
}

int http_settings_read(const struct conf *c, const struct yaml_node *node, const struct http_written *w,
                       struct http_settings *out, struct err *e)
{
    int rc = 0;

    *out = (struct http_settings){ .proxy_url = w->proxy_url, .no_proxy = w->no_proxy, .http2 = w->enable_http2,
                                   .proxy_from_environment = w->proxy_from_environment,
                                   .follow_redirects = w->follow_redirects };
    if (w->oauth2)
        return conf_fail(c, w->oauth2, e, "not offered: basic_auth and authorization are");
    if (w->proxy_connect_header)
        return conf_fail(c, w->proxy_connect_header, e, "not offered");
    if (!!w->basic_auth + !!w->authorization + (w->bearer_token.n || w->bearer_token_file.n) > 1)
        return conf_fail(c, node, e,
                         "at most one of basic_auth, oauth2, bearer_token & bearer_token_file must be configured");
    if (w->basic_auth)
        rc = read_basic(c, w->basic_auth, out, e);
    if (rc == 0 && w->authorization)
        rc = read_authorization(c, w->authorization, out, e);
    if (rc == 0 && (w->bearer_token.n || w->bearer_token_file.n)) {
        out->auth_type = STR("Bearer");
        out->credentials = w->bearer_token.p ? w->bearer_token : STR("");
        out->credentials_file = w->bearer_token_file;
        rc = place(c, &out->credentials_file, e);
    }
    if (rc == 0 && w->tls_config)
        rc = read_tls(c, w->tls_config, out, e);
    if (rc == 0 && w->http_headers)
        rc = read_headers(c, w->http_headers, out, e);
    return rc;
}
