/* snapshot_security.c: what a listener asks of who comes in: the policies that choose this proxy.
 *
 * A policy of the root namespace is for the whole mesh, any other for its own namespace; labels and targets narrow it
 * down. Authorization adds up: every policy counts. So do tokens. Of mutual TLS the narrowest word counts: the
 * workload's before the namespace's before the mesh's, and of equals the oldest. */
#include "mesh/snapshot-internal.h"

/* ---- whom a policy is for ---- */

/* Whether the Service selects this proxy's Pod and has a port that leads to the listener. */
static bool leads_here(const struct draft *d, struct str service, const struct listener *l)
{
    const struct service *s = mesh_service(d->mesh, d->ns, service);

    if (!d->pod || !s || s->selector.n == 0 || !labels_contain(d->labels, s->selector))
        return false;
    for (size_t i = 0; l && i < s->ports.n; i++)
        if (!s->ports.v[i].udp && pod_target_port(d->pod, &s->ports.v[i]) == l->port)
            return l->direction == LISTENER_INBOUND;
    return !l;
}

static bool is_target(const struct draft *d, const struct policy_target *t, const struct listener *l)
{
    static const struct str gateway_name = STR_INIT("gateway.networking.k8s.io/gateway-name");

    switch (policy_target_kind(t)) {
    case TARGET_GATEWAY:
        return d->id->role == PROXY_GATEWAY && str_eq(labels_get(d->labels, gateway_name), t->name);
    case TARGET_SERVICE:
        return leads_here(d, t->name, l);
    default:
        return false;
    }
}

bool draft_covers(const struct draft *d, const struct policy_scope *s, const struct listener *l)
{
    for (size_t i = 0; policy_scope_target(s, i); i++)
        if (is_target(d, policy_scope_target(s, i), l))
            return true;
    return policy_scope_selects(s, d->labels);
}

static bool is_for(const struct draft *d, const struct mesh_object *o, const struct policy_scope *s,
                   const struct listener *l)
{
    if (str_eq(o->ns, d->ns))
        return draft_covers(d, s, l);
    return str_eqz(o->ns, ROOT_NAMESPACE) && policy_scope_selects(s, d->labels); /* targets are in its namespace */
}

/* ---- mutual TLS ---- */

static void narrow(int *mode, const struct peer_mtls *m)
{
    if (m && m->mode != PEER_UNSET)
        *mode = m->mode;
}

static void set_mtls(const struct draft *d, struct listener *l)
{
    const struct policies *p = &d->mesh->policies;
    const struct peer_authentication *mesh = NULL, *ns = NULL, *workload = NULL;
    int mode = PEER_PERMISSIVE;

    for (size_t i = p->peers.n; i-- > 0;) {
        const struct peer_authentication *a = &p->peers.v[i];

        if (!is_for(d, a->object, &a->scope, l))
            continue;
        if (!policy_scope_is_wide(&a->scope))
            workload = a;
        else if (str_eq(a->object->ns, d->ns))
            ns = a;
        else
            mesh = a;
    }
    narrow(&mode, mesh ? mesh->mtls : NULL);
    narrow(&mode, ns ? ns->mtls : NULL);
    narrow(&mode, workload ? workload->mtls : NULL);
    for (size_t i = 0; workload && i < workload->ports.n; i++)
        if (workload->ports.v[i].port == l->port)
            narrow(&mode, &workload->ports.v[i]);
    l->policy.mtls = mode == PEER_STRICT ? MTLS_STRICT : mode == PEER_DISABLE ? MTLS_OFF : MTLS_PERMISSIVE;
}

/* ---- authorization ---- */

static bool counts(const struct draft *d, const struct authorization_policy *p, const struct listener *l)
{
    return !p->dry_run && is_for(d, p->object, &p->scope, l);
}

static void set_policies(struct draft *d, struct listener *l)
{
    static const enum auth_action order[] = { AUTH_CUSTOM, AUTH_DENY, AUTH_ALLOW, AUTH_AUDIT };
    const struct policies *all = &d->mesh->policies;
    size_t n = 0;
    struct policy *v;

    for (size_t i = 0; i < all->authorizations.n; i++)
        n += counts(d, &all->authorizations.v[i], l);
    v = draft_alloc(d, n, sizeof(*v));
    for (size_t k = 0; v && n && k < sizeof(order) / sizeof(order[0]); k++)
        for (size_t i = 0; i < all->authorizations.n; i++)
            if (all->authorizations.v[i].action == (int)order[k] && counts(d, &all->authorizations.v[i], l))
                v[l->policy.npolicies++] = all->authorizations.v[i].policy;
    l->policy.policies = v;
    for (size_t i = 0; i < l->policy.npolicies; i++)
        l->policy.default_deny = l->policy.default_deny || v[i].action == POLICY_ALLOW;
}

/* ---- tokens ---- */

static void set_jwt(struct draft *d, struct listener *l)
{
    const struct policies *all = &d->mesh->policies;
    size_t n = 0;
    struct jwt_rule *v;

    for (size_t i = 0; i < all->requests.n; i++)
        n += is_for(d, all->requests.v[i].object, &all->requests.v[i].scope, l) ? all->requests.v[i].sources.n : 0;
    v = draft_alloc(d, n, sizeof(*v));
    for (size_t i = 0; v && n && i < all->requests.n; i++)
        if (is_for(d, all->requests.v[i].object, &all->requests.v[i].scope, l))
            for (size_t k = 0; k < all->requests.v[i].sources.n; k++)
                v[l->policy.njwt++] = all->requests.v[i].rules[k];
    l->policy.jwt = v;
}

void draft_security(struct draft *d, struct listener *l)
{
    if (l->direction == LISTENER_OUTBOUND)
        return;
    if (l->direction == LISTENER_INBOUND)
        set_mtls(d, l);
    set_policies(d, l);
    set_jwt(d, l);
}
