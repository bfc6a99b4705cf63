/* head.c: append in place, otherwise copy.
 *
 * Nearly every sample is newer than all before. It goes behind the visible samples of the same block, where no reader
 * looks until `n` is published: no copy, no lock. Everything else (a late sample, a changed one, a deletion, a full
 * block) makes a new block while readers keep the old one, which is retired (epoch-internal.h).
 *
 * Invariants  staged == block or staged is the committer's own, never seen by a reader.
 *             In a block shared with readers only [n, cap) is written. */
#include "store/head-internal.h"

#include "base/err.h"
#include "base/mem.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_CAP = 4 };

size_t head_find(const int64_t *t, size_t n, int64_t at)
{
    size_t lo = 0, hi = n;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;

        if (t[mid] < at)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static struct head_block *new_block(struct epoch *ep, size_t cap)
{
    struct head_block *b = mem_alloc(sizeof(*b) + cap * (sizeof(*b->t) + sizeof(*b->v)));

    if (!b)
        return NULL;
    b->born = epoch_now(ep);
    b->cap = cap;
    b->t = (int64_t *)(b + 1);
    b->v = (double *)(b->t + cap);
    return b;
}

/* Makes `b` the staged block. */
static void replace(struct head *h, struct head_block *b, size_t n)
{
    if (h->staged != h->block)
        mem_free(h->staged);
    h->staged = b;
    h->staged_n = n;
}

static int make_room(struct head *h, struct epoch *ep)
{
    size_t n = h->staged_n;
    struct head_block *b;

    if (h->staged && n < h->staged->cap)
        return 0;
    b = new_block(ep, n ? n * 2 : FIRST_CAP);
    if (!b)
        return ERR_NOMEM;
    if (n) {
        memcpy(b->t, h->staged->t, n * sizeof(*b->t));
        memcpy(b->v, h->staged->v, n * sizeof(*b->v));
    }
    replace(h, b, n);
    return 0;
}

static bool is_stored(const struct head *h, const struct sample *s)
{
    size_t i = head_find(h->staged->t, h->staged_n, s->t);

    return i < h->staged_n && h->staged->t[i] == s->t && memcmp(&h->staged->v[i], &s->v, sizeof(s->v)) == 0;
}

struct ranked {
    struct sample s;
    size_t rank; /* its place in line */
};

static int by_time(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;

    if (x->s.t != y->s.t)
        return x->s.t < y->s.t ? -1 : 1;
    return (x->rank > y->rank) - (x->rank < y->rank);
}

/* Sorted by time, the last of equals kept; NULL when there is no memory. */
static struct ranked *sorted(const struct sample *s, size_t *n)
{
    struct ranked *r = mem_alloc(*n * sizeof(*r));
    size_t kept = 0;

    if (!r)
        return NULL;
    for (size_t i = 0; i < *n; i++)
        r[i] = (struct ranked){ s[i], i };
    qsort(r, *n, sizeof(*r), by_time);
    for (size_t i = 0; i < *n; i++)
        if (i + 1 == *n || r[i].s.t != r[i + 1].s.t)
            r[kept++] = r[i];
    *n = kept;
    return r;
}

static int merge(struct head *h, struct epoch *ep, const struct sample *s, size_t n)
{
    const struct head_block *old = h->staged;
    struct ranked *run = sorted(s, &n);
    struct head_block *b = run ? new_block(ep, h->staged_n + n + FIRST_CAP) : NULL;
    size_t i = 0, j = 0, to = 0;

    if (!b) {
        mem_free(run);
        return ERR_NOMEM;
    }
    while (i < h->staged_n || j < n) {
        if (j == n || (i < h->staged_n && old->t[i] < run[j].s.t)) {
            b->t[to] = old->t[i];
            b->v[to++] = old->v[i++];
            continue;
        }
        if (i < h->staged_n && old->t[i] == run[j].s.t)
            i++;
        b->t[to] = run[j].s.t;
        b->v[to++] = run[j++].s.v;
    }
    mem_free(run);
    replace(h, b, to);
    return 0;
}

int head_stage(struct head *h, struct epoch *ep, const struct sample *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (h->staged_n && s[i].t <= h->staged->t[h->staged_n - 1]) {
            if (is_stored(h, &s[i]))
                continue;
            return merge(h, ep, s + i, n - i);
        }
        if (make_room(h, ep) < 0)
            return ERR_NOMEM;
        h->staged->t[h->staged_n] = s[i].t;
        h->staged->v[h->staged_n++] = s[i].v;
    }
    return 0;
}

int head_stage_deletion(struct head *h, struct epoch *ep, int64_t from_ms, int64_t to_ms)
{
    const struct head_block *old = h->staged;
    size_t from = h->staged_n ? head_find(old->t, h->staged_n, from_ms) : 0, to = from, n;
    struct head_block *b;

    while (to < h->staged_n && old->t[to] <= to_ms)
        to++;
    if (from == to)
        return 0;
    n = h->staged_n - (to - from);
    if (n == 0) {
        head_stage_empty(h);
        return 0;
    }
    b = new_block(ep, n + FIRST_CAP);
    if (!b)
        return ERR_NOMEM;
    memcpy(b->t, old->t, from * sizeof(*b->t));
    memcpy(b->v, old->v, from * sizeof(*b->v));
    memcpy(b->t + from, old->t + to, (n - from) * sizeof(*b->t));
    memcpy(b->v + from, old->v + to, (n - from) * sizeof(*b->v));
    replace(h, b, n);
    return 0;
}

void head_stage_empty(struct head *h)
{
    replace(h, NULL, 0);
}

void head_publish(struct head *h, struct epoch *ep)
{
    if (h->staged != h->block && h->block)
        epoch_retire(ep, &h->block->retired, h->block->born);
    h->block = h->staged;
    h->n = h->staged_n;
}

void head_discard(struct head *h)
{
    replace(h, h->block, h->n);
}
