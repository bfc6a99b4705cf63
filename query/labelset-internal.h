/* labelset-internal.h: parts of label sets, and tables keyed by them. */
#ifndef QUERY_LABELSET_INTERNAL_H
#define QUERY_LABELSET_INTERNAL_H

#include "base/labels.h"

/* What remains of l: with `keep` only those named, else all but those named. Into out[0..l.n); strings are shared. */
struct labels labels_select(struct labels l, const struct str *names, size_t n, bool keep, struct label *out);
/* A copy with one label set, or taken away when the value is empty. v NULL when there is no memory. */
struct labels labels_with(struct arena *a, struct labels l, struct str name, struct str value);
/* Without __name__, __type__ and __unit__. Into out[0..l.n). */
struct labels labels_without_name(struct labels l, struct label *out);

/* Picks labels by name from one set after another. The series of a metric have the same names, whose strings the store
 * keeps once: as long as they are the same pointers, it is known what to pick. */
struct label_picker {
    const struct str *names;
    size_t n;
    bool keep;           /* those named, else all but those named */
    struct str *shape;   /* the names of the set before */
    size_t nshape, shape_cap;
    uint32_t *places;    /* where the picked ones stood */
    size_t nplaces, places_cap;
    struct label *out;
    size_t out_cap;
};
/* `names` is not copied; what is left out includes __name__. ERR_NOMEM. */
int label_picker_init(struct label_picker *p, struct arena *a, const struct str *names, size_t n, bool keep);
/* *out is valid until the next pick. ERR_NOMEM. */
int label_pick(struct label_picker *p, struct arena *a, struct labels l, struct labels *out);

/* Orders as labels_cmp, quickly where strings are shared. */
int labels_order(struct labels a, struct labels b);

/* Numbers label sets 0, 1, 2, … in the order of their first appearance. */
struct label_map {
    struct labels *keys;
    uint64_t *hashes;
    size_t n, cap, hashes_cap;
    size_t last;     /* the one found before: neighbours are often alike */
    uint32_t *slots; /* 0 = empty, else number + 1 */
    size_t nslots;
};
/* The key's array is copied when it is new, its strings are shared. 1: new; 0: known; ERR_NOMEM. */
int label_map_add(struct label_map *m, struct arena *a, struct labels l, size_t *number);
/* False when it is not there. */
bool label_map_find(const struct label_map *m, struct labels l, size_t *number);

#endif
