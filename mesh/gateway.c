#include "mesh/hosts-internal.h"
#include "mesh/model-internal.h"
#include "mesh/names-internal.h"

static const struct {
    const char *word;
    enum gw_protocol protocol;
} protocols[] = {
    { "HTTP", GW_HTTP }, { "HTTP2", GW_HTTP }, { "GRPC", GW_HTTP }, { "GRPC-WEB", GW_HTTP }, { "HTTPS", GW_TLS },
    { "TLS", GW_TLS },   { "TCP", GW_TCP },    { "MONGO", GW_TCP }, { "MYSQL", GW_TCP },     { "REDIS", GW_TCP },
};

/* ---- tls ---- */

static const struct field certificate_fields[] = {
    REQUIRED(STRING, gw_certificate, server_certificate, "serverCertificate"),
    REQUIRED(STRING, gw_certificate, private_key, "privateKey"),
    FIELD(STRING, gw_certificate, ca_certificates, "caCertificates"),
    END_OF_FIELDS,
};
static const struct message certificate_message = { sizeof(struct gw_certificate), certificate_fields, false, NULL };

static void check_own_certificates(struct check *c, const struct gw_tls *t)
{
    if (t->server_certificate.n)
        check_error(c, t->at, "serverCertificate", "ISTIO_MUTUAL cannot have associated server certificate");
    if (t->private_key.n)
        check_error(c, t->at, "privateKey", "ISTIO_MUTUAL cannot have associated private key");
    if (t->ca_certificates.n)
        check_error(c, t->at, "caCertificates", "ISTIO_MUTUAL cannot have associated CA bundle");
    if (t->credential_name.n || t->credential_names.n)
        check_error(c, t->at, "credentialName", "ISTIO_MUTUAL cannot have associated credentialName");
}

static void check_certificates(struct check *c, const struct gw_tls *t)
{
    bool named = t->credential_name.n || t->credential_names.n;
    bool client = t->mode == GW_MODE_MUTUAL || t->mode == GW_MODE_OPTIONAL_MUTUAL;

    if ((t->server_certificate.n > 0) + (t->credential_name.n > 0) + (t->credential_names.n > 0) +
            (t->certificates.n > 0) > 1)
        check_error(c, t->at, NULL, "only one of credential_name, credential_names, server_certificate, "
                    "tls_certificates may be given");
    if (named)
        return;
    if (t->certificates.n == 0 && !t->server_certificate.n)
        check_error(c, t->at, "serverCertificate", "missing: this mode of TLS requires a server certificate, "
                    "or a credentialName");
    if (t->certificates.n == 0 && !t->private_key.n)
        check_error(c, t->at, "privateKey", "missing: this mode of TLS requires a private key, or a credentialName");
    if (client && !t->ca_certificates.n && !t->ca_credential_name.n)
        check_error(c, t->at, "caCertificates", "missing: this mode of TLS requires a client CA bundle");
}

static void check_tls(struct check *c, void *message)
{
    static const char *const later[] = { "verifyCertificateSpki", "verifyCertificateHash", "insecureSkipVerify" };
    struct gw_tls *t = message;

    if (t->mode == GW_MODE_ISTIO_MUTUAL)
        check_own_certificates(c, t);
    else if (t->mode == GW_MODE_SIMPLE || t->mode == GW_MODE_MUTUAL || t->mode == GW_MODE_OPTIONAL_MUTUAL)
        check_certificates(c, t);
    for (size_t i = 0; i < sizeof(later) / sizeof(later[0]); i++)
        if (check_get(t->at, later[i]))
            check_warn(c, t->at, later[i], "kept, not applied yet: give caCertificates and subjectAltNames");
    if (t->max_version && t->min_version > t->max_version)
        check_error(c, t->at, "minProtocolVersion", "must not be above maxProtocolVersion");
}

static const char *const tls_modes[] = { "PASSTHROUGH",  "SIMPLE",          "MUTUAL", "AUTO_PASSTHROUGH",
                                         "ISTIO_MUTUAL", "OPTIONAL_MUTUAL", NULL };
static const char *const versions[] = { "TLS_AUTO", "TLSV1_0", "TLSV1_1", "TLSV1_2", "TLSV1_3", NULL };
static const struct field tls_fields[] = {
    FIELD(BOOL, gw_tls, https_redirect, "httpsRedirect"),
    FIELD_OF(ENUM, gw_tls, mode, "mode", tls_modes),
    FIELD(STRING, gw_tls, server_certificate, "serverCertificate"),
    FIELD(STRING, gw_tls, private_key, "privateKey"),
    FIELD(STRING, gw_tls, ca_certificates, "caCertificates"),
    FIELD(STRING, gw_tls, ca_crl, "caCrl"),
    FIELD(STRING, gw_tls, credential_name, "credentialName"),
    FIELD(STRINGS, gw_tls, credential_names, "credentialNames"),
    FIELD(STRING, gw_tls, ca_credential_name, "caCertCredentialName"),
    FIELD_OF(MESSAGES, gw_tls, certificates, "tlsCertificates", &certificate_message),
    FIELD(STRINGS, gw_tls, names, "subjectAltNames"),
    FIELD(STRINGS, gw_tls, spki, "verifyCertificateSpki"),
    FIELD(STRINGS, gw_tls, hashes, "verifyCertificateHash"),
    FIELD_OF(ENUM, gw_tls, min_version, "minProtocolVersion", versions),
    FIELD_OF(ENUM, gw_tls, max_version, "maxProtocolVersion", versions),
    FIELD(STRINGS, gw_tls, ciphers, "cipherSuites"),
    FIELD(BOOL, gw_tls, insecure, "insecureSkipVerify"),
    END_OF_FIELDS,
};
const struct message gw_tls_message = { sizeof(struct gw_tls), tls_fields, false, check_tls };

/* ---- servers ---- */

static void check_port(struct check *c, struct gw_server *s)
{
    bool unix_socket = str_starts(s->bind, STR("unix://"));
    bool known = false;

    s->by_socket = unix_socket;
    if (unix_socket)
        check_warn(c, s->at, "bind", "kept, not applied yet: no proxy listens on Unix sockets");
    for (size_t i = 0; i < sizeof(protocols) / sizeof(protocols[0]); i++) {
        if (!str_ieq(s->port->protocol, str_of(protocols[i].word)))
            continue;
        s->protocol = protocols[i].protocol;
        s->http_inside = protocols[i].protocol == GW_TLS && str_eqz(str_of(protocols[i].word), "HTTPS");
        known = true;
    }
    if (!known)
        check_error(c, s->port->at, "protocol", "invalid protocol \"%.*s\": HTTP, HTTPS, HTTP2, GRPC, GRPC-WEB, TLS, "
                    "TCP or MONGO", STR_ARG(s->port->protocol));
    if (unix_socket && s->port->number)
        check_error(c, s->port->at, "number", "port number must be 0 for unix domain socket");
    else if (!unix_socket && (s->port->number == 0 || s->port->number > UINT16_MAX))
        check_error(c, s->port->at, "number", "port number must be from 1 to 65535");
    if (!s->port->name.n)
        check_error(c, s->port->at, "name", "missing: every port has a name, as in http");
    if (s->bind.n && !unix_socket && !host_is_ip(s->bind))
        check_error(c, s->at, "bind", "\"%.*s\" is no address", STR_ARG(s->bind));
}

/* "ns/host", "./host", "*" "/host" or "host", which is for any namespace. */
static bool parse_host(struct check *c, const struct yaml_node *at, struct str text, struct gw_host *h)
{
    ptrdiff_t slash = str_chr(text, '/');
    struct str ns = slash < 0 ? STR("*") : (struct str){ text.p, (size_t)slash };
    struct str host = slash < 0 ? text : str_from(text, (size_t)slash + 1);

    if (!str_eqz(ns, "*") && !str_eqz(ns, ".") && !name_is_label(ns))
        check_error(c, at, NULL, "\"%.*s\" is no namespace: a name, '.' for this one, or '*'", STR_ARG(ns));
    else if (host_is_wild(host) && host.n > 1 && host.p[1] != '.')
        check_error(c, at, NULL, "partial wildcard \"%.*s\" not allowed: \"*\" stands for whole labels, as in "
                    "*.example.com", STR_ARG(host));
    else if (!host_is_valid(host))
        check_error(c, at, NULL, "\"%.*s\" is no host name", STR_ARG(host));
    h->ns = str_eqz(ns, ".") ? c->object->ns : ns;
    h->host = host_lower(c->arena, host);
    if (!h->host.p)
        c->nomem = true;
    return h->host.p != NULL;
}

static void check_server(struct check *c, void *message)
{
    struct gw_server *s = message;
    const struct yaml_node *list = check_get(s->at, "hosts");

    if (s->port)
        check_port(c, s);
    if (list && s->hosts.n == 0)
        check_error(c, s->at, "hosts", "must name at least one host");
    s->parsed = check_alloc(c, s->hosts.n, sizeof(*s->parsed));
    for (size_t i = 0; list && s->parsed && i < s->hosts.n; i++)
        if (!parse_host(c, &list->items[i], s->hosts.v[i], &s->parsed[i]))
            return;
    if (s->protocol == GW_TLS && !s->tls)
        check_error(c, s->at, "tls", "missing: server must have TLS settings for HTTPS or TLS");
    else if (s->protocol == GW_HTTP && s->tls && !s->tls->https_redirect)
        check_error(c, s->at, "tls", "server cannot have TLS settings for a plain text HTTP port but httpsRedirect");
}

static const struct field port_fields[] = {
    FIELD(COUNT, gw_port, number, "number"),
    FIELD(STRING, gw_port, protocol, "protocol"),
    FIELD(STRING, gw_port, name, "name"),
    FIELD(COUNT, gw_port, target_port, "targetPort"),
    END_OF_FIELDS,
};
const struct message gw_port_message = { sizeof(struct gw_port), port_fields, false, NULL };
static const struct field server_fields[] = {
    REQUIRED_OF(MESSAGE, gw_server, port, "port", &gw_port_message),
    FIELD(STRING, gw_server, bind, "bind"),
    REQUIRED(STRINGS, gw_server, hosts, "hosts"),
    FIELD_OF(MESSAGE, gw_server, tls, "tls", &gw_tls_message),
    FIELD(STRING, gw_server, default_endpoint, "defaultEndpoint"),
    FIELD(STRING, gw_server, name, "name"),
    END_OF_FIELDS,
};
static const struct message server_message = { sizeof(struct gw_server), server_fields, false, check_server };

static void check_gateway(struct check *c, void *message)
{
    struct gateway *g = message;

    if (check_get(g->at, "servers") && g->servers.n == 0)
        check_error(c, g->at, "servers", "must name at least one server");
    g->name = check_printf(c, "%.*s/%.*s", STR_ARG(c->object->ns), STR_ARG(c->object->name));
}

static const struct field gateway_fields[] = {
    REQUIRED_OF(MESSAGES, gateway, servers, "servers", &server_message),
    FIELD(LABELS, gateway, selector, "selector"),
    END_OF_FIELDS,
};
const struct message gateway_message = { sizeof(struct gateway), gateway_fields, false, check_gateway };
