/* sweep.c: functions over all windows of one series in one call.
 *
 * Problem    At a 15 s step 5 m windows overlap twentyfold; walking each from its start reads every sample 20 times.
 * Idea       A window is two runs: [lo, split), of which every tail [i, split) is joined beforehand, and [split, hi), to
 *            which new samples are joined as they come. When lo reaches split the tails are made anew from what is in the
 *            window. Each sample is joined twice at most, whatever the overlap:
 *
 *                lo               split         hi
 *                 |--- parts[lo] ---|--- back ---|          result = join(parts[lo], back)
 *
 * Why not    Running sums with subtraction: on long series they cancel and lose the low digits, and an Inf or NaN that
 *            has left the window would stay in the sum. Nothing is ever subtracted here.
 * Left out   Windows that overlap little: the functions of one window (functions_window.c) are as fast there, and add up
 *            in the order in which Prometheus does. range.c decides. */
#include "query/function-internal.h"

#define INLINE static inline __attribute__((always_inline))

typedef struct part part_fn(const struct sweep *s, size_t i);
typedef struct part join_fn(struct part l, struct part r);
typedef double finish_fn(const struct sweep *s, size_t step, struct part p);

INLINE void sweep_parts(const struct sweep *s, part_fn *of, join_fn *join, finish_fn *finish, double *out)
{
    size_t split = 0, at = 0;
    struct part back = { 0, 0, 0 };

    for (size_t i = 0; i < s->steps; i++) {
        size_t lo = s->lo[i], hi = s->hi[i];

        if (lo == hi) {
            out[i] = ABSENT;
            continue;
        }
        if (lo >= split) {
            s->parts[hi - 1] = of(s, hi - 1);
            for (size_t k = hi - 1; k-- > lo;)
                s->parts[k] = join(of(s, k), s->parts[k + 1]);
            split = at = hi;
        }
        for (; at < hi; at++)
            back = at == split ? of(s, at) : join(back, of(s, at));
        out[i] = finish(s, i, at == split ? s->parts[lo] : join(s->parts[lo], back));
    }
}

INLINE struct part value_of(const struct sweep *s, size_t i)
{
    return (struct part){ s->v[i], 0, 1 };
}

/* --- sums -------------------------------------------------------------------------------------------------------- */

INLINE struct part join_sums(struct part l, struct part r)
{
    kahan_add(r.a, &l.a, &l.b);
    return (struct part){ l.a, l.b + r.b, l.n + r.n };
}

/* The window by itself, for sums that do not fit. */
static double alone(const struct sweep *s, size_t step, window_fn *fn)
{
    struct window w = { .t = s->t + s->lo[step], .v = s->v + s->lo[step], .n = s->hi[step] - s->lo[step] };
    double v;

    return fn(&w, &v) ? v : ABSENT;
}

INLINE double finish_sum(const struct sweep *s, size_t step, struct part p)
{
    return isfinite(p.a) ? p.a + p.b : alone(s, step, fn_sum_over_time);
}

INLINE double finish_avg(const struct sweep *s, size_t step, struct part p)
{
    return isfinite(p.a) ? p.a / p.n + p.b / p.n : alone(s, step, fn_avg_over_time);
}

void sweep_sum_over_time(const struct sweep *s, double *out)
{
    sweep_parts(s, value_of, join_sums, finish_sum, out);
}

void sweep_avg_over_time(const struct sweep *s, double *out)
{
    sweep_parts(s, value_of, join_sums, finish_avg, out);
}

/* --- variance: Chan's joining of Welford's sums ------------------------------------------------------------------ */

INLINE struct part join_variances(struct part l, struct part r)
{
    double n = l.n + r.n, delta = r.a - l.a;

    return (struct part){ l.a + delta * (r.n / n), l.b + r.b + delta * delta * (l.n * r.n / n), n };
}

INLINE double finish_stdvar(const struct sweep *s, size_t step, struct part p)
{
    return isfinite(p.b) && isfinite(p.a) && p.n > 1 ? p.b / p.n : alone(s, step, fn_stdvar_over_time);
}

INLINE double finish_stddev(const struct sweep *s, size_t step, struct part p)
{
    return sqrt(finish_stdvar(s, step, p));
}

void sweep_stdvar_over_time(const struct sweep *s, double *out)
{
    sweep_parts(s, value_of, join_variances, finish_stdvar, out);
}

void sweep_stddev_over_time(const struct sweep *s, double *out)
{
    sweep_parts(s, value_of, join_variances, finish_stddev, out);
}

/* --- extremes: a is the value, b its time. Any number replaces NaN; of equals the last is told ------------------- */

INLINE struct part timed_of(const struct sweep *s, size_t i)
{
    return (struct part){ s->v[i], (double)s->t[i] / 1000, 1 };
}

INLINE struct part join_min(struct part l, struct part r)
{
    return r.a <= l.a || isnan(l.a) ? r : l;
}

INLINE struct part join_max(struct part l, struct part r)
{
    return r.a >= l.a || isnan(l.a) ? r : l;
}

INLINE double finish_value(const struct sweep *s, size_t step, struct part p)
{
    (void)s;
    (void)step;
    return p.a;
}

INLINE double finish_time(const struct sweep *s, size_t step, struct part p)
{
    (void)s;
    (void)step;
    return p.b;
}

void sweep_min_over_time(const struct sweep *s, double *out)
{
    sweep_parts(s, value_of, join_min, finish_value, out);
}

void sweep_max_over_time(const struct sweep *s, double *out)
{
    sweep_parts(s, value_of, join_max, finish_value, out);
}

void sweep_ts_of_min_over_time(const struct sweep *s, double *out)
{
    sweep_parts(s, timed_of, join_min, finish_time, out);
}

void sweep_ts_of_max_over_time(const struct sweep *s, double *out)
{
    sweep_parts(s, timed_of, join_max, finish_time, out);
}

/* --- what the borders tell --------------------------------------------------------------------------------------- */

#define BORDER(name, expression)                                                                                       \
    void sweep_##name(const struct sweep *s, double *out)                                                              \
    {                                                                                                                  \
        for (size_t i = 0; i < s->steps; i++)                                                                          \
            out[i] = s->lo[i] == s->hi[i] ? ABSENT : (expression);                                                     \
    }

BORDER(count_over_time, (double)(s->hi[i] - s->lo[i]))
BORDER(present_over_time, 1)
BORDER(first_over_time, s->v[s->lo[i]])
BORDER(last_over_time, s->v[s->hi[i] - 1])
BORDER(ts_of_first_over_time, (double)s->t[s->lo[i]] / 1000)
BORDER(ts_of_last_over_time, (double)s->t[s->hi[i] - 1] / 1000)

/* Whole numbers can be subtracted: counts[k] is how many there are up to sample k. */
void sweep_changes(const struct sweep *s, double *out)
{
    s->counts[0] = 0;
    for (size_t i = 1; i < s->n; i++)
        s->counts[i] = s->counts[i - 1] + (s->v[i] != s->v[i - 1] && !(isnan(s->v[i]) && isnan(s->v[i - 1])));
    for (size_t i = 0; i < s->steps; i++)
        out[i] = s->lo[i] == s->hi[i] ? ABSENT : (double)(s->counts[s->hi[i] - 1] - s->counts[s->lo[i]]);
}

void sweep_resets(const struct sweep *s, double *out)
{
    s->counts[0] = 0;
    for (size_t i = 1; i < s->n; i++)
        s->counts[i] = s->counts[i - 1] + (s->v[i] < s->v[i - 1]);
    for (size_t i = 0; i < s->steps; i++)
        out[i] = s->lo[i] == s->hi[i] ? ABSENT : (double)(s->counts[s->hi[i] - 1] - s->counts[s->lo[i]]);
}
