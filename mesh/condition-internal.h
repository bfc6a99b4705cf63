/* condition-internal.h: the words of an authorization policy as a proxy compares them. */
#ifndef MESH_CONDITION_INTERNAL_H
#define MESH_CONDITION_INTERNAL_H

#include "mesh/check-internal.h"
#include "mesh/snapshot.h"

/* Whether only HTTP knows it: TCP's connections have no such thing. */
bool condition_is_http(enum policy_key key);
/* Reads the n words v, which stand in the list `at`, into to->values or to->nets: to->key says which and what they may
 * be. What is wrong is told. */
void condition_read(struct check *c, const struct yaml_node *at, const struct str *v, size_t n,
                    struct policy_condition *to);

#endif
