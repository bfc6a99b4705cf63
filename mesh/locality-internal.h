/* locality-internal.h: where a workload runs: region, zone and subzone. */
#ifndef MESH_LOCALITY_INTERNAL_H
#define MESH_LOCALITY_INTERNAL_H

#include "mesh/snapshot.h"

/* "region/zone/subzone", of which the later parts may be missing. */
void locality_parse(struct workload *w, struct str text);
/* From the label istio-locality, whose parts dots may divide, or else from Kubernetes' topology labels. What `w` has
 * already stays where the labels say nothing. */
void locality_of_labels(struct workload *w, struct labels l);
/* What `key` is in the workload's locality, when it is one of the topology labels; else what it is in `l`. */
struct str locality_label(const struct workload *w, struct labels l, struct str key);

/* Whether every place that `place` stands for is one that `pattern` stands for. Both are written as in a
 * DestinationRule: "region/zone", "region", or with a last part "*". */
bool locality_within(struct str place, struct str pattern);
/* The same of a workload's. */
bool locality_matches(const struct workload *w, struct str pattern);

#endif
