/* service.c: a Service and what its ports speak. */
#include "mesh/hosts-internal.h"
#include "mesh/model-internal.h"
#include "mesh/names-internal.h"

/* A port's protocol by its appProtocol, or by its name: the word itself or the word before "-". All others are sniffed.
 * HTTP/2 and gRPC are sniffed, too: a client may still speak HTTP/1, and what it does not is passed on as it is. */
static const struct {
    const char *word;
    enum listener_protocol speaks;
} words[] = {
    { "http", PROTOCOL_HTTP },  { "http2", PROTOCOL_SNIFF }, { "grpc", PROTOCOL_SNIFF }, { "grpc-web", PROTOCOL_HTTP },
    { "https", PROTOCOL_TCP },  { "tls", PROTOCOL_TCP },     { "tcp", PROTOCOL_TCP },    { "mongo", PROTOCOL_TCP },
    { "redis", PROTOCOL_TCP },  { "mysql", PROTOCOL_TCP },   { "kubernetes.io/ws", PROTOCOL_HTTP },
    { "kubernetes.io/wss", PROTOCOL_TCP },
};

static bool names_protocol(struct str name, const char *word)
{
    struct str w = str_of(word);

    return str_ieq(name, w) || (name.n > w.n && name.p[w.n] == '-' && str_ieq((struct str){ name.p, w.n }, w));
}

static enum listener_protocol protocol_of(const struct service_port *p)
{
    enum { N = sizeof(words) / sizeof(words[0]) };

    for (size_t i = 0; p->app_protocol.n && i < N; i++)
        if (str_ieq(p->app_protocol, str_of(words[i].word)))
            return words[i].speaks;
    for (size_t i = 0; !p->app_protocol.n && i < N; i++)
        if (names_protocol(p->name, words[i].word) && !names_protocol(p->name, "grpc-web"))
            return words[i].speaks;
    return names_protocol(p->name, "grpc-web") ? PROTOCOL_HTTP : PROTOCOL_SNIFF;
}

static void check_port(struct check *c, void *message)
{
    struct service_port *p = message;
    const struct yaml_node *t = p->target;

    if (p->name.n && !name_is_label(p->name))
        check_error(c, p->at, "name", "\"%.*s\" is no port name: small letters, digits and '-'", STR_ARG(p->name));
    if (t && t->kind == YAML_STRING && !name_is_label(t->text))
        check_error(c, t, NULL, "\"%.*s\" is neither a number nor the name of a container's port", STR_ARG(t->text));
    else if (t && t->kind != YAML_STRING && (t->kind != YAML_NUMBER || !(t->number >= 1 && t->number <= UINT16_MAX)))
        check_error(c, t, NULL, "must be a port number from 1 to 65535, or the name of a container's port");
    if (p->protocol.n && !str_eqz(p->protocol, "TCP") && !str_eqz(p->protocol, "UDP") && !str_eqz(p->protocol, "SCTP"))
        check_error(c, p->at, "protocol", "\"%.*s\" is not one of TCP, UDP, SCTP (what is spoken over TCP is said by "
                    "the port's name or appProtocol)", STR_ARG(p->protocol));
    p->udp = p->protocol.n && !str_eqz(p->protocol, "TCP");
    p->speaks = protocol_of(p);
}

static const struct field port_fields[] = {
    FIELD(STRING, service_port, name, "name"),
    REQUIRED(PORT, service_port, port, "port"),
    FIELD(ANY, service_port, target, "targetPort"),
    FIELD(COUNT, service_port, node_port, "nodePort"),
    FIELD(STRING, service_port, protocol, "protocol"),
    FIELD(STRING, service_port, app_protocol, "appProtocol"),
    END_OF_FIELDS,
};
static const struct message port_message = { sizeof(struct service_port), port_fields, true, check_port };

static void check_ports(struct check *c, const struct service *s)
{
    enum { MOST_PORTS = 250 };

    if (s->ports.n > MOST_PORTS) {
        check_error(c, s->at, "ports", "%zu ports: more than %d", s->ports.n, MOST_PORTS);
        return;
    }
    for (size_t i = 0; i < s->ports.n; i++) {
        const struct service_port *p = &s->ports.v[i];

        if (s->ports.n > 1 && !p->name.n)
            check_error(c, p->at, "name", "missing: where there are several ports each has a name");
        for (size_t k = 0; k < i; k++) {
            const struct service_port *q = &s->ports.v[k];

            if (p->name.n && str_eq(p->name, q->name))
                check_error(c, p->at, "name", "\"%.*s\" stands twice: also on line %d", STR_ARG(p->name), q->at->line);
            if (p->port && p->port == q->port && p->udp == q->udp)
                check_error(c, p->at, "port", "%u stands twice: also on line %d", p->port, q->at->line);
        }
    }
}

static void check_service(struct check *c, void *message)
{
    struct service *s = message;
    bool external = str_eqz(s->type, "ExternalName");

    check_ports(c, s);
    if (s->ports.n == 0 && !external && !str_eqz(s->cluster_ip, "None"))
        check_error(c, s->at, "ports", "missing: at least one port");
    if (s->type.n && !external && !str_eqz(s->type, "ClusterIP") && !str_eqz(s->type, "NodePort") &&
        !str_eqz(s->type, "LoadBalancer"))
        check_error(c, s->at, "type", "\"%.*s\" is not one of ClusterIP, NodePort, LoadBalancer, ExternalName",
                    STR_ARG(s->type));
    if (s->cluster_ip.n && !str_eqz(s->cluster_ip, "None") && !host_is_ip(s->cluster_ip))
        check_error(c, s->at, "clusterIP", "\"%.*s\" is neither an address nor None", STR_ARG(s->cluster_ip));
    if (external)
        check_warn(c, s->at, "type", "kept, not applied yet: an ExternalName has no endpoints here");
}

static const struct field service_fields[] = {
    FIELD_OF(MESSAGES, service, ports, "ports", &port_message),
    FIELD(LABELS, service, selector, "selector"),
    FIELD(STRING, service, cluster_ip, "clusterIP"),
    FIELD(STRING, service, type, "type"),
    END_OF_FIELDS,
};
static const struct message service_message = { sizeof(struct service), service_fields, true, check_service };

void service_read(struct check *c, struct service *s)
{
    const struct mesh_object *o = c->object;
    const struct yaml_node *spec = check_get(o->root, "spec");

    if (!spec) {
        check_error(c, o->root, "spec", "missing");
        return;
    }
    check_message(c, &service_message, spec, s);
    s->object = o;
    s->host = host_resolve(c->arena, o->name, o->ns);
    if (!s->host.p)
        c->nomem = true;
    if (!name_is_label(o->name))
        check_error(c, o->root, NULL, "a Service's name must be one label, without dots");
}
