/* scope-internal.h: which workloads a policy is for: the fields that Istio's security and telemetry kinds share. */
#ifndef MESH_SCOPE_INTERNAL_H
#define MESH_SCOPE_INTERNAL_H

#include "mesh/check-internal.h"

/* Istio's root namespace: what stands here without a selector is for the whole mesh. */
#define ROOT_NAMESPACE "istio-system"

struct scope_selector {
    const struct yaml_node *at;
    LIST_OF(struct label) labels; /* as written: an empty value is asked for, too */
};

struct scope_target {
    const struct yaml_node *at;
    struct str group, kind, name, ns;
};

struct scope {
    struct scope_selector *selector;
    struct scope_target *target; /* the old form: one of them */
    LIST_OF(struct scope_target) targets;
};

extern const struct message scope_selector_message, scope_target_message;

/* The fields of a message whose struct has a `struct scope scope`. */
#define SCOPE_FIELDS(message)                                                                                          \
    FIELD_OF(MESSAGE, message, scope.selector, "selector", &scope_selector_message),                                   \
        FIELD_OF(MESSAGE, message, scope.target, "targetRef", &scope_target_message),                                  \
        FIELD_OF(MESSAGES, message, scope.targets, "targetRefs", &scope_target_message)

/* That there is one way of choosing at most; `at` is the message that holds the scope. */
void scope_check(struct check *c, const struct yaml_node *at, const struct scope *s);
/* Neither labels nor targets: for a whole namespace, or, in the root's, for the mesh. */
bool scope_is_wide(const struct scope *s);
/* Whether a proxy with these labels is chosen by them. A scope with targets chooses nobody by labels. */
bool scope_selects(const struct scope *s, struct labels labels);

enum scope_target_kind { SCOPE_GATEWAY, SCOPE_SERVICE, SCOPE_OTHER };

enum scope_target_kind scope_target_kind(const struct scope_target *t);
/* The i-th of all targets in both forms; NULL behind the last. */
const struct scope_target *scope_target(const struct scope *s, size_t i);

#endif
