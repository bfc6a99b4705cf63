/* event_seal.c: a frozen head of rows is written as blocks.
 *
 * The rows are sorted by time and cut into slices: at the ends of partitions, and so that a slice has at most
 * EVENT_SOURCE_ROWS rows and SLICE_BYTES of chunks; those of one partition are about as large. A slice becomes a block. A head
 * that is frozen never changes, so its slices are the same at each try, and one that failed goes on where it was. */
#include "store/store-internal.h"

#include "base/mem.h"
#include "store/event_blocks-internal.h"

#include <stdlib.h>

/* Chunks are smaller than what is in them: texts that repeat are there once. */
enum { SLICE_BYTES = EVENT_BLOCK_BYTES / 4 };

struct place {
    int64_t ns;
    uint32_t chunk, row;
};

struct sealing {
    struct event_store *es;
    const struct event_head *head;
    struct place *places; /* of all rows, by time */
    size_t n;
};

static int by_time(const void *a, const void *b)
{
    const struct place *x = a, *y = b;

    if (x->ns != y->ns)
        return x->ns < y->ns ? -1 : 1;
    if (x->chunk != y->chunk)
        return x->chunk < y->chunk ? -1 : 1;
    return x->row < y->row ? -1 : x->row > y->row;
}

static int add_places(struct sealing *s, uint32_t chunk, struct err *e)
{
    struct arena a = ARENA_INIT(0); /* bounded by the chunk */
    struct event_source *source = event_chunk_open(s->head->v[chunk]->bytes, &a, e);
    const int64_t *ns;
    int rc = source ? source->ops->times(source, &ns, e) : e->code;

    for (size_t i = 0; rc == 0 && i < source->n; i++)
        s->places[s->n++] = (struct place){ ns[i], chunk, (uint32_t)i };
    arena_free(&a);
    return rc;
}

static bool is_sorted(const struct sealing *s)
{
    for (size_t i = 1; i < s->n; i++)
        if (s->places[i].ns < s->places[i - 1].ns)
            return false;
    return true;
}

static int find_places(struct sealing *s, struct err *e)
{
    int rc = 0;

    s->places = mem_alloc(s->head->rows * sizeof(*s->places));
    if (!s->places)
        return err_set(e, ERR_NOMEM, "no memory to seal %llu rows", (unsigned long long)s->head->rows);
    for (size_t i = 0; rc == 0 && i < s->head->n; i++)
        rc = add_places(s, (uint32_t)i, e);
    if (rc == 0 && !is_sorted(s))
        qsort(s->places, s->n, sizeof(*s->places), by_time);
    return rc;
}

/* --- one slice --- */

/* Its rows, chunk by chunk. */
struct slice {
    struct arena a; /* bounded by the chunks */
    struct event_source **sources;
    const uint32_t **rows;
    size_t *n, nsources;
};

/* How many rows of each chunk there are in places[0..n): their lists stand one behind the other. */
static int open_chunks(struct slice *l, const struct event_head *h, const uint32_t *counts, uint32_t *rows, struct err *e)
{
    for (size_t c = 0; c < h->n; c++) {
        struct event_source *s;

        if (counts[c] == 0)
            continue;
        s = event_chunk_open(h->v[c]->bytes, &l->a, e);
        if (!s)
            return e->code;
        l->sources[l->nsources] = s;
        l->rows[l->nsources] = rows;
        l->n[l->nsources++] = counts[c];
        rows += counts[c];
    }
    return 0;
}

/* By chunk, and in it by time. */
static void put_rows(const struct place *places, size_t n, const struct event_head *h, const uint32_t *counts, uint32_t *rows,
                     uint32_t *ends)
{
    uint32_t end = 0;

    for (size_t c = 0; c < h->n; c++) {
        ends[c] = end;
        end += counts[c];
    }
    for (size_t i = 0; i < n; i++)
        rows[ends[places[i].chunk]++] = places[i].row;
}

static int slice_open(struct slice *l, const struct event_head *h, const struct place *places, size_t n, struct err *e)
{
    uint32_t *counts = arena_array(&l->a, h->n, sizeof(*counts)), *ends = arena_array(&l->a, h->n, sizeof(*ends));
    uint32_t *rows = arena_alloc(&l->a, n * sizeof(*rows));

    l->sources = arena_array(&l->a, h->n, sizeof(struct event_source *));
    l->rows = arena_array(&l->a, h->n, sizeof(const uint32_t *));
    l->n = arena_array(&l->a, h->n, sizeof(*l->n));
    if (!counts || !ends || !rows || !l->sources || !l->rows || !l->n)
        return err_set(e, ERR_NOMEM, "no memory to seal %zu rows", n);
    for (size_t i = 0; i < n; i++)
        counts[places[i].chunk]++;
    put_rows(places, n, h, counts, rows, ends);
    return open_chunks(l, h, counts, rows, e);
}

static int write_block(struct sealing *s, size_t first, size_t n, struct err *e)
{
    struct event_sealed *done = &s->es->sealed;
    struct slice l = { .a = ARENA_INIT(0) };
    int64_t partition = blocks_partition(s->es->blocks, s->places[first].ns);
    int rc = mem_grow(&done->v, &done->cap, done->n + 1, sizeof(*done->v));

    if (rc < 0)
        err_set(e, rc, "no memory for a list of blocks");
    else
        rc = slice_open(&l, s->head, s->places + first, n, e);
    if (rc == 0) {
        const struct event_picks picks = { l.sources, l.rows, l.n, l.nsources };

        rc = event_block_write(s->es->blocks, partition, &picks, s->head->last, NULL, 0, &done->v[done->n], e);
    }
    arena_free(&l.a);
    if (rc == 0) {
        done->n++;
        done->rows = first + n;
    }
    return rc;
}

static int write_slice(struct sealing *s, size_t first, size_t n, struct err *e)
{
    int rc = ERR_LIMIT;

    if (first + n <= s->es->sealed.rows)
        return 0; /* by a try before */
    if (first >= s->es->sealed.rows)
        rc = write_block(s, first, n, e);
    if (rc == ERR_LIMIT && n > 1) { /* too much for one block: half of it each */
        rc = write_slice(s, first, n / 2, e);
        if (rc == 0)
            rc = write_slice(s, first + n / 2, n - n / 2, e);
    }
    return rc;
}

/* --- all of them --- */

/* One past the last place of the partition that `first` is in. */
static size_t partition_end(const struct sealing *s, size_t first)
{
    int64_t partition = blocks_partition(s->es->blocks, s->places[first].ns);
    size_t end = first + 1;

    while (end < s->n && blocks_partition(s->es->blocks, s->places[end].ns) == partition)
        end++;
    return end;
}

static uint64_t bytes_of(const struct sealing *s, size_t first, size_t end)
{
    uint64_t bytes = 0;

    for (size_t i = first; i < end; i++) {
        const struct event_chunk *c = s->head->v[s->places[i].chunk];

        bytes += c->bytes.n / c->head.rows;
    }
    return bytes;
}

static int write_share(struct sealing *s, size_t first, size_t end, struct err *e)
{
    size_t n = end - first, slices = 1 + (n - 1) / EVENT_SOURCE_ROWS, by_bytes = bytes_of(s, first, end) / SLICE_BYTES;
    size_t each;
    int rc = 0;

    slices = by_bytes > slices ? by_bytes : slices;
    each = 1 + (n - 1) / slices;
    for (size_t at = first; rc == 0 && at < end; at += each)
        rc = write_slice(s, at, end - at < each ? end - at : each, e);
    return rc;
}

int event_seal(struct store *st, enum event_kind kind, struct err *e)
{
    struct event_store *es = &st->events[kind];
    struct sealing s = { .es = es, .head = es->frozen };
    struct err why = ERR_INIT;
    size_t end;
    int rc = find_places(&s, &why);

    pthread_mutex_lock(&st->writing);
    if (rc == 0)
        rc = blocks_disown(es->blocks, &why);
    for (size_t first = 0; rc == 0 && first < s.n; first = end) {
        end = partition_end(&s, first);
        rc = write_share(&s, first, end, &why);
    }
    pthread_mutex_unlock(&st->writing);
    mem_free(s.places);
    if (rc < 0 && e)
        *e = why;
    return rc;
}
