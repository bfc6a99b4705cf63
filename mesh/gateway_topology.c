/* gateway_topology.c: what stands in front of a gateway (istio.io/latest/docs/ops/configuration/traffic-management/
 * network-topologies): a Pod's annotation proxy.istio.io/config, and for all of them MeshConfig's defaultConfig, in the
 * ConfigMap "istio" of the root namespace. Both are YAML in a text, of which gatewayTopology alone is read. */
#include "mesh/model-internal.h"

#include "base/num.h"

static const char config_key[] = "proxy.istio.io/config";

static const char *const details[] = { "UNDEFINED", "SANITIZE", "FORWARD_ONLY", "APPEND_FORWARD", "SANITIZE_SET",
                                       "ALWAYS_FORWARD_ONLY" };
enum { NDETAILS = sizeof(details) / sizeof(details[0]), MOST_TRUSTED = 255 };

static void read_trusted(struct check *c, const struct yaml_node *at, const struct yaml_node *n,
                         struct gateway_topology *to)
{
    if (!(n->kind == YAML_NUMBER && n->number >= 0 && n->number <= MOST_TRUSTED && n->number == (uint32_t)n->number))
        check_error(c, at, NULL, "gatewayTopology.numTrustedProxies: must be a number from 0 to %d", MOST_TRUSTED);
    else
        to->trusted_proxies = (uint32_t)n->number;
    to->trusted_given = true;
}

static void read_details(struct check *c, const struct yaml_node *at, const struct yaml_node *n,
                         struct gateway_topology *to)
{
    struct str word = yaml_text(n);

    for (int i = 0; i < NDETAILS; i++)
        if (str_eqz(word, details[i])) {
            to->client_cert = (enum client_cert_details)i;
            return;
        }
    check_error(c, at, NULL, "gatewayTopology.forwardClientCertDetails: \"%.*s\": must be SANITIZE, FORWARD_ONLY, "
                "APPEND_FORWARD, SANITIZE_SET or ALWAYS_FORWARD_ONLY", STR_ARG(word));
}

/* The members of a gatewayTopology, over what `to` has. */
static void read_topology(struct check *c, const struct yaml_node *at, const struct yaml_node *topology,
                          struct gateway_topology *to)
{
    for (size_t i = 0; i < topology->n; i++) {
        const struct yaml_node *n = &topology->items[i];

        if (n->kind == YAML_NULL)
            continue;
        if (n == check_get(topology, "numTrustedProxies"))
            read_trusted(c, at, n, to);
        else if (n == check_get(topology, "forwardClientCertDetails"))
            read_details(c, at, n, to);
        else if (n == check_get(topology, "proxyProtocol"))
            to->proxy_protocol = true;
        else
            check_error(c, at, NULL, "gatewayTopology.%.*s: unknown field", STR_ARG(n->key));
    }
}

/* `at`: a text of YAML, or absent. `within`: the member that has the gatewayTopology; NULL: the text itself. */
static void read_text(struct check *c, const struct yaml_node *at, const char *within, struct gateway_topology *to)
{
    const struct yaml_node *root = NULL, *topology;
    struct err why = ERR_INIT;
    int rc;

    if (!yaml_text(at).n)
        return;
    rc = yaml_read_one(c->arena, "text", yaml_text(at), &root, &why);
    c->nomem = c->nomem || rc == ERR_NOMEM;
    if (rc == ERR_PARSE)
        check_error(c, at, NULL, "is no YAML: %s", why.msg);
    if (rc < 0)
        return;
    topology = check_get(within ? check_get(root, within) : root, "gatewayTopology");
    if (topology && topology->kind != YAML_MAP)
        check_error(c, at, NULL, "gatewayTopology: must be a map");
    else if (topology)
        read_topology(c, at, topology, to);
}

void gateway_topology_read(struct check *c, const struct yaml_node *annotations, struct gateway_topology *to)
{
    read_text(c, yaml_get(annotations, config_key), NULL, to);
}

void gateway_topology_read_mesh(struct check *c, const struct mesh_object *o, struct gateway_topology *to)
{
    if (str_eqz(o->ns, "istio-system") && str_eqz(o->name, "istio"))
        read_text(c, yaml_path(o->root, "data.mesh"), "defaultConfig", to);
}

struct gateway_topology gateway_topology_of(const struct gateway_topology *other, const struct gateway_topology *own)
{
    struct gateway_topology t = *own;

    if (!t.trusted_given)
        t.trusted_proxies = other->trusted_proxies;
    t.trusted_given = t.trusted_given || other->trusted_given;
    if (t.client_cert == CLIENT_CERT_DEFAULT)
        t.client_cert = other->client_cert;
    t.proxy_protocol = t.proxy_protocol || other->proxy_protocol;
    return t;
}
