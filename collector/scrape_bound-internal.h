/* scrape_bound-internal.h: one form for the bounds of histograms and summaries. */
#ifndef COLLECTOR_SCRAPE_BOUND_INTERNAL_H
#define COLLECTOR_SCRAPE_BOUND_INTERNAL_H

#include "collector/label_builder.h"

/* le of a histogram and quantile of a summary become numbers as OpenMetrics writes them ("1" → "1.0"), as Prometheus 3
 * does, so that one bucket is one series however its page writes it. `type`: of the last # TYPE line. 0 or ERR_NOMEM. */
int bound_normalise(struct label_builder *b, struct str type);

#endif
