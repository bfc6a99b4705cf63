/* authorization_policy.c: an AuthorizationPolicy as a whole: its action, and what goes with it.
 *
 * CUSTOM asks a provider whether what its rules match may pass. There are none here, and Istio denies what it cannot
 * ask about; so do we, and say so. */
#include "mesh/condition-internal.h"
#include "mesh/policy-internal.h"

static const char dry_run_key[] = "istio.io/dry-run";

bool policy_dry_run(const struct check *c, const struct yaml_node **at)
{
    const struct yaml_node *all = yaml_path(c->object->root, "metadata.annotations");

    *at = NULL;
    for (size_t i = 0; all && all->kind == YAML_MAP && i < all->n; i++)
        if (str_eqz(all->items[i].key, dry_run_key))
            *at = &all->items[i];
    return *at != NULL;
}

/* Go's booleans. */
static void read_dry_run(struct check *c, struct authorization_policy *p)
{
    static const char *const words[] = { "1", "t", "T", "true",  "TRUE",  "True",
                                         "0", "f", "F", "false", "FALSE", "False" };
    enum { N = sizeof(words) / sizeof(words[0]) };
    const struct yaml_node *at;
    size_t i = 0;

    if (!policy_dry_run(c, &at))
        return;
    while (i < N && !str_eqz(at->text, words[i]))
        i++;
    if (i == N)
        check_error(c, at, NULL, "\"%.*s\" is neither true nor false", STR_ARG(at->text));
    p->dry_run = i < N / 2;
    if (p->dry_run)
        check_warn(c, at, NULL, "checked and not applied: nothing is denied nor recorded by a dry run");
}

/* ---- CUSTOM ---- */

static void refuse_with_custom(struct check *c, const struct yaml_node *at, const char *field)
{
    if (check_get(at, field))
        check_error(c, at, field, "is not supported with CUSTOM");
}

static void check_custom_rule(struct check *c, const struct auth_rule *r)
{
    static const char *const fields[] = { "namespaces",    "notNamespaces",     "principals",
                                          "notPrincipals", "requestPrincipals", "notRequestPrincipals" };

    for (size_t i = 0; i < r->from.n; i++)
        for (size_t k = 0; r->from.v[i].source && k < sizeof(fields) / sizeof(fields[0]); k++)
            refuse_with_custom(c, r->from.v[i].source->at, fields[k]);
    for (size_t i = 0; i < r->when.n; i++) {
        struct str key = r->when.v[i].key;

        if (str_eqz(key, "source.namespace") || str_eqz(key, "source.principal") ||
            str_starts(key, STR("request.auth.")))
            check_error(c, r->when.v[i].at, "key", "%.*s is not supported with CUSTOM", STR_ARG(key));
    }
}

static void check_custom(struct check *c, const struct authorization_policy *p)
{
    bool named = p->provider && p->provider->name.n;

    if (!named)
        check_error(c, p->provider ? p->provider->at : p->at, p->provider ? "name" : "provider",
                    "missing: CUSTOM names the provider that is asked");
    for (size_t i = 0; i < p->rules.n; i++)
        check_custom_rule(c, &p->rules.v[i]);
    if (named && !p->dry_run)
        check_warn(c, p->provider->at, "name", "there is no provider \"%.*s\" to ask: what the rules match is denied",
                   STR_ARG(p->provider->name));
}

/* ---- rules ---- */

static bool asks_below_http(const struct policy_all *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < v[i].n; k++)
            if (!condition_is_http(v[i].v[k].key))
                return true;
    return false;
}

/* On TCP ports the conditions that only HTTP knows are left out: what is left may be everything. */
static void warn_of_tcp(struct check *c, const struct auth_rule *at, const struct policy_rule *r)
{
    if (r->nto ? !asks_below_http(r->to, r->nto) : r->nfrom && !asks_below_http(r->from, r->nfrom))
        check_warn(c, at->at, NULL, "on TCP ports, too, this denies, and there without what only HTTP knows: name the "
                   "ports that are meant");
}

static void compile_rules(struct check *c, struct authorization_policy *p)
{
    struct policy_rule *rules = check_alloc(c, p->rules.n, sizeof(*rules));

    p->policy.rules = rules;
    for (size_t i = 0; rules && i < p->rules.n && !c->nomem; i++) {
        struct policy_rule *to = &rules[p->policy.nrules];

        if (!auth_compile(c, &p->rules.v[i], (enum auth_action)p->action, to))
            continue;
        p->policy.nrules++;
        p->policy.http_only = p->policy.http_only || to->http_only;
        if (p->action == AUTH_DENY)
            warn_of_tcp(c, &p->rules.v[i], to);
    }
}

static const char *const actions[] = { "ALLOW", "DENY", "AUDIT", "CUSTOM", NULL };

static void check_authorization_policy(struct check *c, void *message)
{
    static const enum policy_action effect[] = {
        [AUTH_ALLOW] = POLICY_ALLOW, [AUTH_DENY] = POLICY_DENY, [AUTH_AUDIT] = POLICY_AUDIT, [AUTH_CUSTOM] = POLICY_DENY
    };
    struct authorization_policy *p = message;

    policy_scope_check(c, p->at, &p->scope);
    read_dry_run(c, p);
    if (p->rules.n == 0 && (p->action == AUTH_DENY || p->action == AUTH_CUSTOM))
        check_error(c, p->at, "rules", "missing: %s without rules does nothing; an empty rule, {}, is for every "
                    "request", actions[p->action]);
    if (p->action == AUTH_CUSTOM)
        check_custom(c, p);
    else if (p->provider)
        check_error(c, p->at, "provider", "goes with CUSTOM alone");
    p->policy.ns = c->object->ns;
    p->policy.name = c->object->name;
    p->policy.action = effect[p->action];
    compile_rules(c, p);
}

static const struct field provider_fields[] = {
    FIELD(STRING, auth_provider, name, "name"),
    END_OF_FIELDS,
};
static const struct message provider_message = { sizeof(struct auth_provider), provider_fields, false, NULL };
static const struct field authorization_policy_fields[] = {
    POLICY_SCOPE_FIELDS(authorization_policy),
    FIELD_OF(MESSAGES, authorization_policy, rules, "rules", &auth_rule_message),
    FIELD_OF(ENUM, authorization_policy, action, "action", actions),
    FIELD_OF(MESSAGE, authorization_policy, provider, "provider", &provider_message),
    END_OF_FIELDS,
};
const struct message authorization_policy_message = { sizeof(struct authorization_policy), authorization_policy_fields,
                                                      false, check_authorization_policy };
