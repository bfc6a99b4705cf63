/* series.c: a snapshot of the series that match, read piece by piece.
 *
 * Opening takes the store's lock for a moment: it fixes what SQLite shows, finds the series and notes for each the
 * head's block and how much of it counts. After that it needs no lock (epoch-internal.h keeps the memory).
 *
 * A series is made of pieces: its chunks and the head's slice. Where pieces overlap in time they form a cluster, which
 * is merged: the head wins over chunks, a later chunk over an earlier one. Samples in order make clusters of one, which
 * are handed out as they are:
 *
 *     chunks   |---1---|  |---2---|
 *     late                   |-4-|        |--5--|
 *     head                                          |~~~~
 *     clusters |---1---|  |--2+4--|       |--5--|   |~~~~                                                          */
#include "store/series.h"

#include "base/mem.h"
#include "store/chunk-internal.h"
#include "store/store-internal.h"

#include <stdlib.h>

enum { BODY_MAX = 1 << 20 };

/* A series as it was when the set was opened. */
struct entry {
    const struct series *series;
    const struct head_block *block;
    size_t from, to; /* the slice of the head in the range */
    bool sealed;     /* chunks may have more */
};

/* rank: who wins; the chunk's id, or HEAD_RANK. */
#define HEAD_RANK UINT64_MAX
struct piece {
    int64_t first, last;
    uint64_t rank;
};

struct ranked_sample {
    int64_t t;
    double v;
    uint64_t rank;
};

struct series_set {
    struct store *st;
    struct arena *a;
    int64_t from_ms, to_ms;
    struct epoch_reader reader;
    bool entered;
    struct db *db; /* NULL: nothing is sealed */
    struct entry *entries;
    size_t n, next;
    const struct entry *entry; /* the current one */

    /* Of the current series. */
    struct piece *pieces;
    size_t npieces, pieces_cap, at;
    bool listed, ready; /* pieces are there; `out` is read ahead */
    struct sample_columns out;

    /* Where pieces are decoded and merged. */
    struct chunk_row *rows;
    size_t rows_cap;
    struct buf body;
    int64_t *t;
    double *v;
    size_t t_cap, v_cap;
    struct ranked_sample *mix;
    size_t nmix, mix_cap;
};

static void release(void *arg)
{
    struct series_set *set = arg;

    if (set->entered)
        epoch_leave(&set->st->epoch, &set->reader);
    db_pool_give(set->st->readers, set->db);
    mem_free(set->pieces);
    mem_free(set->rows);
    buf_free(&set->body);
    mem_free(set->t);
    mem_free(set->v);
    mem_free(set->mix);
}

/* An arena says no for two reasons. */
static int no_room(const struct arena *a, size_t need, struct err *e)
{
    if (a->max && (need > a->max || a->used > a->max - need))
        return err_set(e, ERR_LIMIT, "the query needs more than the %zu bytes of memory it may use", a->max);
    return err_set(e, ERR_NOMEM, "no memory for the query");
}

/* The lock for reading, and a connection with it when there is anything sealed to read. */
static int lock_and_snapshot(struct series_set *set, struct err *e)
{
    struct store *st = set->st;
    int rc;

    pthread_rwlock_rdlock(&st->lock);
    if (st->index.sealed == 0)
        return 0;
    pthread_rwlock_unlock(&st->lock); /* opening a file takes longer than the committer should wait */
    set->db = db_pool_take(st->readers, e);
    if (!set->db)
        return e && e->code ? e->code : ERR_IO;
    pthread_rwlock_rdlock(&st->lock);
    rc = db_snapshot(set->db, e);
    if (rc < 0)
        pthread_rwlock_unlock(&st->lock);
    return rc;
}

static struct entry entry_of(const struct series *s, int64_t from_ms, int64_t to_ms)
{
    struct entry en = { s, s->head.block, 0, 0, s->sealed_first <= to_ms && s->sealed_last >= from_ms };

    if (s->head.n) {
        en.from = head_find(en.block->t, s->head.n, from_ms);
        en.to = to_ms == INT64_MAX ? s->head.n : head_find(en.block->t, s->head.n, to_ms + 1);
    }
    return en;
}

/* With the lock held. */
static int find(struct series_set *set, const struct series_query *q, struct err *e)
{
    struct series **found;
    int rc = index_select(&set->st->index, q->matchers, q->n, q->from_ms, q->to_ms, set->a, &found, &set->n);

    if (rc == 0)
        set->entries = arena_array(set->a, set->n, sizeof(*set->entries));
    if (rc < 0 || !set->entries) {
        set->n = 0;
        return no_room(set->a, set->st->index.n * sizeof(*set->entries), e);
    }
    for (size_t i = 0; i < set->n; i++)
        set->entries[i] = entry_of(found[i], q->from_ms, q->to_ms);
    epoch_enter(&set->st->epoch, &set->reader);
    set->entered = true;
    return 0;
}

static int by_labels(const void *a, const void *b)
{
    return series_cmp(((const struct entry *)a)->series, ((const struct entry *)b)->series);
}

struct series_set *series_open(struct store *st, const struct series_query *q, struct arena *a, struct err *e)
{
    struct series_set *set = ARENA_NEW(a, struct series_set);
    int rc;

    if (!set || arena_on_free(a, release, set) < 0) {
        no_room(a, sizeof(*set), e);
        return NULL;
    }
    set->st = st;
    set->a = a;
    set->from_ms = q->from_ms;
    set->to_ms = q->to_ms;
    set->body = (struct buf)BUF_INIT(BODY_MAX);
    if (q->from_ms > q->to_ms)
        return set;
    rc = lock_and_snapshot(set, e);
    if (rc < 0)
        return NULL;
    rc = find(set, q, e);
    pthread_rwlock_unlock(&st->lock);
    if (rc < 0)
        return NULL;
    if (set->n > 1)
        qsort(set->entries, set->n, sizeof(*set->entries), by_labels);
    return set;
}

/* --- pieces --- */

static int add_piece(struct series_set *set, struct piece p, struct err *e)
{
    size_t i = set->npieces;

    if (mem_grow(&set->pieces, &set->pieces_cap, set->npieces + 1, sizeof(*set->pieces)) < 0)
        return err_set(e, ERR_NOMEM, "no memory for a list of chunks");
    for (; i && set->pieces[i - 1].first > p.first; i--)
        set->pieces[i] = set->pieces[i - 1];
    set->pieces[i] = p;
    set->npieces++;
    return 0;
}

static int list_pieces(struct series_set *set, struct err *e)
{
    const struct entry *en = set->entry;
    size_t n = 0;
    int rc = 0;

    set->npieces = set->at = 0;
    if (en->sealed && set->db)
        rc = db_chunks_of(set->db, en->series->id, set->from_ms, set->to_ms, &set->rows, &set->rows_cap, &n, e);
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = add_piece(set, (struct piece){ set->rows[i].first, set->rows[i].last, set->rows[i].id }, e);
    if (rc == 0 && en->from < en->to)
        rc = add_piece(set, (struct piece){ en->block->t[en->from], en->block->t[en->to - 1], HEAD_RANK }, e);
    set->listed = rc == 0;
    return rc;
}

/* The samples of one piece that are in the range. */
static int read_piece(struct series_set *set, const struct piece *p, struct sample_columns *out, struct err *e)
{
    const struct entry *en = set->entry;
    size_t n, from, to;
    int rc;

    *out = (struct sample_columns){ SAMPLE_FLOAT, NULL, NULL, 0 };
    if (p->rank == HEAD_RANK) {
        *out = (struct sample_columns){ SAMPLE_FLOAT, en->block->t + en->from, en->block->v + en->from,
                                        en->to - en->from };
        return 0;
    }
    if (mem_grow(&set->t, &set->t_cap, CHUNK_SAMPLES, sizeof(*set->t)) < 0 ||
        mem_grow(&set->v, &set->v_cap, CHUNK_SAMPLES, sizeof(*set->v)) < 0)
        return err_set(e, ERR_NOMEM, "no memory to decode a chunk");
    buf_reset(&set->body);
    rc = db_chunk_body(set->db, p->rank, &set->body, e);
    if (rc == 0)
        rc = chunk_decode(buf_view(&set->body), set->t, set->v, &n, e);
    if (rc < 0) {
        err_wrap(e, "chunk %llu of series %llu", (unsigned long long)p->rank, (unsigned long long)en->series->id);
        return rc;
    }
    from = head_find(set->t, n, set->from_ms);
    to = set->to_ms == INT64_MAX ? n : head_find(set->t, n, set->to_ms + 1);
    *out = (struct sample_columns){ SAMPLE_FLOAT, set->t + from, set->v + from, to - from };
    return 0;
}

static int mix_in(struct series_set *set, const struct sample_columns *c, uint64_t rank, struct err *e)
{
    if (mem_grow(&set->mix, &set->mix_cap, set->nmix + c->n, sizeof(*set->mix)) < 0)
        return err_set(e, ERR_NOMEM, "no memory to merge chunks");
    for (size_t i = 0; i < c->n; i++)
        set->mix[set->nmix++] = (struct ranked_sample){ c->t[i], c->v[i], rank };
    return 0;
}

static int by_time(const void *a, const void *b)
{
    const struct ranked_sample *x = a, *y = b;

    if (x->t != y->t)
        return x->t < y->t ? -1 : 1;
    return (x->rank > y->rank) - (x->rank < y->rank);
}

/* Sorts what is mixed and keeps the highest rank of each time. */
static int settle_mix(struct series_set *set, struct sample_columns *out, struct err *e)
{
    size_t n = 0;

    if (mem_grow(&set->t, &set->t_cap, set->nmix, sizeof(*set->t)) < 0 ||
        mem_grow(&set->v, &set->v_cap, set->nmix, sizeof(*set->v)) < 0)
        return err_set(e, ERR_NOMEM, "no memory to merge chunks");
    if (set->nmix > 1)
        qsort(set->mix, set->nmix, sizeof(*set->mix), by_time);
    for (size_t i = 0; i < set->nmix; i++) {
        if (i + 1 < set->nmix && set->mix[i + 1].t == set->mix[i].t)
            continue;
        set->t[n] = set->mix[i].t;
        set->v[n++] = set->mix[i].v;
    }
    *out = (struct sample_columns){ SAMPLE_FLOAT, set->t, set->v, n };
    return 0;
}

/* Reads the next cluster, which may turn out empty: its chunks can have a gap where the range is. */
static int read_cluster(struct series_set *set, struct sample_columns *out, struct err *e)
{
    size_t from = set->at, to = from + 1;
    int64_t last = set->pieces[from].last;
    int rc = 0;

    for (; to < set->npieces && set->pieces[to].first <= last; to++)
        if (set->pieces[to].last > last)
            last = set->pieces[to].last;
    set->at = to;
    if (to == from + 1)
        return read_piece(set, &set->pieces[from], out, e);
    set->nmix = 0;
    for (size_t i = from; rc == 0 && i < to; i++) {
        rc = read_piece(set, &set->pieces[i], out, e);
        if (rc == 0)
            rc = mix_in(set, out, set->pieces[i].rank, e);
    }
    return rc < 0 ? rc : settle_mix(set, out, e);
}

static int next_piece(struct series_set *set, struct sample_columns *out, struct err *e)
{
    int rc = set->listed ? 0 : list_pieces(set, e);

    while (rc == 0 && set->at < set->npieces) {
        rc = read_cluster(set, out, e);
        if (rc == 0 && out->n)
            return 1;
    }
    return rc;
}

int series_next(struct series_set *set, struct labels *labels, struct err *e)
{
    while (set->next < set->n) {
        int rc = 1;

        set->entry = &set->entries[set->next++];
        set->listed = set->ready = false;
        if (set->entry->from == set->entry->to) { /* only the chunks can tell whether there is anything */
            rc = next_piece(set, &set->out, e);
            if (rc < 0)
                return rc;
            set->ready = rc == 1;
        }
        if (rc == 0)
            continue;
        *labels = series_labels(set->entry->series, set->a);
        return labels->v ? 1 : no_room(set->a, set->entry->series->n * sizeof(*labels->v), e);
    }
    set->entry = NULL;
    return 0;
}

int series_samples(struct series_set *set, struct sample_columns *out, struct err *e)
{
    if (!set->entry)
        return 0;
    if (set->ready) {
        set->ready = false;
        *out = set->out;
        return 1;
    }
    return next_piece(set, out, e);
}

size_t series_count(const struct series_set *set)
{
    return set->n - set->next;
}

/* One SQLite connection is one snapshot: a set of this engine is not divided. */
int series_split(struct series_set *set, size_t n, struct arena *const *arenas, struct series_set **parts, size_t *nparts,
                 struct err *e)
{
    (void)n;
    (void)arenas;
    (void)e;
    parts[0] = set;
    *nparts = 1;
    return 0;
}
