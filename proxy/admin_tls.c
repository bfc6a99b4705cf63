/* admin_tls.c: TLS in /config_dump, as Envoy's transport sockets. Of keys a path is shown, a text is "[redacted]". */
#include "mesh/snapshot.h"
#include "proxy/admin-internal.h"
#include "proxy/admin_json-internal.h"

/* "transport_socket":{"name":…,"typed_config":{"@type":…,"common_tls_context":{ */
static void open_socket(struct buf *b, const char *key, const char *type)
{
    json_open(b, key, '{');
    json_text(b, "name", STR("envoy.transport_sockets.tls"));
    json_open(b, "typed_config", '{');
    json_type(b, type);
    json_open(b, "common_tls_context", '{');
}

static const char upstream_type[] = "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext";
static const char downstream_type[] = "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext";

static void source(struct buf *b, const char *key, const struct pem *p, bool secret)
{
    if (!p->path.n && !p->text.n)
        return;
    json_open(b, key, '{');
    if (p->path.n)
        json_text(b, "filename", p->path);
    else
        json_text(b, "inline_string", secret ? STR("[redacted]") : p->text);
    buf_putc(b, '}');
}

static void certificates(struct buf *b, const struct tls_pair *v, size_t n)
{
    json_open(b, "tls_certificates", '[');
    for (size_t i = 0; i < n; i++) {
        json_open(b, NULL, '{');
        source(b, "certificate_chain", &v[i].certificate, false);
        source(b, "private_key", &v[i].key, true);
        buf_putc(b, '}');
    }
    buf_putc(b, ']');
}

static void names(struct buf *b, const struct str *v, size_t n)
{
    if (n == 0)
        return;
    json_open(b, "match_subject_alt_names", '[');
    for (size_t i = 0; i < n; i++) {
        json_open(b, NULL, '{');
        json_text(b, "exact", v[i]);
        buf_putc(b, '}');
    }
    buf_putc(b, ']');
}

static void validation(struct buf *b, const struct pem *ca, const struct pem *crl, const struct str *v, size_t n)
{
    json_open(b, "validation_context", '{');
    source(b, "trusted_ca", ca, false);
    source(b, "crl", crl, false);
    names(b, v, n);
    buf_putc(b, '}');
}

/* The workload's own, by the names that Istio's agent gives them. */
static void own_identity(struct buf *b, const struct str *v, size_t n)
{
    json_open(b, "tls_certificate_sds_secret_configs", '[');
    json_open(b, NULL, '{');
    json_text(b, "name", STR("default"));
    buf_puts(b, "}]");
    json_open(b, "combined_validation_context", '{');
    json_open(b, "default_validation_context", '{');
    names(b, v, n);
    buf_putc(b, '}');
    json_open(b, "validation_context_sds_secret_config", '{');
    json_text(b, "name", STR("ROOTCA"));
    buf_puts(b, "}}");
}

static struct str version_name(uint8_t v)
{
    static const struct str known[] = { STR_INIT("TLSv1_0"), STR_INIT("TLSv1_1"), STR_INIT("TLSv1_2"),
                                        STR_INIT("TLSv1_3") };

    return v >= 10 && v <= 13 ? known[v - 10] : STR("TLS_AUTO");
}

static void parameters(struct buf *b, const struct tls_server *t)
{
    json_open(b, "tls_params", '{');
    json_text(b, "tls_minimum_protocol_version", version_name(t->min_version));
    json_text(b, "tls_maximum_protocol_version", version_name(t->max_version));
    if (t->ciphers.n) {
        json_open(b, "cipher_suites", '[');
        json_text(b, NULL, t->ciphers);
        buf_putc(b, ']');
    }
    buf_putc(b, '}');
}

void admin_server_tls(struct buf *b, const struct tls_server *t)
{
    open_socket(b, "transport_socket", downstream_type);
    parameters(b, t);
    if (t->mode == TLS_SERVER_ISTIO) {
        own_identity(b, t->names, t->nnames);
    } else {
        certificates(b, t->pairs, t->npairs);
        if (t->mode != TLS_SERVER_SIMPLE)
            validation(b, &t->ca, &t->crl, t->names, t->nnames);
    }
    buf_putc(b, '}');
    json_truth(b, "require_client_certificate", t->mode == TLS_SERVER_MUTUAL || t->mode == TLS_SERVER_ISTIO);
    buf_puts(b, "}}");
}

void admin_mesh_tls(struct buf *b)
{
    open_socket(b, "transport_socket", downstream_type);
    own_identity(b, NULL, 0);
    buf_putc(b, '}');
    json_truth(b, "require_client_certificate", true);
    buf_puts(b, "}}");
}

static void client_socket(struct buf *b, const struct tls_client *t)
{
    open_socket(b, "transport_socket", upstream_type);
    if (t->mode == TLS_CLIENT_AUTO || t->mode == TLS_CLIENT_ISTIO) {
        own_identity(b, t->names, t->nnames);
    } else {
        certificates(b, &t->own, t->mode == TLS_CLIENT_MUTUAL);
        if (!t->insecure)
            validation(b, &t->ca, &t->crl, t->names, t->nnames);
    }
    buf_putc(b, '}');
    json_text(b, "sni", t->sni);
    buf_puts(b, "}}");
}

/* AUTO: by what is known of each endpoint. */
void admin_cluster_tls(struct buf *b, const struct tls_client *t)
{
    if (t->mode == TLS_CLIENT_OFF)
        return;
    if (t->mode != TLS_CLIENT_AUTO) {
        client_socket(b, t);
        return;
    }
    json_open(b, "transport_socket_matches", '[');
    json_open(b, NULL, '{');
    json_text(b, "name", STR("tlsMode-istio"));
    json_open(b, "match", '{');
    json_text(b, "tlsMode", STR("istio"));
    buf_putc(b, '}');
    client_socket(b, t);
    buf_putc(b, '}');
    json_open(b, NULL, '{');
    json_text(b, "name", STR("tlsMode-disabled"));
    json_open(b, "match", '{');
    buf_putc(b, '}');
    json_open(b, "transport_socket", '{');
    json_text(b, "name", STR("envoy.transport_sockets.raw_buffer"));
    buf_puts(b, "}}]");
}
