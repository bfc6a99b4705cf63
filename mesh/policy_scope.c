#include "mesh/policy_scope-internal.h"

/* ---- reading ---- */

static void check_selector(struct check *c, void *message)
{
    struct policy_selector *s = message;

    if (s->labels.n == 0)
        check_warn(c, s->at, NULL, "selects by no labels: the same as no selector");
    for (size_t i = 0; i < s->labels.n; i++) {
        if (s->labels.v[i].name.n == 0)
            check_error(c, s->at, "matchLabels", "a label's name must not be empty");
        else if (str_chr(s->labels.v[i].name, '*') >= 0 || str_chr(s->labels.v[i].value, '*') >= 0)
            check_error(c, s->at, "matchLabels", "\"%.*s=%.*s\": wildcards are not supported in a selector",
                        STR_ARG(s->labels.v[i].name), STR_ARG(s->labels.v[i].value));
    }
}

static const struct field selector_fields[] = {
    FIELD(PAIRS, policy_selector, labels, "matchLabels"),
    END_OF_FIELDS,
};
const struct message policy_selector_message = { sizeof(struct policy_selector), selector_fields, false,
                                                 check_selector };

static const struct {
    const char *group, *kind;
    enum policy_target_kind is;
} target_kinds[] = {
    { "gateway.networking.k8s.io", "Gateway", TARGET_GATEWAY },
    { "gateway.networking.k8s.io", "GatewayClass", TARGET_OTHER },
    { "", "Service", TARGET_SERVICE },
    { "core", "Service", TARGET_SERVICE },
    { "networking.istio.io", "ServiceEntry", TARGET_OTHER },
};

/* Its place in target_kinds, or how many there are. */
static size_t target_index(const struct policy_target *t)
{
    enum { N = sizeof(target_kinds) / sizeof(target_kinds[0]) };
    size_t i = 0;

    while (i < N && (!str_eqz(t->group, target_kinds[i].group) || !str_eqz(t->kind, target_kinds[i].kind)))
        i++;
    return i;
}

enum policy_target_kind policy_target_kind(const struct policy_target *t)
{
    size_t i = target_index(t);

    return i < sizeof(target_kinds) / sizeof(target_kinds[0]) ? target_kinds[i].is : TARGET_OTHER;
}

static void check_target(struct check *c, void *message)
{
    const struct policy_target *t = message;

    if (!t->name.n)
        check_error(c, t->at, "name", "missing: targetRef name must be set");
    if (t->ns.n)
        check_error(c, t->at, "namespace", "must not be set: a target is in the policy's own namespace");
    if (target_index(t) == sizeof(target_kinds) / sizeof(target_kinds[0]))
        check_error(c, t->at, "kind", "%.*s%s%.*s is no target: Gateway or GatewayClass of gateway.networking.k8s.io, "
                    "Service, or ServiceEntry of networking.istio.io", STR_ARG(t->group), t->group.n ? "/" : "",
                    STR_ARG(t->kind));
    else if (policy_target_kind(t) == TARGET_OTHER)
        check_warn(c, t->at, "kind", "kept, not applied: a %.*s is the target of waypoints' policies, and there are no "
                   "waypoints", STR_ARG(t->kind));
    else if (policy_target_kind(t) == TARGET_SERVICE)
        check_info(c, t->at, "kind", "there are no waypoints: the sidecars of the Service's Pods apply it");
}

static const struct field target_fields[] = {
    FIELD(STRING, policy_target, group, "group"),
    FIELD(STRING, policy_target, kind, "kind"),
    FIELD(STRING, policy_target, name, "name"),
    FIELD(STRING, policy_target, ns, "namespace"),
    END_OF_FIELDS,
};
const struct message policy_target_message = { sizeof(struct policy_target), target_fields, false, check_target };

void policy_scope_check(struct check *c, const struct yaml_node *at, const struct policy_scope *s)
{
    if ((s->selector != NULL) + (s->target != NULL) + (s->targets.n > 0) > 1)
        check_error(c, at, s->selector ? "selector" : "targetRef", "only one of targetRefs or selector may be given");
}

/* ---- asking ---- */

bool policy_scope_is_wide(const struct policy_scope *s)
{
    return (!s->selector || s->selector->labels.n == 0) && !s->target && s->targets.n == 0;
}

bool policy_scope_selects(const struct policy_scope *s, struct labels labels)
{
    if (s->target || s->targets.n)
        return false;
    for (size_t i = 0; s->selector && i < s->selector->labels.n; i++)
        if (!str_eq(labels_get(labels, s->selector->labels.v[i].name), s->selector->labels.v[i].value))
            return false;
    return true;
}

const struct policy_target *policy_scope_target(const struct policy_scope *s, size_t i)
{
    if (s->target && i-- == 0)
        return s->target;
    return i < s->targets.n ? &s->targets.v[i] : NULL;
}
