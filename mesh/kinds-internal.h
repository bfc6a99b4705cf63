/* kinds-internal.h: what is known of a kind beyond its names. */
#ifndef MESH_KINDS_INTERNAL_H
#define MESH_KINDS_INTERNAL_H

#include "mesh/object.h"

/* "networking.istio.io/v1" → "networking.istio.io"; "v1" → "". */
struct str api_group(struct str api_version);
/* Whether the group is one whose kinds we know. */
bool api_group_known(struct str group);
/* The versions of a known group, as people would write them: "networking.istio.io/v1, v1beta1 or v1alpha3". */
const char *api_versions_text(struct str group);
bool api_version_known(struct str api_version);
/* The group that was meant by a word near to it, or NULL. */
const char *api_group_near(struct str group);

/* By group and exact kind; NULL when unknown. */
const struct mesh_kind *kind_find_in(struct str group, struct str kind);
/* By the exact kind in any group. */
const struct mesh_kind *kind_find_exact(struct str kind);
/* The kind of that group that was meant, or NULL. */
const char *kind_near(struct str group, struct str kind);

/* Whether `word` is `wanted` but for a slip: another case, or a letter or two (by length) added, missing or wrong. */
bool word_near(struct str word, struct str wanted);

#endif
