/* series_index-internal.h: from labels to series, and from matchers to series.
 *
 * Only the committer changes it, holding the store's lock for writing; it may look without the lock, readers hold it
 * for reading. A series that readers have found stays in memory until they leave (epoch-internal.h). */
#ifndef STORE_SERIES_INDEX_INTERNAL_H
#define STORE_SERIES_INDEX_INTERNAL_H

#include "base/strmap.h"
#include "store/head-internal.h"
#include "store/matcher.h"

struct label_pair;

/* A name that occurs in some series, with the values it has there. */
struct label_name {
    struct strmap values;      /* value → struct label_pair */
    struct label_pair **pairs; /* the same, in no order */
    size_t n, cap;
    size_t at;                 /* names are numbered as they come, and stay */
    size_t name_n;
    char name[];
};

/* A name with one value, and the series that have it. Stored once, however many those are. */
struct label_pair {
    struct retired retired;
    struct label_name *name;
    struct series **series; /* by rising id */
    size_t n, cap;
    size_t at;              /* its place in name->pairs */
    uint64_t sweep;         /* number of the last removal that saw it */
    size_t value_n;
    char value[];
};

struct series {
    struct retired retired;
    uint64_t id, hash;
    struct head head;
    int64_t sealed_first, sealed_last; /* times in chunks; first > last: there are none */
    bool touched;                      /* in the group under way */
    bool gone;                         /* being removed */
    uint32_t n;
    struct label_pair *pairs[];        /* by name */
};

struct series_index {
    struct strmap names;   /* name → struct label_name */
    struct series **table; /* by hash, open addressing; NULL = free */
    size_t table_cap;
    struct series **all;   /* by rising id */
    size_t n, cap;
    uint64_t sweep;
    size_t sealed;         /* series with chunks: 0 lets readers leave SQLite alone */
};

void index_fini(struct series_index *ix);

static inline struct str pair_name(const struct label_pair *p)
{
    return (struct str){ p->name->name, p->name->name_n };
}

static inline struct str pair_value(const struct label_pair *p)
{
    return (struct str){ p->value, p->value_n };
}

/* NULL when there is none. */
struct series *index_find(const struct series_index *ix, struct labels l);
struct series *index_by_id(const struct series_index *ix, uint64_t id);
/* Where in `all` the first series with an id >= `id` stands. */
size_t index_lower_bound(const struct series_index *ix, uint64_t id);
/* `id` must be higher than all before; `l` is normalised and not there yet. NULL: no memory, nothing changed. */
struct series *index_add(struct series_index *ix, uint64_t id, struct labels l);
/* Takes the series out and retires them with their heads. Cannot fail. */
void index_remove(struct series_index *ix, struct epoch *ep, struct series *const *gone, size_t n);

void series_set_sealed(struct series_index *ix, struct series *s, int64_t first, int64_t last);
/* Whether there are samples (published ones) from from_ms to to_ms; for what is sealed, whether there may be. */
bool series_overlaps(const struct series *s, int64_t from_ms, int64_t to_ms);
/* Its pair of that name, or NULL. */
struct label_pair *series_pair(const struct series *s, const struct label_name *name);
/* The order of labels_cmp. */
int series_cmp(const struct series *a, const struct series *b);
/* The array lives in `a`; the texts are the index's. v NULL on failure. */
struct labels series_labels(const struct series *s, struct arena *a);

/* The series that match and overlap the range, in no order. ERR_NOMEM. (series_match.c) */
int index_select(const struct series_index *ix, const struct matcher *m, size_t n, int64_t from_ms, int64_t to_ms,
                 struct arena *a, struct series ***out, size_t *count);

#endif
