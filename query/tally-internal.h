/* tally-internal.h: what is known of one group of an aggregation at all steps, after some of its rows.
 *
 * Arrays of doubles, one value for each step, so that adding a row is a loop without branches. value[i] is ABSENT until
 * the group has a value at step i. */
#ifndef QUERY_TALLY_INTERNAL_H
#define QUERY_TALLY_INTERNAL_H

#include "query/ast-internal.h"

struct tally {
    double *value; /* sum, extreme or count; of stddev and stdvar the sum of squares */
    double *c;     /* compensation of a sum, or of the mean */
    double *mean;  /* of avg: ABSENT while the plain sum has not overflowed */
    double *count;
};

/* For sum, avg, min, max, count, group, stddev and stdvar. ERR_NOMEM. */
int tally_init(struct tally *t, enum aggregate_op op, size_t steps, struct arena *a);
/* v[0..steps), ABSENT where there is nothing to add. */
void tally_add(struct tally *t, enum aggregate_op op, size_t steps, const double *v);
/* Adds what another tally has seen: as if its rows had come after those of t. */
void tally_merge(struct tally *t, enum aggregate_op op, size_t steps, const struct tally *other);
void tally_result(const struct tally *t, enum aggregate_op op, size_t steps, double *out);

#endif
