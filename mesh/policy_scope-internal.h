/* policy_scope-internal.h: whom a policy is for: the fields that Istio's security and telemetry kinds share. */
#ifndef MESH_POLICY_SCOPE_INTERNAL_H
#define MESH_POLICY_SCOPE_INTERNAL_H

#include "mesh/check-internal.h"

/* Istio's root namespace: what stands here without a selector is for the whole mesh. */
#define ROOT_NAMESPACE "istio-system"

struct policy_selector {
    const struct yaml_node *at;
    LIST_OF(struct label) labels; /* as written: an empty value is asked for, too */
};

struct policy_target {
    const struct yaml_node *at;
    struct str group, kind, name, ns;
};

struct policy_scope {
    struct policy_selector *selector;
    struct policy_target *target; /* the old form: one of them */
    LIST_OF(struct policy_target) targets;
};

extern const struct message policy_selector_message, policy_target_message;

/* The fields of a message whose struct has a `struct policy_scope scope`. */
#define POLICY_SCOPE_FIELDS(message)                                                                                   \
    FIELD_OF(MESSAGE, message, scope.selector, "selector", &policy_selector_message),                                  \
        FIELD_OF(MESSAGE, message, scope.target, "targetRef", &policy_target_message),                                 \
        FIELD_OF(MESSAGES, message, scope.targets, "targetRefs", &policy_target_message)

/* That there is one way of choosing at most; `at` is the message that holds the scope. */
void policy_scope_check(struct check *c, const struct yaml_node *at, const struct policy_scope *s);
/* Neither labels nor targets: for a whole namespace, or, in the root's, for the mesh. */
bool policy_scope_is_wide(const struct policy_scope *s);
/* Whether a proxy with these labels is chosen by them. A scope with targets chooses nobody by labels. */
bool policy_scope_selects(const struct policy_scope *s, struct labels labels);

enum policy_target_kind { TARGET_GATEWAY, TARGET_SERVICE, TARGET_OTHER };

enum policy_target_kind policy_target_kind(const struct policy_target *t);
/* The i-th of all targets in both forms; NULL behind the last. */
const struct policy_target *policy_scope_target(const struct policy_scope *s, size_t i);

#endif
