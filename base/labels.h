/* labels.h: a sorted set of name=value pairs: what names a series, a stream or a workload. */
#ifndef BASE_LABELS_H
#define BASE_LABELS_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

struct label {
    struct str name, value;
};

/* Sorted by name in byte order, each name once, no empty values: an absent label and an empty one are the same. */
struct labels {
    const struct label *v;
    size_t n;
};

/* STR_NULL when absent. */
struct str labels_get(struct labels l, struct str name);
/* Orders as Prometheus does: label by label, name before value, the shorter set first. */
int labels_cmp(struct labels a, struct labels b);
uint64_t labels_hash(struct labels l);
/* Sorts v[0..n) in place and drops empty values. ERR_INVALID when a name stands twice (e names it). */
int labels_normalise(struct label *v, size_t *n, struct err *e);
/* A deep copy. v is NULL on failure (and n 0). */
struct labels labels_copy(struct arena *a, struct labels l);
/* Whether every pair of `want` is in `l`: a Kubernetes selector's matchLabels. */
bool labels_contain(struct labels l, struct labels want);
/* {a="1", b="2"} as Prometheus prints it, escaped. */
void labels_print(struct buf *b, struct labels l);

#endif
