/* series_delete.c: taking samples out.
 *
 * In one transaction for some series at a time: chunks in the range go or are written anew without it, and a record in
 * the journal says so, lest a replay of earlier records bring the samples back. Series left without samples are
 * forgotten by retention.c. */
#include "store/series.h"

#include "base/mem.h"
#include "store/chunk-internal.h"
#include "store/journal-internal.h"
#include "store/store-internal.h"

#include <stdlib.h>

enum { SERIES_STEP = 64, BODY_MAX = 1 << 20 };

struct deletion {
    const struct series_query *q;
    uint64_t *ids; /* in `a`, rising */
    size_t n, at;
    struct arena *a;
};

struct scratch {
    struct chunk_row *rows;
    size_t cap;
    struct buf body;
    int64_t t[CHUNK_SAMPLES];
    double v[CHUNK_SAMPLES];
};

static int by_id(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

static int find(struct store *st, void *arg, struct err *e)
{
    struct deletion *d = arg;
    struct series **found;

    if (index_select(&st->index, d->q->matchers, d->q->n, d->q->from_ms, d->q->to_ms, d->a, &found, &d->n) == 0)
        d->ids = arena_array(d->a, d->n, sizeof(*d->ids));
    if (!d->ids)
        return err_set(e, ERR_NOMEM, "no memory for the list of series");
    for (size_t i = 0; i < d->n; i++)
        d->ids[i] = found[i]->id;
    if (d->n > 1)
        qsort(d->ids, d->n, sizeof(*d->ids), by_id);
    return 0;
}

/* Writes the chunk without the range, or removes it. */
static int cut_chunk(struct store *st, const struct chunk_row *row, const struct series_query *q, struct scratch *x,
                     struct err *e)
{
    size_t n, kept = 0;
    int rc;

    buf_reset(&x->body);
    rc = db_chunk_body(st->db, row->id, &x->body, e);
    if (rc == 0)
        rc = chunk_decode(buf_view(&x->body), x->t, x->v, &n, e);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < n; i++) {
        if (x->t[i] >= q->from_ms && x->t[i] <= q->to_ms)
            continue;
        x->t[kept] = x->t[i];
        x->v[kept++] = x->v[i];
    }
    if (kept == n)
        return 0;
    if (kept == 0)
        return db_chunk_remove(st->db, row->id, e);
    buf_reset(&x->body);
    rc = chunk_encode(x->t, x->v, kept, &x->body, e);
    return rc < 0 ? rc : db_chunk_replace(st->db, row->id, x->t[0], x->t[kept - 1], buf_view(&x->body), e);
}

static int cut_series(struct store *st, struct series *s, const struct series_query *q, struct scratch *x,
                      struct err *e)
{
    size_t n;
    int rc = db_chunks_of(st->db, s->id, q->from_ms, q->to_ms, &x->rows, &x->cap, &n, e);

    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = cut_chunk(st, &x->rows[i], q, x, e);
    if (rc == 0 && (group_touch(&st->group, s) < 0 ||
                    head_stage_deletion(&s->head, &st->epoch, q->from_ms, q->to_ms) < 0))
        rc = err_set(e, ERR_NOMEM, "no memory to delete samples");
    return rc;
}

static int write_record(struct store *st, const struct deletion *d, size_t end, struct err *e)
{
    struct group *g = &st->group;
    int rc;

    buf_reset(&g->record);
    journal_deletion(&g->record, d->ids + d->at, end - d->at, d->q->from_ms, d->q->to_ms);
    if (buf_failed(&g->record))
        return err_set(e, ERR_NOMEM, "no memory for the journal record");
    rc = db_journal_add(st->db, st->last_record + 1, buf_view(&g->record), e);
    if (rc == 0) {
        st->last_record++;
        g->journal_bytes += g->record.n;
    }
    return rc;
}

/* The series from d->at to before `end`. */
static int cut(struct store *st, struct deletion *d, size_t end, struct scratch *x, struct err *e)
{
    int rc = db_begin(st->db, e);

    for (size_t i = d->at; rc == 0 && i < end; i++) {
        struct series *s = index_by_id(&st->index, d->ids[i]);

        rc = s ? cut_series(st, s, d->q, x, e) : 0;
    }
    if (rc == 0)
        rc = write_record(st, d, end, e);
    if (rc == 0)
        rc = db_commit(st->db, e);
    else
        db_rollback(st->db);
    return rc;
}

static int step(struct store *st, void *arg, struct err *e)
{
    struct deletion *d = arg;
    size_t end = d->n - d->at < SERIES_STEP ? d->n : d->at + SERIES_STEP;
    struct scratch *x = mem_zalloc(sizeof(*x));
    int rc;

    if (!x)
        return err_set(e, ERR_NOMEM, "no memory to delete samples");
    x->body = (struct buf)BUF_INIT(BODY_MAX);
    rc = cut(st, d, end, x, e);
    mem_free(x->rows);
    buf_free(&x->body);
    mem_free(x);
    if (rc < 0) {
        group_discard(st);
        return rc;
    }
    group_publish(st);
    for (; rc == 0 && d->at < end; d->at++)
        rc = series_refresh_sealed(st, d->ids[d->at], e);
    return rc;
}

int series_delete(struct store *st, const struct series_query *q, struct err *e)
{
    struct arena a = ARENA_INIT(0); /* bounded by the number of series */
    struct deletion d = { .q = q, .a = &a };
    int rc = q->from_ms > q->to_ms ? 0 : committer_run(st, find, &d, e);

    while (rc == 0 && d.at < d.n)
        rc = committer_run(st, step, &d, e);
    arena_free(&a);
    return rc;
}
