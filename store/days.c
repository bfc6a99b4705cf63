#include "store/days-internal.h"

#include "base/mem.h"
#include "store/blocks-internal.h"

#include <string.h>

/* The first place whose number is not below `number`. */
static size_t place_of(const struct days *d, int64_t number)
{
    size_t lo = 0, hi = d->n;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;

        if (d->v[mid] < number)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

int days_add(struct days *d, int64_t t_ms)
{
    int64_t number = partition_of(t_ms);

    if (d->at < d->n && d->v[d->at] == number)
        return 0;
    d->at = place_of(d, number);
    if (d->at < d->n && d->v[d->at] == number)
        return 0;
    if (mem_grow(&d->v, &d->cap, d->n + 1, sizeof(*d->v)) < 0)
        return ERR_NOMEM;
    memmove(d->v + d->at + 1, d->v + d->at, (d->n - d->at) * sizeof(*d->v));
    d->v[d->at] = number;
    d->n++;
    return 0;
}

void days_reset(struct days *d)
{
    d->n = d->at = 0;
}

void days_fini(struct days *d)
{
    mem_free(d->v);
    *d = (struct days){ 0 };
}
