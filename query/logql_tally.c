#include "query/logql_tally-internal.h"

int log_tally(struct log_samples *x, struct log_sources *sources, const struct label_plan *plans)
{
    (void)x;
    (void)sources;
    (void)plans;
    return 0;
}
