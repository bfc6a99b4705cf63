/* logql_tally-internal.h: samples of log lines on their way, and the short way to them. */
#ifndef QUERY_LOGQL_TALLY_INTERNAL_H
#define QUERY_LOGQL_TALLY_INTERNAL_H

#include "query/eval-internal.h"
#include "query/logql_source-internal.h"

struct log_series {
    struct labels labels;
    int64_t *t; /* ms, never falling */
    double *v;
    size_t n, tcap, vcap;
};

struct log_samples {
    struct sample_stream s;
    struct eval *ev;
    const struct log_range *range;
    int64_t from_ms, to_ms;  /* all windows: from exclusive, to inclusive */
    int64_t bucket_ms;       /* of folded samples, from from_ms on */
    struct label_map map;
    struct log_series *series;
    size_t n, cap, at;
    struct label *scratch;
};

/* Which labels a sample of one table has, sorted by name; `open`: and those that stages have made. */
struct label_plan {
    struct field *v;
    size_t n;
    bool open;
};
int log_label_plan(const struct log_range *r, const struct log_source *s, struct arena *a, struct label_plan *plan);

/* The series of these labels, which are copied when it is new. */
int log_series_of(struct log_samples *x, struct labels l, struct log_series **out);
int log_series_add(struct log_samples *x, struct log_series *s, int64_t t, double v);

/* logql_tally.c: counts without reading rows, where the engine can (store/events.h). 1: the samples are there; 0: they
 * must be made of rows; ERR_*. */
int log_tally(struct log_samples *x, struct log_sources *sources, const struct label_plan *plans);

#endif
