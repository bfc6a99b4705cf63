/* sidecar.c: what a workload's proxy shall see of the mesh, and where it listens for its application. */
#include "base/num.h"
#include "mesh/hosts-internal.h"
#include "mesh/model-internal.h"
#include "mesh/names-internal.h"

static const struct str socket_scheme = STR_INIT("unix://");

/* The protocol may be left out: then it is sniffed. */
static enum service_speech check_port(struct check *c, const struct gw_port *p, bool by_socket)
{
    enum service_speech speech = speech_named(p->protocol);

    if (p->protocol.n && speech == SPEECH_UNKNOWN)
        check_error(c, p->at, "protocol", "invalid protocol \"%.*s\": HTTP, HTTPS, HTTP2, GRPC, GRPC-WEB, TLS, TCP, "
                    "MONGO, REDIS or MYSQL", STR_ARG(p->protocol));
    if (!by_socket && (p->number == 0 || p->number > UINT16_MAX))
        check_error(c, p->at, "number", "must be from 1 to 65535");
    if (by_socket && p->number)
        check_error(c, p->at, "number", "must be 0 for a Unix socket");
    if (!p->name.n)
        check_error(c, p->at, "name", "missing: every port has a name, as in http");
    return speech;
}

static const char *const captures[] = { "DEFAULT", "IPTABLES", "NONE", NULL };

/* ---- ingress ---- */

/* "127.0.0.1:PORT", "[::1]:PORT", "0.0.0.0:PORT", "[::]:PORT" or "unix://PATH" */
static void check_default_endpoint(struct check *c, struct sc_ingress *in)
{
    static const char *const hosts[] = { "127.0.0.1:", "[::1]:", "0.0.0.0:", "[::]:" };
    struct str text = in->default_endpoint;
    uint64_t port = 0;

    if (str_starts(text, socket_scheme)) {
        in->by_socket = true;
        if (text.n == socket_scheme.n || str_eqz(text, "unix:///"))
            check_error(c, in->at, "defaultEndpoint", "\"%.*s\" names no socket", STR_ARG(text));
        else
            check_warn(c, in->at, "defaultEndpoint", "kept, not applied yet: Unix sockets are not served");
        return;
    }
    for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++)
        if (str_starts(text, str_of(hosts[i])) && !num_u64(str_from(text, strlen(hosts[i])), &port))
            port = 0;
    if (port == 0 || port > UINT16_MAX)
        check_error(c, in->at, "defaultEndpoint", "\"%.*s\" must be 127.0.0.1:PORT, [::1]:PORT, 0.0.0.0:PORT, "
                    "[::]:PORT or unix://PATH", STR_ARG(text));
    else
        in->to_port = (uint16_t)port;
}

static void check_ingress_tls(struct check *c, const struct sc_ingress *in)
{
    const struct gw_tls *t = in->tls;

    if (t->mode != GW_MODE_SIMPLE && t->mode != GW_MODE_MUTUAL)
        check_error(c, t->at, "mode", "must be SIMPLE or MUTUAL");
    if (in->port && !str_ieq(in->port->protocol, STR("HTTPS")) && !str_ieq(in->port->protocol, STR("TLS")))
        check_error(c, in->port->at, "protocol", "must be HTTPS or TLS where tls is given");
    if (t->credential_name.n || t->credential_names.n)
        check_error(c, t->at, t->credential_name.n ? "credentialName" : "credentialNames",
                    "is not taken by a Sidecar: give files");
    if (t->https_redirect)
        check_error(c, t->at, "httpsRedirect", "is not taken by a Sidecar");
    if (t->names.n)
        check_error(c, t->at, "subjectAltNames", "is not taken by a Sidecar");
    if (t->certificates.n)
        check_error(c, t->at, "tlsCertificates", "is not taken by a Sidecar: give serverCertificate and privateKey");
}

static void check_ingress(struct check *c, void *message)
{
    struct sc_ingress *in = message;

    if (in->port)
        in->speech = check_port(c, in->port, false);
    if (in->bind.n && !host_is_ip(in->bind))
        check_error(c, in->at, "bind", "\"%.*s\" is no address", STR_ARG(in->bind));
    if (in->default_endpoint.n)
        check_default_endpoint(c, in);
    if (in->tls)
        check_ingress_tls(c, in);
}

static const struct field ingress_fields[] = {
    REQUIRED_OF(MESSAGE, sc_ingress, port, "port", &gw_port_message),
    FIELD(STRING, sc_ingress, bind, "bind"),
    FIELD_OF(ENUM, sc_ingress, capture, "captureMode", captures),
    FIELD(STRING, sc_ingress, default_endpoint, "defaultEndpoint"),
    FIELD_OF(MESSAGE, sc_ingress, tls, "tls", &gw_tls_message),
    FIELD_OF(MESSAGE, sc_ingress, pool, "connectionPool", &dr_pool_message),
    END_OF_FIELDS,
};
static const struct message ingress_message = { sizeof(struct sc_ingress), ingress_fields, false, check_ingress };

/* ---- egress ---- */

/* "ns/host", "./host", "*" "/host", "~/host" (nothing) or "~ns/host" (all but these). */
static void parse_host(struct check *c, const struct yaml_node *at, struct str text, struct sc_host *h)
{
    struct str host = text, ns = str_cut(&host, '/');

    h->ns = ns;
    if (!host.p) {
        check_error(c, at, NULL, "\"%.*s\" must be NAMESPACE/HOST, as in ./* or */*", STR_ARG(text));
        return;
    }
    if (ns.n > 1 && ns.p[0] == '~') {
        h->excluded = true;
        h->ns = str_from(ns, 1);
    }
    if (str_eqz(h->ns, "."))
        h->ns = c->object->ns;
    else if (!str_eqz(h->ns, "*") && !str_eqz(h->ns, "~") && !name_is_label(h->ns))
        check_error(c, at, NULL, "\"%.*s\" is no namespace: a name, '.' for this one, '*' for any, '~' for none",
                    STR_ARG(h->ns));
    if (!host_is_valid(host))
        check_error(c, at, NULL, "\"%.*s\" is no host name", STR_ARG(host));
    h->host = host_lower(c->arena, host);
    if (!h->host.p)
        c->nomem = true;
}

static void check_egress(struct check *c, void *message)
{
    struct sc_egress *e = message;
    const struct yaml_node *list = check_get(e->at, "hosts");

    e->by_socket = str_starts(e->bind, socket_scheme);
    if (e->port)
        e->speech = check_port(c, e->port, e->by_socket);
    else if (e->bind.n)
        check_error(c, e->at, "port", "missing: where bind is given a port must be");
    if (e->bind.n && !e->by_socket && !host_is_ip(e->bind))
        check_error(c, e->at, "bind", "\"%.*s\" is no address", STR_ARG(e->bind));
    else if (e->by_socket)
        check_warn(c, e->at, "bind", "kept, not applied yet: no proxy listens on Unix sockets");
    if (list && e->hosts.n == 0)
        check_error(c, e->at, "hosts", "must name at least one host");
    e->parsed = check_alloc(c, e->hosts.n, sizeof(*e->parsed));
    for (size_t i = 0; e->parsed && i < e->hosts.n && !c->nomem; i++)
        parse_host(c, &list->items[i], e->hosts.v[i], &e->parsed[i]);
}

static const struct field egress_fields[] = {
    FIELD_OF(MESSAGE, sc_egress, port, "port", &gw_port_message),
    FIELD(STRING, sc_egress, bind, "bind"),
    FIELD_OF(ENUM, sc_egress, capture, "captureMode", captures),
    REQUIRED(STRINGS, sc_egress, hosts, "hosts"),
    END_OF_FIELDS,
};
static const struct message egress_message = { sizeof(struct sc_egress), egress_fields, false, check_egress };

/* ---- outboundTrafficPolicy ---- */

static void check_outbound(struct check *c, void *message)
{
    const struct sc_outbound *o = message;

    if (o->proxy && o->mode == OUTBOUND_REGISTRY_ONLY)
        check_error(c, o->at, "egressProxy", "needs mode ALLOW_ANY: with REGISTRY_ONLY nothing unknown is let out");
    if (o->proxy && !o->proxy->port)
        check_error(c, o->proxy->at, "port", "missing: the port of the egress proxy");
}

static const char *const modes[] = { "REGISTRY_ONLY", "ALLOW_ANY", NULL };
static const struct field outbound_fields[] = {
    FIELD_OF(ENUM, sc_outbound, mode, "mode", modes),
    FIELD_OF(MESSAGE, sc_outbound, proxy, "egressProxy", &vs_destination_message),
    END_OF_FIELDS,
};
static const struct message outbound_message = { sizeof(struct sc_outbound), outbound_fields, false, check_outbound };

/* ---- the whole ---- */

static bool same_place(const struct gw_port *a, struct str bind_a, const struct gw_port *b, struct str bind_b)
{
    return a && b && a->number == b->number && str_eq(bind_a, bind_b);
}

static void check_twins(struct check *c, const struct sidecar *s)
{
    for (size_t i = 0; i < s->ingress.n; i++)
        for (size_t k = 0; k < i; k++)
            if (same_place(s->ingress.v[i].port, STR(""), s->ingress.v[k].port, STR("")))
                check_error(c, s->ingress.v[i].at, "port", "stands twice: also on line %d", s->ingress.v[k].at->line);
    for (size_t i = 0; i < s->egress.n; i++) {
        for (size_t k = 0; k < i; k++)
            if (same_place(s->egress.v[i].port, s->egress.v[i].bind, s->egress.v[k].port, s->egress.v[k].bind))
                check_error(c, s->egress.v[i].at, "port", "stands twice: also on line %d", s->egress.v[k].at->line);
        if (!s->egress.v[i].port && i + 1 < s->egress.n)
            check_error(c, s->egress.v[i].at, "port", "missing: the last listener alone may be without, and is for all "
                        "ports that no other has");
    }
}

static void check_sidecar(struct check *c, void *message)
{
    struct sidecar *s = message;

    if (s->ingress.n + s->egress.n == 0 && !s->outbound && !s->pool)
        check_error(c, s->at, NULL, "one of ingress, egress, outboundTrafficPolicy, inboundConnectionPool must be "
                    "given");
    check_twins(c, s);
}

static const struct field sidecar_fields[] = {
    FIELD_OF(MESSAGE, sidecar, selector, "workloadSelector", &workload_selector_message),
    FIELD_OF(MESSAGES, sidecar, ingress, "ingress", &ingress_message),
    FIELD_OF(MESSAGES, sidecar, egress, "egress", &egress_message),
    FIELD_OF(MESSAGE, sidecar, outbound, "outboundTrafficPolicy", &outbound_message),
    FIELD_OF(MESSAGE, sidecar, pool, "inboundConnectionPool", &dr_pool_message),
    END_OF_FIELDS,
};
const struct message sidecar_message = { sizeof(struct sidecar), sidecar_fields, false, check_sidecar };
