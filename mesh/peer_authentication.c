#include "base/num.h"
#include "mesh/policy-internal.h"

static const char *const modes[] = { "UNSET", "DISABLE", "PERMISSIVE", "STRICT", NULL };
static const struct field mtls_fields[] = {
    FIELD_OF(ENUM, peer_mtls, mode, "mode", modes),
    END_OF_FIELDS,
};
static const struct message mtls_message = { sizeof(struct peer_mtls), mtls_fields, false, NULL };

static void check_port(struct check *c, struct peer_mtls *p)
{
    uint64_t port = 0;

    if (!num_u64(p->at->key, &port) || port < 1 || port > UINT16_MAX)
        check_error(c, p->at, NULL, "\"%.*s\" is no port: a number from 1 to 65535", STR_ARG(p->at->key));
    p->port = (uint16_t)port;
}

static void check_peer_authentication(struct check *c, void *message)
{
    struct peer_authentication *p = message;

    if (policy_scope_is_wide(&p->scope) && p->ports.n)
        check_error(c, p->at, "portLevelMtls", "needs a selector with labels: ports are a workload's");
    if (check_get(p->at, "portLevelMtls") && p->ports.n == 0)
        check_error(c, p->at, "portLevelMtls", "must name at least one port");
    for (size_t i = 0; i < p->ports.n; i++)
        check_port(c, &p->ports.v[i]);
}

static const struct field peer_authentication_fields[] = {
    FIELD_OF(MESSAGE, peer_authentication, scope.selector, "selector", &policy_selector_message),
    FIELD_OF(MESSAGE, peer_authentication, mtls, "mtls", &mtls_message),
    FIELD_OF(MAP, peer_authentication, ports, "portLevelMtls", &mtls_message),
    END_OF_FIELDS,
};
const struct message peer_authentication_message = { sizeof(struct peer_authentication), peer_authentication_fields,
                                                     false, check_peer_authentication };
