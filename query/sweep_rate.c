/* sweep_rate.c: rate, increase (which is rate by the range), delta, irate and idelta over all windows of one series in one call.
 *
 * Problem    Of 1,336 series × 1,440 steps each asks for seven divisions, most of them about times.
 * Idea       What depends on the times alone (struct gaps) is computed once for all series that were sampled together, as
 *            all series of one target are. What is left per step is a subtraction, a multiplication, and for counters the
 *            question whether extrapolation would reach below zero.
 *            A counter's resets are looked for once per series; without any, windows need not be searched. */
#include "query/function-internal.h"

/* From milliseconds in the three columns to what extrapolation needs. */
WIDE static void extrapolate(struct gaps g, size_t n)
{
    double *restrict sampled = g.sampled, *restrict start = g.to_start, *restrict end = g.to_end;
    double *restrict factor = g.factor, per = g.per;
    const double *restrict pairs = g.pairs;

    for (size_t i = 0; i < n; i++) {
        double span = sampled[i] / 1000, apart = span / pairs[i], most = apart * 1.1;
        double a = start[i] / 1000, b = end[i] / 1000;

        a = a >= most ? apart / 2 : a;
        b = b >= most ? apart / 2 : b;
        sampled[i] = span;
        start[i] = a;
        end[i] = b;
        factor[i] = (span + a + b) / span / per;
    }
}

void sweep_gaps(const struct sweep *s, int64_t to0, int64_t step, struct gaps *out)
{
    int64_t to = to0;

    for (size_t i = 0; i < s->steps; i++, to += step) {
        size_t lo = s->lo[i], hi = s->hi[i];

        out->pairs[i] = hi - lo < 2 ? 0 : (double)(hi - lo - 1);
        if (hi - lo < 2)
            continue;
        out->sampled[i] = (double)(s->t[hi - 1] - s->t[lo]);
        out->to_start[i] = (double)(s->t[lo] - (to - s->range));
        out->to_end[i] = (double)(to - s->t[hi - 1]);
    }
    extrapolate(*out, s->steps);
}

WIDE static bool falls(const double *v, size_t n)
{
    uint64_t any = 0;

    for (size_t i = 1; i < n; i++)
        any |= v[i] < v[i - 1];
    return any != 0;
}

/* Lists the places of the resets in s->counts, and the values before them in s->parts[].b. */
static size_t list_resets(const struct sweep *s)
{
    size_t n = 0;

    for (size_t i = 1; i < s->n; i++)
        if (s->v[i] < s->v[i - 1]) {
            s->counts[n] = (uint32_t)i;
            s->parts[n++].b = s->v[i - 1];
        }
    return n;
}

/* Adds the values before the resets in each window to its change. The sums slide as in sweep.c. */
static void add_resets(const struct sweep *s, double *change)
{
    size_t n = list_resets(s), lo = 0, hi = 0, split = 0, at = 0;
    double back = 0;

    for (size_t i = 0; i < s->steps; i++) {
        while (hi < n && s->counts[hi] < s->hi[i])
            hi++;
        while (lo < hi && s->counts[lo] <= s->lo[i])
            lo++;
        if (lo == hi)
            continue;
        if (lo >= split) {
            s->parts[hi - 1].a = s->parts[hi - 1].b;
            for (size_t k = hi - 1; k-- > lo;)
                s->parts[k].a = s->parts[k].b + s->parts[k + 1].a;
            split = at = hi;
            back = 0;
        }
        for (; at < hi; at++)
            back += s->parts[at].b;
        change[i] += s->parts[lo].a + back;
    }
}

/* A counter does not start below zero: the way to the window's start is then shorter. */
static double from_zero(const struct gaps *g, size_t i, double first, double change)
{
    double to_start = g->sampled[i] * (first / change);

    return change * ((g->sampled[i] + to_start + g->to_end[i]) / g->sampled[i] / g->per);
}

static inline double extended_change(const struct gaps *g, size_t i, bool counter, double first, double change)
{
    if (counter && change > 0 && first >= 0 && first * g->sampled[i] < g->to_start[i] * change)
        return from_zero(g, i, first, change);
    return change * g->factor[i];
}

static inline __attribute__((always_inline)) void sweep_change(const struct sweep *s, bool counter, double *out)
{
    bool resets = counter && falls(s->v, s->n);

    for (size_t i = 0; i < s->steps; i++) {
        size_t lo = s->lo[i], hi = s->hi[i];
        double change;

        out[i] = ABSENT;
        if (hi - lo < 2)
            continue;
        change = s->v[hi - 1] - s->v[lo];
        out[i] = resets ? change : extended_change(s->gaps, i, counter, s->v[lo], change);
    }
    if (!resets)
        return;
    add_resets(s, out);
    for (size_t i = 0; i < s->steps; i++)
        if (s->hi[i] - s->lo[i] >= 2)
            out[i] = extended_change(s->gaps, i, counter, s->v[s->lo[i]], out[i]);
}

void sweep_rate(const struct sweep *s, double *out)
{
    sweep_change(s, true, out);
}

void sweep_delta(const struct sweep *s, double *out)
{
    sweep_change(s, false, out);
}

void sweep_irate(const struct sweep *s, double *out)
{
    for (size_t i = 0; i < s->steps; i++) {
        size_t k = s->hi[i] - 1;
        double change;

        out[i] = ABSENT;
        if (s->hi[i] - s->lo[i] < 2)
            continue;
        change = s->v[k] < s->v[k - 1] ? s->v[k] : s->v[k] - s->v[k - 1];
        out[i] = change / ((double)(s->t[k] - s->t[k - 1]) / 1000);
    }
}

void sweep_idelta(const struct sweep *s, double *out)
{
    for (size_t i = 0; i < s->steps; i++)
        out[i] = s->hi[i] - s->lo[i] < 2 ? ABSENT : s->v[s->hi[i] - 1] - s->v[s->hi[i] - 2];
}
