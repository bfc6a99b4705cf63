/* series.h: reading metrics: selectors in, columns of samples out.
 *
 * A series_set reads a snapshot: what is committed later does not show. Queries on one store may run side by side; one
 * series_set belongs to one thread. No engine's type shows here (DESIGN.md section 13). */
#ifndef STORE_SERIES_H
#define STORE_SERIES_H

#include "store/matcher.h"
#include "store/sample.h"
#include "store/store.h"

struct series_query {
    const struct matcher *matchers; /* all must hold */
    size_t n;
    int64_t from_ms, to_ms; /* both inclusive */
    /* Samples are not wanted, only which series there are; then a series may show that has samples near the range but
     * none in it. */
    bool labels_only;
};

struct series_set;

/* Finds the series that have samples in the range. They come in an order of the engine's own, the same each time. All of
 * the set lives in `a` and ends with it (before store_close). NULL: ERR_NOMEM, ERR_IO, ERR_CORRUPT, ERR_LIMIT (the
 * arena's ceiling). */
struct series_set *series_open(struct store *st, const struct series_query *q, struct arena *a, struct err *e);
/* How many series match; some of them may have no samples in the range. */
size_t series_count(const struct series_set *set);
/* Splits what was not read yet into at most `n` parts of about the same work, one thread each: parts[i] lives in
 * arenas[i], which must end before the set's own arena. The set itself must not be read any more, unless it is
 * parts[0], the only one. *nparts >= 1. */
int series_split(struct series_set *set, size_t n, struct arena *const *arenas, struct series_set **parts, size_t *nparts,
                 struct err *e);

/* For who keeps what it made of samples: the lowest time at which any may have changed or gone since *mark, and *mark
 * becomes the mark of now. INT64_MAX: nothing has changed, INT64_MIN: everything may have. What is read after this call is
 * at least as new as *mark. */
int64_t series_changes(struct store *st, uint64_t *mark);

/* 1: the set stands on the next series and *labels are its (valid as long as the set); 0: no more; ERR_*. */
int series_next(struct series_set *set, struct labels *labels, struct err *e);
/* The next piece of the current series, oldest first, valid until series_next; 1, 0, ERR_*. */
int series_samples(struct series_set *set, struct sample_columns *out, struct err *e);

/* Distinct names, or values of one name, over the series that match, sorted. Arrays live in `a`. As with labels_only,
 * the edges of the range are not exact. */
int series_label_names(struct store *st, const struct series_query *q, struct arena *a, struct str **names, size_t *n,
                       struct err *e);
int series_label_values(struct store *st, const struct series_query *q, struct str name, struct arena *a,
                        struct str **values, size_t *n, struct err *e);
/* Known metadata by metric name (all when metric is empty), sorted by it. */
int series_metadata(struct store *st, struct str metric, struct arena *a, struct batch_metadata **out, size_t *n,
                    struct err *e);
/* Deletes the samples in the range of the matching series. */
int series_delete(struct store *st, const struct series_query *q, struct err *e);

#endif
