/* service.c: a Service and what its ports speak. */
#include "mesh/hosts-internal.h"
#include "mesh/model-internal.h"
#include "mesh/names-internal.h"

/* Istio's words for what a port speaks. */
static const struct {
    const char *word;
    enum service_speech speech;
} words[] = {
    { "http", SPEECH_HTTP1 }, { "http2", SPEECH_HTTP2 }, { "grpc", SPEECH_HTTP2 }, { "grpc-web", SPEECH_HTTP1 },
    { "https", SPEECH_TLS },  { "tls", SPEECH_TLS },     { "tcp", SPEECH_TCP },    { "mongo", SPEECH_TCP },
    { "redis", SPEECH_TCP },  { "mysql", SPEECH_TCP },
};

/* Kubernetes' own, of appProtocol alone. */
static const struct {
    const char *word;
    enum service_speech speech;
} app_words[] = {
    { "kubernetes.io/ws", SPEECH_HTTP1 },
    { "kubernetes.io/wss", SPEECH_TLS },
    { "kubernetes.io/h2c", SPEECH_HTTP2 },
};

enum service_speech speech_named(struct str word)
{
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (str_ieq(word, str_of(words[i].word)))
            return words[i].speech;
    return SPEECH_UNKNOWN;
}

enum listener_protocol speech_protocol(enum service_speech s)
{
    return s == SPEECH_UNKNOWN                         ? PROTOCOL_SNIFF
           : s == SPEECH_HTTP1 || s == SPEECH_HTTP2 ? PROTOCOL_HTTP
                                                       : PROTOCOL_TCP;
}

/* By the name itself or what stands before its first "-"; "grpc-web" is a word of its own. */
static enum service_speech speech_of_name(struct str name)
{
    static const struct str web = STR_INIT("grpc-web");
    struct str first = name;

    if (name.n > web.n && name.p[web.n] == '-' && str_ieq((struct str){ name.p, web.n }, web))
        return SPEECH_HTTP1;
    if (speech_named(name) != SPEECH_UNKNOWN)
        return speech_named(name);
    return speech_named(str_cut(&first, '-'));
}

static enum service_speech speech_of(const struct service_port *p)
{
    if (!p->app_protocol.n)
        return speech_of_name(p->name);
    for (size_t i = 0; i < sizeof(app_words) / sizeof(app_words[0]); i++)
        if (str_ieq(p->app_protocol, str_of(app_words[i].word)))
            return app_words[i].speech;
    return speech_named(p->app_protocol);
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
    p->speech = speech_of(p);
    if (t && t->kind == YAML_STRING)
        p->target_name = t->text;
    else if (t && t->kind == YAML_NUMBER && t->number >= 1 && t->number <= UINT16_MAX)
        p->target_number = (uint32_t)t->number;
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
    if (external && !host_is_valid(s->external_name))
        check_error(c, s->at, "externalName", "must be a host name: where the Service is");
    else if (external && s->ports.n == 0)
        check_warn(c, s->at, "ports", "missing: a proxy serves the ports that are named, and without any not this "
                   "Service");
}

static const struct field service_fields[] = {
    FIELD_OF(MESSAGES, service, ports, "ports", &port_message),
    FIELD(LABELS, service, selector, "selector"),
    FIELD(STRING, service, cluster_ip, "clusterIP"),
    FIELD(STRING, service, type, "type"),
    FIELD(STRING, service, external_name, "externalName"),
    END_OF_FIELDS,
};
static const struct message service_message = { sizeof(struct service), service_fields, true, check_service };

/* "networking.istio.io/exportTo: .,other" */
static void read_export(struct check *c, struct service *s)
{
    const struct yaml_node *all = yaml_path(c->object->root, "metadata.annotations");
    struct str rest = yaml_text(yaml_get(all, "networking.istio.io/exportTo"));

    s->export_to.v = rest.n ? check_alloc(c, rest.n, sizeof(*s->export_to.v)) : NULL;
    while (rest.n && s->export_to.v)
        s->export_to.v[s->export_to.n++] = str_trim(str_cut(&rest, ','));
}

static void take_address(struct check *c, struct service *s)
{
    if (!host_is_ip(s->cluster_ip))
        return;
    s->addresses.v = check_alloc(c, 1, sizeof(*s->addresses.v));
    if (!s->addresses.v)
        return;
    s->addresses.v[0] = s->cluster_ip;
    s->addresses.n = 1;
}

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
    s->name = o->name;
    s->host = host_resolve(c->arena, o->name, o->ns);
    if (!s->host.p)
        c->nomem = true;
    if (str_eqz(s->type, "ExternalName")) {
        s->external = true;
        s->resolution = RESOLVE_DNS;
    }
    take_address(c, s);
    read_export(c, s);
    if (!name_is_label(o->name))
        check_error(c, o->root, NULL, "a Service's name must be one label, without dots");
}
