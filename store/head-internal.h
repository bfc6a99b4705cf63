/* head-internal.h: the newest samples of all series, in memory, until they are sealed into blocks.
 *
 * A head is one generation: the committer appends to it until it is frozen and another takes over; the sealer writes the
 * frozen one out; it is freed as a whole when the last reader lets go of it. Nothing in a head is freed or moved before,
 * so a reader needs the store's lock only while it notes how far a series goes (head_look).
 *
 * Memory  12 bytes a sample in chunks of 2, 4, … 64, and 40 bytes a series. */
#ifndef STORE_HEAD_INTERNAL_H
#define STORE_HEAD_INTERNAL_H

#include "base/err.h"
#include "store/sample.h"

#include <stdbool.h>
#include <stddef.h>

struct head;
struct head_chunk;

/* What there was of one series when somebody looked: samples in the order of time, and those that came late in the order
 * they came. */
struct head_view {
    const struct head_chunk *newest, *newest_late;
    uint32_t n, n_late; /* in all chunks */
};

struct head *head_new(void); /* held once, for the caller; NULL: no memory */
void head_hold(struct head *h);
void head_release(struct head *h); /* NULL is fine */

/* --- the committer --- */

/* Makes room for series below `end`; with the store's lock for writing, when head_end(h) < end. ERR_NOMEM. */
int head_grow(struct head *h, uint32_t end);
/* Takes the memory that appending `samples` samples to `series` series may need. ERR_NOMEM. */
int head_reserve(struct head *h, size_t series, size_t samples);
/* Fetches what head_append will look at first. */
void head_prefetch(const struct head *h, uint32_t id);
/* With the store's lock for writing. Cannot fail, within what was reserved. */
void head_append(struct head *h, uint32_t id, const struct sample *s, size_t n);

/* --- readers, with the store's lock for reading --- */

size_t head_samples(const struct head *h);
size_t head_bytes(const struct head *h);
/* Of all samples; first > last when there are none. */
void head_range(const struct head *h, int64_t *first, int64_t *last);
/* One past the highest series number it may have. */
uint32_t head_end(const struct head *h);
/* False: nothing of this series. */
bool head_look(const struct head *h, uint32_t id, struct head_view *v);
/* Whether the series' samples reach into the range: the first is not behind it, the last not before it. */
bool head_reaches(const struct head *h, uint32_t id, int64_t from_ms, int64_t to_ms);

/* --- with a view, and the head held --- */

/* First and last time, late ones included. */
void head_view_range(const struct head_view *v, int64_t *first, int64_t *last);
/* The samples from from_ms to to_ms, both included, times rising strictly, of equal times the one that came last:
 * t[*first..*first + *n) and v likewise, which have room for view->n + view->n_late. 0 or ERR_NOMEM (only when some came
 * late). */
int head_read(const struct head_view *view, int64_t from_ms, int64_t to_ms, int64_t *t, double *v, size_t *first,
              size_t *n);
/* Fetches what head_read will look at first. */
void head_view_prefetch(const struct head_view *view);

#endif
