/* head.c: chunks in slabs.
 *
 *     table ──► row of 1,024 series ──► series ──┬─► newest chunk (64) ──► older (32) ──► … ──► first (2)
 *                                                └─► newest late chunk ──► …
 *
 * Nearly every sample is newer than all before it and goes behind them. A late one, or one for a time that is there
 * already, goes to the series' late chunks as it comes; who reads sorts those in. So appending costs the same however
 * the samples are ordered, and nothing that a reader has seen changes: chunks only grow behind what was noted.
 *
 * Slabs are taken by head_reserve, before the transaction commits; after the commit nothing can fail. */
#include "store/head-internal.h"

#include "base/mem.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum {
    ROW = 1024,
    FIRST_CAP = 2,
    MOST_CAP = 64,
    CACHE_LINE = 64,
    /* So large that the heap takes it from the system and gives it back whole (base/mem.h); what is not touched yet costs
     * nothing. */
    SLAB = 8 << 20,
    SMALL = 2 << 20 /* at its beginning: of a server with little to do no more is ever used */
};

struct head_chunk {
    struct head_chunk *older;
    int64_t base;     /* time of its first sample; dt[i] is what comes on top, ms */
    uint32_t before;  /* samples in the older chunks */
    uint16_t n, cap;
    int32_t dt[];     /* cap of them, and then cap values */
};

struct head_series {
    struct head_chunk *newest, *newest_late;
};

struct slab {
    struct slab *next;
    size_t used;
    char bytes[SLAB] __attribute__((aligned(16)));
};

struct head {
    atomic_uint holders;
    struct head_series **rows;
    size_t nrows, rows_cap;
    struct slab *slab;   /* the one in use; full ones behind it */
    size_t full;         /* so many */
    struct slab *spare;  /* reserved, not in use yet: the committer's alone, without the lock */
    size_t nspare;
    size_t samples;
    int64_t first, last;
};

static size_t chunk_size(size_t cap)
{
    return sizeof(struct head_chunk) + cap * (sizeof(int32_t) + sizeof(double)); /* caps are even: doubles are aligned */
}

static double *values(const struct head_chunk *c)
{
    return (double *)(uintptr_t)(c->dt + c->cap);
}

static int64_t time_at(const struct head_chunk *c, size_t i)
{
    return c->base + c->dt[i];
}

struct head *head_new(void)
{
    struct head *h = mem_zalloc(sizeof(*h));

    if (!h)
        return NULL;
    atomic_init(&h->holders, 1);
    h->first = INT64_MAX;
    h->last = INT64_MIN;
    return h;
}

void head_hold(struct head *h)
{
    atomic_fetch_add_explicit(&h->holders, 1, memory_order_relaxed);
}

static void free_slabs(struct slab *s)
{
    while (s) {
        struct slab *next = s->next;

        mem_free(s);
        s = next;
    }
}

void head_release(struct head *h)
{
    if (!h || atomic_fetch_sub_explicit(&h->holders, 1, memory_order_acq_rel) > 1)
        return;
    for (size_t i = 0; i < h->nrows; i++)
        mem_free(h->rows[i]);
    mem_free(h->rows);
    free_slabs(h->slab);
    free_slabs(h->spare);
    mem_free(h);
}

/* --- appending --- */

int head_grow(struct head *h, uint32_t end)
{
    size_t rows = ((size_t)end + ROW - 1) / ROW;

    if (mem_grow(&h->rows, &h->rows_cap, rows, sizeof(*h->rows)) < 0)
        return ERR_NOMEM;
    for (; h->nrows < rows; h->nrows++) {
        h->rows[h->nrows] = mem_zalloc(ROW * sizeof(struct head_series));
        if (!h->rows[h->nrows])
            return ERR_NOMEM;
    }
    return 0;
}

static int reserve_slabs(struct head *h, size_t bytes)
{
    size_t room = h->nspare * SLAB + (h->slab ? SLAB - h->slab->used : 0);

    while (room < bytes) {
        struct slab *s = mem_alloc(sizeof(*s));

        if (!s)
            return ERR_NOMEM;
        mem_expect((char *)s + SMALL, sizeof(*s) - SMALL);
        s->used = 0;
        s->next = h->spare;
        h->spare = s;
        h->nspare++;
        room += SLAB;
    }
    return 0;
}

int head_reserve(struct head *h, size_t series, size_t samples)
{
    /* At worst every series begins a chunk of MOST_CAP, and every sample one of FIRST_CAP, too far from the one before;
     * and each slab may end with a chunk that did not fit. */
    size_t bytes = series * chunk_size(MOST_CAP) + samples * chunk_size(FIRST_CAP);

    bytes += (bytes / SLAB + 2) * chunk_size(MOST_CAP);
    return reserve_slabs(h, bytes);
}

static struct head_chunk *take(struct head *h, size_t cap)
{
    struct slab *s = h->slab;
    struct head_chunk *c;

    if (!s || SLAB - s->used < chunk_size(cap)) {
        s = h->spare;
        assert(s); /* head_reserve saw to it */
        h->spare = s->next;
        h->nspare--;
        h->full += h->slab != NULL;
        s->next = h->slab;
        h->slab = s;
    }
    c = (struct head_chunk *)(void *)(s->bytes + s->used);
    s->used += (chunk_size(cap) + 15) & ~(size_t)15;
    c->cap = (uint16_t)cap;
    c->n = 0;
    return c;
}

static void append(struct head *h, struct head_chunk **newest, const struct sample *s)
{
    struct head_chunk *c = *newest;
    int64_t dt = 0;
    bool far = c && (__builtin_sub_overflow(s->t, c->base, &dt) || dt != (int32_t)dt);

    if (!c || c->n == c->cap || far) {
        size_t cap = !c ? FIRST_CAP : c->n < c->cap ? FIRST_CAP : c->cap < MOST_CAP ? (size_t)c->cap * 2 : MOST_CAP;
        struct head_chunk *fresh = take(h, cap);

        fresh->older = c;
        fresh->before = c ? c->before + c->n : 0;
        fresh->base = s->t;
        *newest = c = fresh;
        dt = 0;
    }
    c->dt[c->n] = (int32_t)dt;
    values(c)[c->n] = s->v;
    c->n++;
}

void head_prefetch(const struct head *h, uint32_t id)
{
    const struct head_series *hs = &h->rows[id / ROW][id % ROW];

    __builtin_prefetch(hs, 1);
    if (hs->newest)
        __builtin_prefetch(hs->newest, 1);
}

void head_append(struct head *h, uint32_t id, const struct sample *s, size_t n)
{
    struct head_series *hs = &h->rows[id / ROW][id % ROW];

    for (size_t i = 0; i < n; i++) {
        const struct head_chunk *c = hs->newest;

        append(h, c && s[i].t <= time_at(c, (size_t)c->n - 1) ? &hs->newest_late : &hs->newest, &s[i]);
        if (s[i].t < h->first)
            h->first = s[i].t;
        if (s[i].t > h->last)
            h->last = s[i].t;
    }
    h->samples += n;
}

/* --- looking --- */

size_t head_samples(const struct head *h)
{
    return h->samples;
}

size_t head_bytes(const struct head *h)
{
    return h->full * SLAB + (h->slab ? h->slab->used : 0) + h->nrows * ROW * sizeof(struct head_series);
}

void head_range(const struct head *h, int64_t *first, int64_t *last)
{
    *first = h->first;
    *last = h->last;
}

uint32_t head_end(const struct head *h)
{
    return (uint32_t)(h->nrows * ROW);
}

/* NULL: nothing of it. */
static const struct head_series *series_at(const struct head *h, uint32_t id)
{
    const struct head_series *hs = id / ROW < h->nrows ? &h->rows[id / ROW][id % ROW] : NULL;

    return hs && hs->newest ? hs : NULL;
}

bool head_look(const struct head *h, uint32_t id, struct head_view *v)
{
    const struct head_series *hs = series_at(h, id);

    if (!hs)
        return false;
    *v = (struct head_view){ hs->newest, hs->newest_late, hs->newest->before + hs->newest->n, 0 };
    if (hs->newest_late)
        v->n_late = hs->newest_late->before + hs->newest_late->n;
    return true;
}

static bool begins_by(const struct head_series *hs, int64_t to_ms)
{
    for (const struct head_chunk *c = hs->newest; c; c = c->older)
        if (c->base <= to_ms)
            return true;
    for (const struct head_chunk *c = hs->newest_late; c; c = c->older)
        for (size_t i = 0; i < c->n; i++)
            if (time_at(c, i) <= to_ms)
                return true;
    return false;
}

/* What holds for all of the head needs no look at the series' chunks. The newest chunk has the last sample: late ones
 * came late. */
bool head_reaches(const struct head *h, uint32_t id, int64_t from_ms, int64_t to_ms)
{
    const struct head_series *hs = series_at(h, id);

    if (!hs || h->first > to_ms || h->last < from_ms)
        return false;
    if (h->first < from_ms && time_at(hs->newest, (size_t)hs->newest->n - 1) < from_ms)
        return false;
    return h->last <= to_ms || begins_by(hs, to_ms);
}

/* How many samples of a chunk count, `end` being how many there are up to its end: the next chunk's `before`, or the
 * view's n. The chunk's own n is the committer's, who may be moving it. */
static size_t length(const struct head_chunk *c, uint32_t end)
{
    return end - c->before;
}

void head_view_range(const struct head_view *v, int64_t *first, int64_t *last)
{
    uint32_t end = v->n_late;
    const struct head_chunk *c = v->newest;

    *last = time_at(c, length(c, v->n) - 1);
    while (c->older)
        c = c->older;
    *first = c->base;
    for (c = v->newest_late; c; end = c->before, c = c->older)
        for (size_t i = 0; i < length(c, end); i++) {
            int64_t t = time_at(c, i);

            *first = t < *first ? t : *first;
            *last = t > *last ? t : *last;
        }
}

void head_view_prefetch(const struct head_view *view)
{
    const char *c = (const char *)view->newest;

    for (size_t line = 0; line < sizeof(struct head_chunk) + MOST_CAP * sizeof(int32_t) && view->n; line += CACHE_LINE)
        __builtin_prefetch(c + line);
}

static void copy_chunk(const struct head_chunk *c, size_t n, int64_t *restrict t, double *restrict v)
{
    memcpy(v, values(c), n * sizeof(*v));
    for (size_t i = 0; i < n; i++)
        t[i] = time_at(c, i);
}

/* Each chunk that has samples in the range goes where it would stand if all did, behind room for the late ones; *from and
 * *to are what lies in the range. */
static void read_rising(const struct head_view *view, int64_t from_ms, int64_t to_ms, int64_t *t, double *v,
                        size_t *from, size_t *to)
{
    uint32_t end = view->n;

    *from = *to = (size_t)view->n_late + view->n;
    for (const struct head_chunk *c = view->newest; c; end = c->before, c = c->older) {
        *from = (size_t)view->n_late + c->before;
        if (c->base > to_ms) {
            *to = *from;
            continue;
        }
        copy_chunk(c, length(c, end), t + *from, v + *from);
        if (c->base <= from_ms)
            break;
    }
    *from += sample_first_from(t + *from, *to - *from, from_ms);
    if (to_ms < INT64_MAX)
        *to = *from + sample_first_from(t + *from, *to - *from, to_ms + 1);
}

struct late {
    int64_t t;
    double v;
    uint32_t rank; /* its place in line */
};

static int by_time(const void *a, const void *b)
{
    const struct late *x = a, *y = b;

    if (x->t != y->t)
        return x->t < y->t ? -1 : 1;
    return (x->rank > y->rank) - (x->rank < y->rank);
}

/* The late samples in the range, sorted, the last of equals kept. */
static size_t collect_late(const struct head_view *view, int64_t from_ms, int64_t to_ms, struct late *out)
{
    uint32_t end = view->n_late;
    size_t n = 0, kept = 0;

    for (const struct head_chunk *c = view->newest_late; c; end = c->before, c = c->older)
        for (size_t i = 0; i < length(c, end); i++) {
            int64_t at = time_at(c, i);

            if (at >= from_ms && at <= to_ms)
                out[n++] = (struct late){ at, values(c)[i], c->before + (uint32_t)i };
        }
    if (n > 1)
        qsort(out, n, sizeof(*out), by_time);
    for (size_t i = 0; i < n; i++)
        if (i + 1 == n || out[i].t != out[i + 1].t)
            out[kept++] = out[i];
    return kept;
}

int head_read(const struct head_view *view, int64_t from_ms, int64_t to_ms, int64_t *t, double *v, size_t *first,
              size_t *n)
{
    size_t at, end, late, to = 0;
    struct late *l;

    read_rising(view, from_ms, to_ms, t, v, &at, &end);
    *first = at;
    *n = end - at;
    if (view->n_late == 0)
        return 0;
    l = mem_alloc(view->n_late * sizeof(*l));
    if (!l)
        return ERR_NOMEM;
    late = collect_late(view, from_ms, to_ms, l);
    for (size_t i = 0; at < end || i < late; to++) { /* to <= at: what is written is read already */
        if (i == late || (at < end && t[at] < l[i].t)) {
            t[to] = t[at];
            v[to] = v[at++];
            continue;
        }
        at += at < end && t[at] == l[i].t;
        t[to] = l[i].t;
        v[to] = l[i++].v;
    }
    mem_free(l);
    *first = 0;
    *n = to;
    return 0;
}
