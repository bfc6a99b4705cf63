/* event_pieces_numbers.c: writing numbers and times; the format is drawn in event_build.c.
 *
 * Numbers are what they have more than the least of them, unless they say less in another way:
 *
 *     beside   what they have more than another column's in the same row: of a request's time and of its upstream's,
 *              what is left is what the proxy took
 *     rare     where one value is usual (no bytes, no upstream), the rows that have another, and these */
#include "store/event_pieces-internal.h"

#include "store/event_block_format-internal.h"
#include "store/varint-internal.h"

/* The usual value has at least one row in so many. */
enum { USUAL_SHARE = 4 };

/* The largest unit that all of w->room are multiples of. */
static size_t find_unit(const struct event_pieces *w, size_t n)
{
    for (size_t u = BLOCK_UNITS - 1; u > 0; u--) {
        uint64_t unit = (uint64_t)block_units[u];
        size_t i = 0;

        while (i < n && w->room[i] % unit == 0)
            i++;
        if (i == n)
            return u;
    }
    return 0;
}

/* w->room[0..n) in the largest unit. */
static int put_in_unit(struct event_pieces *w, size_t n, struct err *e)
{
    size_t unit = find_unit(w, n);

    for (size_t i = 0; unit && i < n; i++)
        w->room[i] /= (uint64_t)block_units[unit];
    buf_putc(&w->directory, (char)unit);
    return event_pieces_numbers(w, n, e);
}

/* The least of w->room, as numbers with a sign, and what each has more. */
static int put_above_least(struct event_pieces *w, size_t n, struct err *e)
{
    int64_t least = n ? (int64_t)w->room[0] : 0;

    for (size_t i = 1; i < n; i++)
        least = (int64_t)w->room[i] < least ? (int64_t)w->room[i] : least;
    for (size_t i = 0; i < n; i++)
        w->room[i] -= (uint64_t)least;
    varint_put(&w->directory, zigzag((uint64_t)least));
    return put_in_unit(w, n, e);
}

/* --- beside another column --- */

static uint64_t beside_of(const struct event_coded *d, const struct event_beside *beside, size_t i)
{
    return (uint64_t)d->values[i].i - (beside ? (uint64_t)beside->ints[i] : 0);
}

/* How far they are from their average, together. */
static double spread(const struct event_coded *d, const struct event_beside *beside)
{
    double sum = 0, average, spread = 0;

    for (size_t i = 0; i < d->n; i++)
        sum += (double)(int64_t)beside_of(d, beside, i);
    average = sum / (double)d->n;
    for (size_t i = 0; i < d->n; i++) {
        double far = (double)(int64_t)beside_of(d, beside, i) - average;

        spread += far < 0 ? -far : far;
    }
    return spread;
}

static int put_beside(struct event_pieces *w, const struct event_coded *d, const struct event_beside *beside,
                      struct err *e)
{
    varint_put(&w->directory, beside->name.n);
    buf_str(&w->directory, beside->name);
    for (size_t i = 0; i < d->n; i++)
        w->room[i] = beside_of(d, beside, i);
    return put_above_least(w, d->n, e);
}

/* --- rare ones --- */

static size_t count_equal(const struct event_coded *d, int64_t v)
{
    size_t n = 0;

    for (size_t i = 0; i < d->n; i++)
        n += d->values[i].i == v;
    return n;
}

/* Nothing, or not known: what senders say most. */
static bool find_usual(const struct event_coded *d, int64_t *usual)
{
    size_t zeros = count_equal(d, 0), unset = count_equal(d, -1);

    *usual = unset > zeros ? -1 : 0;
    return (unset > zeros ? unset : zeros) >= d->n / USUAL_SHARE;
}

static int put_rare(struct event_pieces *w, const struct event_coded *d, int64_t usual, struct err *e)
{
    size_t bytes = (d->n + 7) / 8, n = 0;
    uint8_t *bits;
    int rc;

    buf_reset(&w->raw);
    bits = (uint8_t *)buf_reserve(&w->raw, bytes);
    if (!bits)
        return event_pieces_no_memory(e);
    memset(bits, 0, bytes);
    w->raw.n = bytes;
    for (size_t i = 0; i < d->n; i++) {
        bool rare = d->values[i].i != usual;

        bits[i / 8] |= (uint8_t)(rare << i % 8);
        w->room[n] = (uint64_t)d->values[i].i;
        n += rare;
    }
    varint_put(&w->directory, zigzag((uint64_t)usual));
    varint_put(&w->directory, n);
    rc = event_pieces_raw(w, EVENT_PACK_CODES, e);
    return rc == 0 ? put_above_least(w, n, e) : rc;
}

/* --- bodies --- */

int event_pieces_ints_form(const struct event_coded *d, const struct event_beside *beside)
{
    int64_t usual;

    if (beside && spread(d, beside) < spread(d, NULL) / 2)
        return BLOCK_BESIDE;
    return find_usual(d, &usual) ? BLOCK_RARE : 0;
}

int event_pieces_ints(struct event_pieces *w, const struct event_coded *d, int form, const struct event_beside *beside,
                      struct err *e)
{
    int64_t usual;

    varint_put(&w->directory, zigzag((uint64_t)d->min));
    varint_put(&w->directory, (uint64_t)d->max - (uint64_t)d->min);
    if (form & BLOCK_BESIDE)
        return put_beside(w, d, beside, e);
    if ((form & BLOCK_RARE) && find_usual(d, &usual))
        return put_rare(w, d, usual, e);
    for (size_t i = 0; i < d->n; i++)
        w->room[i] = (uint64_t)d->values[i].i - (uint64_t)d->min;
    return put_in_unit(w, d->n, e);
}

int event_pieces_times(struct event_pieces *w, const int64_t *ns, size_t n, struct err *e)
{
    int64_t first = ns[0], last = ns[0], unit;
    size_t u;

    for (size_t i = 1; i < n; i++) {
        first = ns[i] < first ? ns[i] : first;
        last = ns[i] > last ? ns[i] : last;
    }
    for (size_t i = 0; i < n; i++)
        w->room[i] = (uint64_t)ns[i] - (uint64_t)first;
    u = (uint64_t)last - (uint64_t)first <= INT64_MAX ? find_unit(w, n) : 0;
    unit = block_units[u];
    for (size_t i = n - 1; i > 0; i--)
        w->room[i] = zigzag((uint64_t)((int64_t)(w->room[i] - w->room[i - 1]) / unit));
    w->room[0] = 0;
    event_pieces_key(w, BLOCK_TIME, STR_NULL, EVENT_FORM_INTS);
    varint_put(&w->directory, zigzag((uint64_t)ns[0]));
    buf_putc(&w->directory, (char)u);
    return event_pieces_numbers(w, n, e);
}
