/* event_order.c: a radix sort of times, least digit first; as many passes as the span of times has digits. What is in
 * order already, as chunks often are, is only looked at. */
#include "store/event_order-internal.h"

enum { DIGIT = 11, DIGITS = 1 << DIGIT };

static uint64_t above(const struct event_placed *p, int64_t base)
{
    return (uint64_t)p->time_ns - (uint64_t)base;
}

static void pass(const struct event_placed *from, size_t n, int64_t base, unsigned shift, struct event_placed *to)
{
    uint32_t starts[DIGITS] = { 0 }, at = 0;

    for (size_t i = 0; i < n; i++)
        starts[above(&from[i], base) >> shift & (DIGITS - 1)]++;
    for (size_t d = 0; d < DIGITS; d++) {
        uint32_t here = starts[d];

        starts[d] = at;
        at += here;
    }
    for (size_t i = 0; i < n; i++)
        to[starts[above(&from[i], base) >> shift & (DIGITS - 1)]++] = from[i];
}

int event_order(const struct event_selection *s, struct event_source *source, struct event_placed **out, struct err *e)
{
    struct event_placed *v = arena_alloc(source->arena, s->n * sizeof(*v)), *other;
    int64_t min = INT64_MAX, max = INT64_MIN;
    bool ordered = true;
    const int64_t *times;
    int rc = v ? source->ops->times(source, &times, e) : err_set(e, ERR_NOMEM, "no memory to order events");

    if (rc < 0)
        return rc;
    for (size_t i = 0; i < s->n; i++) {
        uint32_t row = event_selection_row(s, i);

        v[i] = (struct event_placed){ times[row], row };
        ordered = ordered && times[row] >= max;
        min = times[row] < min ? times[row] : min;
        max = times[row] > max ? times[row] : max;
    }
    *out = v;
    if (ordered)
        return 0;
    other = arena_alloc(source->arena, s->n * sizeof(*v));
    if (!other)
        return err_set(e, ERR_NOMEM, "no memory to order events");
    for (unsigned shift = 0; shift < 64 && ((uint64_t)max - (uint64_t)min) >> shift; shift += DIGIT) {
        struct event_placed *sorted = other;

        pass(v, s->n, min, shift, sorted);
        other = v;
        v = sorted;
    }
    *out = v;
    return 0;
}
