/* functions_rate.c: what changed in a window.
 *
 * Plain selectors see the samples inside the window, and rate, increase and delta extrapolate to its borders: a gap of
 * up to 1.1 sample distances is bridged, a longer one by half a distance, and a counter never starts below zero.
 * Anchored selectors see the last sample at or before the window's start too, and nothing is extrapolated: whole
 * counts stay whole. Smoothed selectors interpolate the value at both borders. */
#include "query/function-internal.h"

/* By how much to multiply the change between the first and the last sample. */
static double extrapolation(const struct window *w, double change, bool counter)
{
    double to_start = (double)(w->t[0] - w->from) / 1000, to_end = (double)(w->to - w->t[w->n - 1]) / 1000;
    double sampled = (double)(w->t[w->n - 1] - w->t[0]) / 1000, distance = sampled / (double)(w->n - 1);
    double threshold = distance * 1.1;

    if (to_start >= threshold)
        to_start = distance / 2;
    if (counter && change > 0 && w->v[0] >= 0)
        to_start = fmin(to_start, sampled * (w->v[0] / change));
    if (to_end >= threshold)
        to_end = distance / 2;
    return (sampled + to_start + to_end) / sampled;
}

static bool extrapolated(const struct window *w, bool counter, bool per_second, double *out)
{
    double change, factor;

    if (w->n < 2)
        return false;
    change = w->v[w->n - 1] - w->v[0];
    for (size_t i = 0; counter && i < w->ndrops; i++)
        change += w->v[w->drops[i] - w->first - 1];
    factor = extrapolation(w, change, counter);
    if (per_second)
        factor /= (double)w->range / 1000;
    *out = change * factor;
    return true;
}

/* The first of t[0..n-1) after `at` (or n - 1). */
static size_t first_after(const struct window *w, int64_t at)
{
    size_t lo = 0, hi = w->n - 1;

    while (lo < hi) {
        size_t mid = (lo + hi) / 2;

        if (w->t[mid] <= at)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* The value at `at`, between places i and i + 1; a counter that was reset there began again at zero. */
static double between(const struct window *w, size_t i, int64_t at, bool counter)
{
    double a = w->v[i], b = w->v[i + 1];

    if (counter && b < a)
        a = 0;
    return a + (b - a) * (double)(at - w->t[i]) / (double)(w->t[i + 1] - w->t[i]);
}

/* The window's first and last place, and the values at its two borders. */
struct borders {
    size_t first, last;
    double left, right;
};

/* False: no sample inside of the window or after it. */
static bool find_borders(const struct window *w, bool counter, struct borders *b)
{
    bool smoothed = w->extension == EXTEND_SMOOTHED;
    size_t after = first_after(w, w->from);

    b->first = after ? after - 1 : 0;
    b->last = w->n - 1;
    if (smoothed)
        b->last = first_after(w, w->to - 1);
    if (w->t[b->last] <= w->from || (smoothed && w->t[b->first] > w->to))
        return false;
    b->left = smoothed && w->t[b->first] < w->from ? between(w, b->first, w->from, counter) : w->v[b->first];
    b->right = smoothed && b->last && w->t[b->last] > w->to ? between(w, b->last - 1, w->to, counter)
                                                            : w->v[b->last];
    return true;
}

/* The resets between interpolated borders: their values have seen those across them, which leaves what is inside. */
static double smoothed_resets(const struct window *w, const struct borders *b)
{
    size_t from = b->first + (w->t[b->first] <= w->from), to = b->last + (w->t[b->last] < w->to);
    double prev = b->left, sum = 0;

    for (size_t i = from; i < to; i++) {
        sum += w->v[i] < prev ? prev : 0;
        prev = w->v[i];
    }
    return b->right < prev ? sum + prev : sum;
}

static bool extended(const struct window *w, bool counter, bool per_second, double *out)
{
    struct borders b;

    if (!find_borders(w, counter, &b))
        return false;
    *out = b.right - b.left;
    if (counter && w->extension == EXTEND_SMOOTHED)
        *out += smoothed_resets(w, &b);
    for (size_t i = 0; counter && w->extension == EXTEND_ANCHORED && i < w->ndrops; i++)
        if (w->drops[i] > w->first + b.first)
            *out += w->v[w->drops[i] - w->first - 1];
    if (per_second)
        *out /= (double)w->range / 1000;
    return true;
}

bool fn_rate(const struct window *w, double *out)
{
    return w->extension ? extended(w, true, true, out) : extrapolated(w, true, true, out);
}

bool fn_increase(const struct window *w, double *out)
{
    return w->extension ? extended(w, true, false, out) : extrapolated(w, true, false, out);
}

bool fn_delta(const struct window *w, double *out)
{
    return w->extension ? extended(w, false, false, out) : extrapolated(w, false, false, out);
}

bool fn_irate(const struct window *w, double *out)
{
    size_t i = w->n - 1;

    if (w->n < 2)
        return false;
    *out = (w->v[i] < w->v[i - 1] ? w->v[i] : w->v[i] - w->v[i - 1]) / ((double)(w->t[i] - w->t[i - 1]) / 1000);
    return true;
}

bool fn_idelta(const struct window *w, double *out)
{
    if (w->n < 2)
        return false;
    *out = w->v[w->n - 1] - w->v[w->n - 2];
    return true;
}

/* Where resets and changes begin: at the first sample, or at the anchor. False: nothing inside of the window. */
static bool first_place(const struct window *w, size_t *first)
{
    size_t after = w->extension ? first_after(w, w->from) : 0;

    *first = after ? after - 1 : 0;
    return !w->extension || w->t[w->n - 1] > w->from;
}

bool fn_resets(const struct window *w, double *out)
{
    size_t first;

    if (!first_place(w, &first))
        return false;
    *out = 0;
    for (size_t i = 0; i < w->ndrops; i++)
        *out += w->drops[i] > w->first + first;
    return true;
}

bool fn_changes(const struct window *w, double *out)
{
    size_t first;

    if (!first_place(w, &first))
        return false;
    *out = 0;
    for (size_t i = first + 1; i < w->n; i++)
        *out += w->v[i] != w->v[i - 1] && !(isnan(w->v[i]) && isnan(w->v[i - 1]));
    return true;
}

/* An extended selector by itself: the values at both borders, and the samples between them. */
static int extend_samples(struct eval *ev, const struct window *w, struct sample_row *row)
{
    int64_t *t = arena_array(ev->a, w->n + 2, sizeof(*t));
    double *v = arena_array(ev->a, w->n + 2, sizeof(*v));
    struct borders b;
    size_t n = 0;

    if (!t || !v)
        return eval_nomem(ev);
    row->n = 0;
    if (!find_borders(w, false, &b))
        return 0;
    t[n] = w->from;
    v[n++] = b.left;
    for (size_t i = 0; i < w->n; i++)
        if (w->t[i] > w->from && w->t[i] < w->to) {
            t[n] = w->t[i];
            v[n++] = w->v[i];
        }
    t[n] = w->to;
    v[n++] = b.right;
    *row = (struct sample_row){ row->labels, row->drop_name, t, v, n, row->times };
    return 0;
}

int window_samples(struct eval *ev, const struct node *n, const struct lookout *l, int64_t now, struct sample_row *row)
{
    struct grid g = { now, 0, 1 };
    struct window w = { row->t, row->v, row->n, .to = lookout_at(l, &g, 0), .now = now, .range = l->range, .ev = ev };

    w.from = w.to - l->range;
    n = node_strip(n);
    if (n->kind != NODE_SELECTOR || n->selector.extension == EXTEND_NONE)
        return 0;
    w.extension = n->selector.extension;
    return extend_samples(ev, &w, row);
}
