/* sweep_rate.c: rate, increase, delta, irate and idelta over all windows of one series in one call.
 *
 * Problem    Of 1,336 series × 1,440 steps each asks for seven divisions, most of them about times.
 * Idea       What depends on the times alone (struct gaps) is computed once for all series that were sampled together, as
 *            all series of one target are. What is left per step is a subtraction, a multiplication, and for counters the
 *            question whether extrapolation would reach below zero.
 *            A counter's resets are looked for once per series; without any, windows need not be searched. */
#include "query/function-internal.h"

static double capped(double gap, double distance)
{
    return gap >= distance * 1.1 ? distance / 2 : gap;
}

void sweep_gaps(const struct sweep *s, int64_t to0, int64_t step, struct gaps *out)
{
    for (size_t i = 0; i < s->steps; i++) {
        size_t lo = s->lo[i], hi = s->hi[i];
        int64_t to = to0 + (int64_t)i * step;
        double sampled, distance;

        if (hi - lo < 2)
            continue;
        sampled = (double)(s->t[hi - 1] - s->t[lo]) / 1000;
        distance = sampled / (double)(hi - lo - 1);
        out->sampled[i] = sampled;
        out->to_start[i] = capped((double)(s->t[lo] - (to - s->range)) / 1000, distance);
        out->to_end[i] = capped((double)(to - s->t[hi - 1]) / 1000, distance);
        out->factor[i] = (sampled + out->to_start[i] + out->to_end[i]) / sampled;
    }
}

static bool has_resets(const struct sweep *s)
{
    uint64_t any = 0;

    for (size_t i = 1; i < s->n; i++)
        any |= s->v[i] < s->v[i - 1];
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
static double factor_from_zero(const struct gaps *g, size_t i, double first, double change)
{
    return (g->sampled[i] + g->sampled[i] * (first / change) + g->to_end[i]) / g->sampled[i];
}

static inline __attribute__((always_inline)) void sweep_change(const struct sweep *s, bool counter, double seconds,
                                                               double *out)
{
    const struct gaps *g = s->gaps;

    for (size_t i = 0; i < s->steps; i++)
        out[i] = s->hi[i] - s->lo[i] < 2 ? ABSENT : s->v[s->hi[i] - 1] - s->v[s->lo[i]];
    if (counter && has_resets(s))
        add_resets(s, out);
    for (size_t i = 0; i < s->steps; i++) {
        double factor = g->factor[i], first;

        if (s->hi[i] - s->lo[i] < 2)
            continue;
        first = s->v[s->lo[i]];
        if (counter && out[i] > 0 && first >= 0 && first * g->sampled[i] < g->to_start[i] * out[i])
            factor = factor_from_zero(g, i, first, out[i]);
        out[i] *= factor / seconds;
    }
}

void sweep_rate(const struct sweep *s, double *out)
{
    sweep_change(s, true, (double)s->range / 1000, out);
}

void sweep_increase(const struct sweep *s, double *out)
{
    sweep_change(s, true, 1, out);
}

void sweep_delta(const struct sweep *s, double *out)
{
    sweep_change(s, false, 1, out);
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
