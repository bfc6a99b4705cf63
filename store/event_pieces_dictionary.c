/* event_pieces_dictionary.c: writing a dictionary; the format is drawn in event_build.c.
 *
 * Texts are sorted: what each begins with in common with the one before is told by a number, and codes of what is alike
 * are near each other. */
#include "store/event_pieces-internal.h"

#include "base/mem.h"
#include "store/event_block_format-internal.h"
#include "store/event_rank-internal.h"
#include "store/varint-internal.h"

/* Places of values and values of places; numbers keep theirs. */
struct ranked {
    uint32_t *ranks, *order; /* owned, one memory */
};

static int rank(struct ranked *r, const struct event_coded *d)
{
    r->ranks = mem_alloc(2 * (size_t)d->distinct * sizeof(*r->ranks));
    if (!r->ranks)
        return ERR_NOMEM;
    r->order = r->ranks + d->distinct;
    if (d->is_text)
        return event_rank_texts(d->values, d->distinct, r->ranks, r->order);
    for (uint32_t i = 0; i < d->distinct; i++)
        r->ranks[i] = r->order[i] = i;
    return 0;
}

/* The codes into w->room; how many rows have each. */
static void put_counts(struct event_pieces *w, const struct event_coded *d, const struct ranked *r)
{
    uint32_t *counts = (uint32_t *)w->room; /* there are no more values than rows */

    memset(counts, 0, d->distinct * sizeof(*counts));
    for (size_t i = 0; i < d->n; i++)
        counts[d->codes[i]]++;
    for (size_t i = 0; i < d->distinct; i++)
        varint_put(&w->raw, counts[r->order[i]]);
    for (size_t i = 0; i < d->n; i++)
        w->room[i] = r->ranks[d->codes[i]];
}

/* What each begins with in common with the one before, and how much more it has. */
static void put_lengths(struct buf *b, const struct event_coded *d, const struct ranked *r)
{
    struct str before = STR_NULL;

    for (size_t i = 0; i < d->distinct; i++) {
        struct str text = d->values[r->order[i]].s;
        size_t common = str_common(before, text);

        varint_put(b, common);
        varint_put(b, text.n - common);
        before = text;
    }
}

static void put_ends(struct buf *b, const struct event_coded *d, const struct ranked *r)
{
    struct str before = STR_NULL;

    for (size_t i = 0; i < d->distinct; i++) {
        struct str text = d->values[r->order[i]].s;

        buf_str(b, str_from(text, str_common(before, text)));
        before = text;
    }
}

static void put_numbers(struct buf *b, const struct event_coded *d)
{
    uint64_t before = 0;

    for (size_t i = 0; i < d->distinct; i++) {
        varint_put(b, zigzag((uint64_t)d->values[i].i - before));
        before = (uint64_t)d->values[i].i;
    }
}

static int put_all(struct event_pieces *w, const struct event_coded *d, const struct ranked *r, struct err *e)
{
    int rc;

    varint_put(&w->directory, d->distinct);
    if (!d->is_text) {
        varint_put(&w->directory, zigzag((uint64_t)d->min));
        varint_put(&w->directory, (uint64_t)d->max - (uint64_t)d->min);
    }
    buf_reset(&w->raw);
    put_counts(w, d, r);
    if (d->is_text)
        put_lengths(&w->raw, d, r);
    else
        put_numbers(&w->raw, d);
    rc = event_pieces_raw(w, EVENT_PACK_TEXTS, e);
    if (rc == 0 && d->is_text) {
        buf_reset(&w->raw);
        put_ends(&w->raw, d, r);
        rc = event_pieces_raw(w, EVENT_PACK_TEXTS, e);
    }
    return rc == 0 ? event_pieces_planes(w, d->n, block_code_bits(d->distinct), EVENT_PACK_CODES, e) : rc;
}

int event_pieces_dictionary(struct event_pieces *w, const struct event_coded *d, struct err *e)
{
    struct ranked r = { NULL, NULL };
    int rc = rank(&r, d) < 0 ? event_pieces_no_memory(e) : put_all(w, d, &r, e);

    mem_free(r.ranks);
    return rc;
}
