/* function-internal.h: the table of PromQL's functions, and the four ways they are evaluated. */
#ifndef QUERY_FUNCTION_INTERNAL_H
#define QUERY_FUNCTION_INTERNAL_H

#include "query/eval-internal.h"

enum { FUNCTION_MAX_ARGS = 5, FUNCTION_ANY = 255 };

enum function_kind {
    FUNCTION_MAP,    /* vector in, vector out, value by value */
    FUNCTION_WINDOW, /* matrix in, vector out, one window of one series at a time */
    FUNCTION_SCALAR, /* a number at each step */
    FUNCTION_STREAM  /* a vector out, made as it pleases */
};

/* One series and the windows of all steps over it: that of step i holds the samples [lo[i], hi[i]). */
struct sweep {
    const int64_t *t;
    const double *v;
    size_t n, steps;
    const uint32_t *lo, *hi;   /* never falling */
    const struct gaps *gaps;   /* for rate and its like */
    int64_t range;             /* as written, ms */
    struct part *parts;        /* scratch, n of them */
    uint32_t *counts;          /* scratch, n of them */
};

/* What rate() needs to know of each step's window but the values: the same for all series with the same times. */
struct gaps {
    double *sampled, *to_start, *to_end; /* seconds: first to last sample; how far to extrapolate to the borders */
    double *pairs;                       /* of neighbouring samples */
    double *factor;                      /* the change is multiplied by it, when the counter is far from zero */
    double per;                          /* rate: the range in seconds; else 1 */
};

/* What a run of neighbouring samples comes to; which of the fields mean what is the function's business. */
struct part {
    double a, b, n;
};

/* The samples of one series at one step. */
struct window {
    const int64_t *t;
    const double *v;
    size_t n;                 /* at least 1 */
    int64_t from, to;         /* the samples are those in (from, to]; of an extended selector also around it */
    int64_t now;              /* the step's time */
    int64_t range;            /* as written, ms */
    enum extension extension;
    const double *args;       /* the function's scalar arguments at this step, in their order */
    const uint32_t *drops;    /* places in the series, rising, where a value is below the one before */
    size_t ndrops, first;     /* `first`: the place of t[0] in the series */
    double *scratch;          /* as many as the series has samples */
    struct eval *ev;
    const struct node *call;
};

/* False: no result here. A function that fails sets ev->failed (eval_fail). */
typedef bool window_fn(const struct window *w, double *out);
/* All steps at once: fills out[0..steps), ABSENT where there is no result. Not for extended selectors. */
typedef void sweep_fn(const struct sweep *s, double *out);
typedef bool map_fn(double v, const double *args, double *out);
typedef int scalar_fn(struct eval *ev, const struct grid *g, const struct call *c, double *out);
typedef int stream_fn(struct eval *ev, const struct grid *g, const struct node *n, struct stream **out);

struct function {
    struct str name;
    enum promql_type args[FUNCTION_MAX_ARGS]; /* beyond nargs the last one repeats */
    uint8_t nargs, min, max;                  /* how many there are in args; how many may be given */
    enum promql_type returns;
    enum function_kind kind;
    union {
        map_fn *map;
        window_fn *window;
        scalar_fn *scalar;
        stream_fn *stream;
    };
    sweep_fn *sweep;       /* of a window function: faster; NULL = none */
    bool extrapolates;     /* its sweep needs gaps */
    bool per_second;
    bool always_sweeps;    /* else only where windows overlap a lot */
    bool keeps_name;       /* of a window function */
    bool wants_drops;      /* window.drops is filled */
    bool of_counter;       /* an info when the metric's name says it is none */
    bool anchored, smoothed;
    bool defaults_to_time; /* without an argument it reads vector(time()) */
    bool in_durations;     /* may stand in a range, a step or an offset */
    bool is_keyword;       /* its name may be written in any case */
    bool selects_labels;   /* its second argument is no vector, but conditions on labels */
    void (*print)(struct buf *b, const struct call *c); /* NULL: as name(argument, ...) */
};

/* The call's argument i, which is a string. */
static inline struct str call_text(const struct call *c, size_t i)
{
    return node_strip(c->args[i])->string;
}

/* NULL when there is none of that name. */
const struct function *function_find(struct str name);

/* functions_math.c */
map_fn fn_abs, fn_ceil, fn_floor, fn_exp, fn_ln, fn_log2, fn_log10, fn_sqrt, fn_sgn, fn_round, fn_clamp, fn_clamp_min,
    fn_clamp_max, fn_deg, fn_rad, fn_acos, fn_acosh, fn_asin, fn_asinh, fn_atan, fn_atanh, fn_cos, fn_cosh, fn_sin,
    fn_sinh, fn_tan, fn_tanh, fn_none;
double larger_of(double a, double b);
double smaller_of(double a, double b);
/* functions_time.c */
map_fn fn_minute, fn_hour, fn_day_of_week, fn_day_of_month, fn_day_of_year, fn_days_in_month, fn_month, fn_year;
scalar_fn fn_time, fn_pi, fn_start, fn_end, fn_range, fn_step, fn_max_of, fn_min_of, fn_scalar;
stream_fn fn_timestamp, fn_vector;
/* sweep.c, sweep_rate.c */
sweep_fn sweep_sum_over_time, sweep_avg_over_time, sweep_min_over_time, sweep_max_over_time, sweep_count_over_time,
    sweep_last_over_time, sweep_first_over_time, sweep_present_over_time, sweep_stddev_over_time,
    sweep_stdvar_over_time, sweep_ts_of_first_over_time, sweep_ts_of_last_over_time, sweep_ts_of_min_over_time,
    sweep_ts_of_max_over_time, sweep_changes, sweep_resets, sweep_rate, sweep_delta, sweep_irate,
    sweep_idelta;
/* Of windows with borders (to - range, to], to being to0 at the first step. */
void sweep_gaps(const struct sweep *s, int64_t to0, int64_t step, struct gaps *out);
/* functions_rate.c */
window_fn fn_rate, fn_increase, fn_delta, fn_irate, fn_idelta, fn_resets, fn_changes;
/* functions_window.c */
window_fn fn_sum_over_time, fn_avg_over_time, fn_min_over_time, fn_max_over_time, fn_count_over_time,
    fn_last_over_time, fn_first_over_time, fn_present_over_time, fn_stddev_over_time, fn_stdvar_over_time,
    fn_quantile_over_time, fn_mad_over_time, fn_ts_of_first_over_time, fn_ts_of_last_over_time,
    fn_ts_of_min_over_time, fn_ts_of_max_over_time, fn_deriv, fn_predict_linear, fn_double_exponential_smoothing;
/* functions_label.c */
stream_fn fn_label_replace, fn_label_join, fn_absent, fn_absent_over_time;
/* functions_info.c */
stream_fn fn_info;
/* functions_sort.c */
stream_fn fn_sort, fn_sort_desc, fn_sort_by_label, fn_sort_by_label_desc;
/* histogram.c */
stream_fn fn_histogram_quantile, fn_histogram_fraction, fn_histogram_quantiles;

#endif
