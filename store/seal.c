/* seal.c: from the head and the journal into chunks.
 *
 * A sample is written twice: at once in a journal record, later in a chunk of its series. A pass starts when the head,
 * the journal or its oldest record has grown past a bound. It notes the last record, then seals all series, some in
 * each transaction, between groups; then it drops the records up to the one noted, which chunks now cover.
 *
 * After a kill in the middle the remaining records are replayed into the head, and some of their samples are in chunks
 * too. That is no harm: the head always wins over chunks, a later chunk over an earlier one, and what the replay brings
 * is the newest value of each time. */
#include "store/store-internal.h"

#include "base/clock.h"
#include "base/log.h"
#include "store/chunk-internal.h"

enum {
    SERIES_STEP = 256,  /* series sealed in one transaction */
    SAMPLES_STEP = 200000,
    RECORDS_STEP = 1000,
    RETRY_MS = 30000,
    BODY_MAX = 1 << 20
};

static int write_chunks(struct store *st, const struct series *s, struct buf *body, struct err *e)
{
    const struct head_block *b = s->head.block;
    int rc = 0;

    for (size_t at = 0; rc == 0 && at < s->head.n; at += CHUNK_SAMPLES) {
        size_t n = s->head.n - at < CHUNK_SAMPLES ? s->head.n - at : CHUNK_SAMPLES;

        buf_reset(body);
        rc = chunk_encode(b->t + at, b->v + at, n, body, e);
        if (rc == 0)
            rc = db_chunk_add(st->db, s->id, b->t[at], b->t[at + n - 1], buf_view(body), e);
    }
    return rc;
}

static int write_list(struct store *st, struct series *const *list, size_t n, struct err *e)
{
    struct buf body = BUF_INIT(BODY_MAX);
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < n; i++) {
        if (list[i]->head.n == 0)
            continue;
        rc = write_chunks(st, list[i], &body, e);
        if (rc == 0 && group_touch(&st->group, list[i]) < 0)
            rc = err_set(e, ERR_NOMEM, "no memory to seal a series");
    }
    buf_free(&body);
    return rc;
}

/* The new bounds first, then the heads: a reader in between looks into both. */
static void publish(struct store *st)
{
    struct group *g = &st->group;

    pthread_rwlock_wrlock(&st->lock);
    for (size_t i = 0; i < g->ntouched; i++) {
        struct series *s = g->touched[i];
        int64_t first = s->head.block->t[0], last = s->head.block->t[s->head.n - 1];

        series_set_sealed(&st->index, s, first < s->sealed_first ? first : s->sealed_first,
                          last > s->sealed_last ? last : s->sealed_last);
        head_stage_empty(&s->head);
    }
    pthread_rwlock_unlock(&st->lock);
    group_publish(st);
}

int seal_series(struct store *st, struct series *const *list, size_t n, struct err *e)
{
    int rc = db_begin(st->db, e);

    if (rc == 0)
        rc = write_list(st, list, n, e);
    if (rc == 0)
        rc = db_commit(st->db, e);
    else
        db_rollback(st->db);
    if (rc == 0)
        publish(st);
    else
        group_discard(st);
    return rc;
}

int series_refresh_sealed(struct store *st, uint64_t id, struct err *e)
{
    struct series *s = index_by_id(&st->index, id);
    int64_t first, last;
    int rc = s ? db_chunk_range(st->db, id, &first, &last, e) : 0;

    if (!s || rc < 0)
        return rc;
    pthread_rwlock_wrlock(&st->lock);
    series_set_sealed(&st->index, s, first, last);
    pthread_rwlock_unlock(&st->lock);
    return 0;
}

static bool due(const struct store *st, int64_t now_ms)
{
    const struct sealing *s = &st->sealing;

    return s->oldest_ms && (s->samples >= st->tuning.seal_samples || s->journal_bytes >= st->tuning.seal_bytes ||
                            now_ms - s->oldest_ms >= st->tuning.seal_ms);
}

static void start(struct store *st)
{
    struct sealing *s = &st->sealing;

    s->active = true;
    s->upto = st->last_record;
    s->covered_bytes = s->journal_bytes;
    s->next = 0;
    s->oldest_ms = clock_mono_ns() / 1000000; /* of what comes from now on */
}

/* Seals the next series; 1 when there are more, 0 when all are done. */
static int seal_next(struct store *st, struct err *e)
{
    struct sealing *s = &st->sealing;
    size_t at = index_lower_bound(&st->index, s->next), n = 0, samples = 0;
    int rc;

    while (at + n < st->index.n && n < SERIES_STEP && samples < SAMPLES_STEP)
        samples += st->index.all[at + n++]->head.n;
    if (n == 0)
        return 0;
    rc = seal_series(st, st->index.all + at, n, e);
    if (rc < 0)
        return rc;
    s->next = st->index.all[at + n - 1]->id + 1;
    return 1;
}

/* Drops the next records; 1 when there are more. */
static int drop_next(struct store *st, struct err *e)
{
    struct sealing *s = &st->sealing;
    size_t removed;
    int rc = db_journal_drop(st->db, s->upto, RECORDS_STEP, &removed, e);

    if (rc < 0 || removed == RECORDS_STEP)
        return rc < 0 ? rc : 1;
    s->active = false;
    s->journal_bytes -= s->covered_bytes;
    if (s->journal_bytes == 0)
        s->oldest_ms = 0;
    return 0;
}

bool seal_step(struct store *st)
{
    struct sealing *s = &st->sealing;
    int64_t now_ms = clock_mono_ns() / 1000000;
    struct err e = ERR_INIT;
    int rc = 0;

    if (now_ms < s->not_before_ms)
        return false;
    if (st->group.nlarge) {
        size_t n = st->group.nlarge;

        st->group.nlarge = 0;
        rc = seal_series(st, st->group.large, n, &e);
    }
    if (rc == 0 && !s->active && due(st, now_ms))
        start(st);
    if (rc == 0 && s->active) {
        rc = seal_next(st, &e);
        if (rc == 0)
            rc = drop_next(st, &e);
    }
    if (rc < 0) {
        log_error("sealing samples: %s (will be tried again)", e.msg);
        s->not_before_ms = now_ms + RETRY_MS;
    }
    return rc > 0;
}
