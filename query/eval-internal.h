/* eval-internal.h: how a PromQL tree becomes values.
 *
 * Shape     An expression is a stream of rows, one per series, each with its values at all steps of a grid: the series
 *           is decoded once, whatever the number of steps, and what an operator need not keep is never kept. Aggregations
 *           take rows one after another and hold one row per group; binary operators and sorting collect.
 * Absence   A step without a value holds ABSENT, the stale marker's bits: no result can have them, since selectors drop
 *           stale markers and arithmetic makes every NaN a quiet one.
 * Names     __name__ is not taken away where a function loses it: the row is marked (drop_name), and the end of the query
 *           removes it. So label_replace can still read or rescue it (Prometheus' delayed name removal).
 * Memory    Everything lives in the query's arena. A row's values belong to its stream until its next row, and whoever
 *           reads them may overwrite them. */
#ifndef QUERY_EVAL_INTERNAL_H
#define QUERY_EVAL_INTERNAL_H

#include "query/ast-internal.h"
#include "query/labelset-internal.h"

#include <math.h>
#include <stdatomic.h>

/* Steps at start, start + step, …: n of them, n > 0. */
struct grid {
    int64_t start, step;
    size_t n;
};

static inline int64_t grid_time(const struct grid *g, size_t i)
{
    return g->start + (int64_t)i * g->step;
}

/* Something to be told with the answer. The fields from `first` on are of repaired histograms (samples > 0). */
struct annotation {
    struct str text;
    uint32_t at;            /* in the query's text */
    int64_t first, last;    /* steps, ms */
    double low, high, worst;
    uint64_t samples;
};

struct annotations {
    struct annotation *v;
    size_t n, cap;
};

/* What a query has used, all its threads together. */
struct usage {
    _Atomic uint64_t held, read; /* values in memory now; samples read so far */
};

/* One thread's view of a query: threads share what the pointers before `text` lead to and what does not change. */
struct eval {
    struct store *st;
    struct usage *usage;
    struct arena *a;                 /* the thread's own, as all that follows `threads` */
    struct err *e;
    struct str text;                 /* of the query, for positions */
    struct promql_window window;     /* the outer query's, for start(), end(), step(), range() */
    int64_t lookback_ms;
    int64_t deadline_ns;             /* on clock_mono_ns */
    uint64_t max_samples;
    size_t threads;                  /* how many may work on this query */
    struct promql_cache *cache;      /* NULL: none, or not here */
    struct series_set *given;        /* what the next selector reads instead of opening its own; crew.c */
    struct series_set *opened;       /* by the selector opened last */
    size_t work;                     /* since the last look at the clock */
    int failed;                      /* an error inside a window function */
    struct annotations warnings, infos;
};

struct row {
    struct labels labels;
    bool drop_name;
    double *v; /* one for each step */
};

/* One expression's rows. next: 1 with *row filled, 0 at the end, ERR_*. */
struct stream {
    int (*next)(struct stream *s, struct row *row);
    bool unique; /* no two rows have the same labels; names that are to be dropped count */
};

struct rows {
    struct row *v;
    size_t n, cap;
    bool unique;
};

/* One series with its samples as they are, for window functions. Stale markers are gone. */
struct sample_row {
    struct labels labels;
    bool drop_name;
    const int64_t *t;
    const double *v;
    size_t n;
    uint32_t times; /* two rows of one stream with the same number here have the same times */
};

struct sample_stream {
    int (*next)(struct sample_stream *s, struct sample_row *row);
    bool unique; /* as a stream's */
};

/* Where a range or instant selector looks at each step. */
struct lookout {
    bool fixed;         /* @: the same at all steps */
    int64_t at, offset; /* ms */
    int64_t range;      /* 0: an instant selector */
};

/* --- eval.c --- */
int eval_open(struct eval *ev, const struct grid *g, const struct node *n, struct stream **out);
int eval_scalar(struct eval *ev, const struct grid *g, const struct node *n, double *out);
int eval_duration(struct eval *ev, const struct node *n, int64_t *ms);
int eval_lookout(struct eval *ev, const struct shift *shift, const struct node *range, struct lookout *l);
/* The time that a lookout looks at in step i, before its range. */
int64_t lookout_at(const struct lookout *l, const struct grid *g, size_t i);
int eval_nomem(struct eval *ev);
/* An error that is the query's own fault; returns ERR_INVALID. */
int eval_fail(struct eval *ev, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Said before or after so many values are worked on: ERR_TIMEOUT when time is up. */
int eval_work(struct eval *ev, size_t values);
/* Counts values that stay in memory: ERR_LIMIT when there are too many. */
int eval_hold(struct eval *ev, size_t values);
/* They are gone again; rows that nobody counted may be released, too. */
void eval_release(struct eval *ev, size_t values);
/* g->n values, all ABSENT; NULL with the error set. */
double *eval_values(struct eval *ev, const struct grid *g);

enum { ANNOTATE_NUMBER = 64 };

/* annotate.c: each text once; the position of `n` is added as Prometheus does. */
void annotate_warning(struct eval *ev, const struct node *n, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void annotate_info(struct eval *ev, const struct node *n, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* All that `from` has said is said by ev. */
void annotate_all(struct eval *ev, const struct eval *from);
/* When a quantile is not between 0 and 1. */
void annotate_quantile(struct eval *ev, const struct node *n, double q);
/* A histogram's buckets from `low` to `high` had to be raised, by `worst` at most. */
void annotate_monotonicity(struct eval *ev, const struct node *n, struct str metric, int64_t now, double low,
                           double high, double worst);
/* As Go prints a number in a message. Returns text. */
const char *annotate_number(double v, char text[ANNOTATE_NUMBER]);
/* All of them as they are told, sorted. Returns how many. */
size_t annotations_print(struct eval *ev, const struct annotations *list, const char *kind, struct str **out);

/* --- rows.c --- */
/* All rows, their values copied; g->n values each. */
int eval_collect(struct eval *ev, const struct grid *g, struct stream *s, struct rows *rows);
/* Opens and collects. */
int eval_collect_node(struct eval *ev, const struct grid *g, const struct node *n, struct rows *rows);
/* Puts rows with equal labels together: ERR_INVALID when they have values at the same step. */
int rows_unify(struct eval *ev, const struct grid *g, struct rows *rows);
/* A stream of rows that are there already. */
int eval_replay(struct eval *ev, const struct grid *g, struct rows rows, struct stream **out);

/* --- selector.c --- */
int selector_open(struct eval *ev, const struct grid *g, const struct node *n, bool timestamps, struct stream **out);
/* The samples that any step's window of a range selector or subquery may need, with its lookout. */
int samples_open(struct eval *ev, const struct grid *g, const struct node *n, struct lookout *l,
                 struct sample_stream **out);
/* range.c */
int window_open(struct eval *ev, const struct grid *g, const struct node *call, struct stream **out);
/* The samples of a lone range selector's window at g's only step, extended as its modifiers say. */
int window_samples(struct eval *ev, const struct node *n, const struct lookout *l, int64_t now, struct sample_row *row);

/* aggregate.c, aggregate_select.c, binary.c, binary_vector.c, functions_map.c */
int aggregate_open(struct eval *ev, const struct grid *g, const struct node *n, struct stream **out);
int select_open(struct eval *ev, const struct grid *g, const struct node *n, struct stream **out);
int binary_open(struct eval *ev, const struct grid *g, const struct node *n, struct stream **out);
int binary_vectors_open(struct eval *ev, const struct grid *g, const struct node *n, struct stream **out);
/* + - * / % ^ atan2; ABSENT for any other operator. */
double binary_arithmetic(enum binary_op op, double l, double r);
/* One operation on two numbers; ABSENT when a comparison (without bool) does not hold. */
double binary_apply(const struct binary *b, double l, double r, double kept);
/* An info that the binary node n is not for floats. */
void annotate_types(struct eval *ev, const struct node *n);
int map_open(struct eval *ev, const struct grid *g, const struct node *n, struct stream **out);
/* The scalar arguments among the call's, each as g->n values. */
int eval_scalar_args(struct eval *ev, const struct grid *g, const struct call *c, double **args, size_t *n);

/* --- absence --- */
static inline bool is_absent(double v)
{
    uint64_t bits;

    memcpy(&bits, &v, sizeof(bits));
    return bits == SAMPLE_STALE_BITS;
}

static inline double absent_value(void)
{
    uint64_t bits = SAMPLE_STALE_BITS;
    double v;

    memcpy(&v, &bits, sizeof(v));
    return v;
}
#define ABSENT absent_value()

/* Loops over dense doubles, for the machine's widest vectors too. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__)
#define WIDE __attribute__((target_clones("avx2", "default")))
#else
#define WIDE
#endif

static inline bool any_value(const double *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!is_absent(v[i]))
            return true;
    return false;
}

/* Neumaier's compensated sum: *sum + *c is the sum. */
static inline void kahan_add(double v, double *sum, double *c)
{
    double t = *sum + v;

    if (isinf(t))
        *c = 0;
    else if (fabs(*sum) >= fabs(v))
        *c += (*sum - t) + v;
    else
        *c += (v - t) + *sum;
    *sum = t;
}

/* quantile.c: of values[0..n), NaN being less than all. Their order is lost. */
double quantile_of(double q, double *values, size_t n);

#endif
