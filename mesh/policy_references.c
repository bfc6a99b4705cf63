/* policy_references.c: what can only be said of policies when all other objects are at hand. Nothing stops a mesh. */
#include "mesh/model-internal.h"

struct look {
    const struct mesh *mesh;
    struct mesh_problems *problems;
    bool nomem;
};

/* ---- whom a policy is for ---- */

static bool in_reach(const struct policy_head *h, struct str ns)
{
    return str_eq(h->object->ns, ns) || str_eqz(h->object->ns, ROOT_NAMESPACE);
}

/* Gateways need no Pod: they have the labels that their Gateway selects by. */
static bool selects_something(const struct mesh *m, const struct policy_head *h)
{
    for (size_t i = 0; i < m->pods.n; i++)
        if (in_reach(h, m->pods.v[i].object->ns) && policy_scope_selects(&h->scope, m->pods.v[i].labels))
            return true;
    for (size_t i = 0; i < m->templates.n; i++)
        if (in_reach(h, m->templates.v[i].object->ns) && policy_scope_selects(&h->scope, m->templates.v[i].labels))
            return true;
    for (size_t i = 0; i < m->workload_entries.n; i++)
        if (in_reach(h, m->workload_entries.v[i].object->ns) &&
            policy_scope_selects(&h->scope, m->workload_entries.v[i].labels))
            return true;
    for (size_t i = 0; i < m->gateways.n; i++)
        if (policy_scope_selects(&h->scope, m->gateways.v[i].selector))
            return true;
    return false;
}

static void check_scope(void *arg, const struct policy_head *h)
{
    struct look *l = arg;
    const struct policy_target *t;
    struct check c;

    check_init(&c, l->mesh->arena, l->problems, h->object);
    if (h->scope.selector && h->scope.selector->labels.n && !selects_something(l->mesh, h))
        check_info(&c, h->scope.selector->at, NULL, "selects no Pod, WorkloadEntry, template nor gateway that is "
                   "there: nobody has this policy");
    for (size_t i = 0; (t = policy_scope_target(&h->scope, i)); i++)
        if (policy_target_kind(t) == TARGET_SERVICE && !mesh_service(l->mesh, h->object->ns, t->name))
            check_warn(&c, t->at, "name", "there is no Service %.*s in this namespace: nobody has this policy",
                       STR_ARG(t->name));
    l->nomem = l->nomem || c.nomem;
}

/* ---- of equals the oldest ---- */

/* `older` comes before it in age; both say the same thing of a whole namespace. */
static void tell_unused(struct look *l, const struct mesh_object *o, const struct mesh_object *older)
{
    struct check c;

    check_init(&c, l->mesh->arena, l->problems, o);
    check_warn(&c, o->root, NULL, "%.*s %.*s/%.*s is older and for the same namespace: this one is not used",
               STR_ARG(older->kind), STR_ARG(older->ns), STR_ARG(older->name));
    l->nomem = l->nomem || c.nomem;
}

/* The first of those before v[n] that is as wide as it in its namespace; `size` apart. */
static const struct mesh_object *older_equal(const void *v, size_t n, size_t size)
{
    const struct policy_head *own = (const void *)((const char *)v + n * size);

    for (size_t i = 0; i < n && policy_scope_is_wide(&own->scope); i++) {
        const struct policy_head *h = (const void *)((const char *)v + i * size);

        if (policy_scope_is_wide(&h->scope) && str_eq(h->object->ns, own->object->ns))
            return h->object;
    }
    return NULL;
}

static void check_equals(struct look *l)
{
    const struct policies *p = &l->mesh->policies;
    const struct mesh_object *older;

    for (size_t i = 0; i < p->peers.n; i++)
        if ((older = older_equal(p->peers.v, i, sizeof(*p->peers.v))))
            tell_unused(l, p->peers.v[i].object, older);
    for (size_t i = 0; i < p->telemetries.n; i++)
        if ((older = older_equal(p->telemetries.v, i, sizeof(*p->telemetries.v))))
            tell_unused(l, p->telemetries.v[i].object, older);
}

/* ---- tokens ---- */

static bool asks_token(const struct policy_all *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < v[i].n; k++)
            switch (v[i].v[k].key) {
            case POLICY_REQUEST_PRINCIPAL:
            case POLICY_AUDIENCE:
            case POLICY_PRESENTER:
            case POLICY_CLAIM:
                return true;
            default:
                break;
            }
    return false;
}

static bool reads_tokens(const struct mesh *m, struct str ns)
{
    for (size_t i = 0; i < m->policies.requests.n; i++) {
        struct str own = m->policies.requests.v[i].object->ns;

        if (m->policies.requests.v[i].sources.n && (str_eq(own, ns) || str_eqz(own, ROOT_NAMESPACE)))
            return true;
    }
    return false;
}

static void check_tokens(struct look *l, const struct authorization_policy *p)
{
    struct check c;

    check_init(&c, l->mesh->arena, l->problems, p->object);
    for (size_t i = 0; i < p->policy.nrules; i++) {
        const struct policy_rule *r = &p->policy.rules[i];

        if (!asks_token(r->from, r->nfrom) && !asks_token(&r->when, 1))
            continue;
        check_warn(&c, p->at, "rules", "asks for what tokens say, and no RequestAuthentication of this namespace nor "
                   "of " ROOT_NAMESPACE " reads any");
        break;
    }
    l->nomem = l->nomem || c.nomem;
}

void mesh_check_policies(const struct mesh *m, struct mesh_problems *p, bool *nomem)
{
    struct look l = { .mesh = m, .problems = p };

    policies_each(&m->policies, check_scope, &l);
    check_equals(&l);
    for (size_t i = 0; i < m->policies.authorizations.n; i++) {
        const struct authorization_policy *a = &m->policies.authorizations.v[i];

        /* what is for all namespaces may find its tokens in any */
        if (!str_eqz(a->object->ns, ROOT_NAMESPACE) && !reads_tokens(m, a->object->ns))
            check_tokens(&l, a);
    }
    *nomem = *nomem || l.nomem;
}
