/* group.c: what one transaction does.
 *
 * For each batch: is its number new? then which series are its (new ones are added to the index and to its log), one
 * journal record with all its samples, one with its rows of each table, its metadata. Nothing of it shows before the commit, and after it
 * nothing can fail: what the head needs is reserved before. So memory and disk always agree:
 *
 *     begin ─► resolve and write each batch ─► reserve ─► COMMIT ─┬─ ok ─────► publish: append to the heads
 *                                                                 └─ failed ─► discard: take new series back
 *
 * A batch that makes no sense is sorted out before anything is written, so it cannot sink the others. When a group
 * fails for another reason than the disk (memory, mostly), its batches are tried again one by one: only the one at
 * fault gets the error. */
#include "store/store-internal.h"

#include "base/clock.h"
#include "base/mem.h"
#include "store/journal-internal.h"
#include "store/rawlabels-internal.h"

enum {
    RECORD_KEPT = 4 << 20, /* a larger buffer is given back */
    AHEAD = 16             /* series whose memory is fetched ahead: with many of them each is a cache miss */
};

#define YEAR_MS ((int64_t)365 * 24 * 3600 * 1000)

void group_fini(struct group *g)
{
    mem_free(g->applied);
    mem_free(g->made);
    mem_free(g->made_ids);
    mem_free(g->metadata);
    mem_free(g->chunks);
    buf_free(&g->record);
    buf_free(&g->labels);
    buf_free(&g->log);
}

static void begin(struct store *st)
{
    struct group *g = &st->group;

    if (g->record.cap > RECORD_KEPT)
        buf_free(&g->record);
    g->mark = index_mark(st->index);
    counted_begin(&st->counted, clock_now_ms());
    g->napplied = g->nmade = g->nmetadata = g->nchunks = 0;
    g->batches = g->duplicates = g->samples = g->series = g->journal_bytes = 0;
    g->lowest_ms = INT64_MAX;
    memset(g->events, 0, sizeof(g->events));
}

static void count(struct store *st)
{
    const struct group *g = &st->group;

    atomic_fetch_add(&st->counters.batches, g->batches);
    atomic_fetch_add(&st->counters.duplicates, g->duplicates);
    atomic_fetch_add(&st->counters.samples, g->samples);
    for (int kind = 0; kind < EVENT_KINDS; kind++)
        atomic_fetch_add(&st->counters.events[kind], g->events[kind]);
    atomic_store(&st->counters.series, index_count(st->index));
}

/* --- the head --- */

static int reserve(struct store *st, struct err *e)
{
    const struct group *g = &st->group;
    int rc = 0;

    if (head_end(st->head) < index_end(st->index)) {
        pthread_rwlock_wrlock(&st->lock);
        rc = head_grow(st->head, index_end(st->index));
        pthread_rwlock_unlock(&st->lock);
    }
    if (rc < 0 || head_reserve(st->head, g->series, g->samples) < 0)
        return err_set(e, ERR_NOMEM, "no memory for %llu samples", (unsigned long long)g->samples);
    return event_stores_reserve(st, e);
}

static void publish(struct store *st)
{
    struct group *g = &st->group;

    pthread_rwlock_wrlock(&st->lock);
    for (size_t i = 0; i < g->nmade; i++) /* before the others: zeros are older */
        head_append(st->head, g->made_ids[i], &g->made[i], 1);
    for (size_t i = 0; i < g->napplied; i++) {
        const struct batch *b = g->applied[i];

        for (size_t k = 0; k < b->nseries; k++) {
            if (k + AHEAD < b->nseries && b->series[k + AHEAD].n)
                head_prefetch(st->head, b->series[k + AHEAD].id);
            if (b->series[k].n && !b->series[k].increments)
                head_append(st->head, b->series[k].id, b->series[k].samples, b->series[k].n);
        }
    }
    event_stores_show(st);
    st->committed = index_end(st->index);
    for (size_t i = 0; i < g->nmetadata; i++)
        (void)metadata_keep(st, g->metadata[i]); /* without memory: when it comes again, or at the next start */
    if (g->samples)
        changes_note(&st->changes, g->lowest_ms);
    pthread_rwlock_unlock(&st->lock);
    st->journal.bytes += g->journal_bytes;
    if (g->journal_bytes && st->journal.oldest_ms == 0)
        st->journal.oldest_ms = clock_mono_ns() / 1000000;
    event_stores_tidy(st);
    count(st);
}

/* The numbers of new series are taken back, and will be given to others: no batch may keep one. */
static void discard(struct store *st, const struct pending *first, const struct pending *end)
{
    uint32_t fresh = st->group.mark.series;

    event_stores_undo(st);
    pthread_rwlock_wrlock(&st->lock);
    index_rollback(st->index, st->group.mark);
    pthread_rwlock_unlock(&st->lock);
    for (const struct pending *p = first; p != end; p = p->next)
        for (size_t i = 0; i < p->batch->nseries; i++)
            if (p->batch->series[i].id >= fresh)
                p->batch->series[i].id = 0;
}

static int replay_samples(void *arg, uint32_t id, const struct sample *s, size_t n, struct err *e)
{
    struct store *st = arg;

    if (!index_has(st->index, id))
        return 0; /* forgotten since (retention.c) */
    if (head_grow(st->head, index_end(st->index)) < 0 || head_reserve(st->head, 1, n) < 0)
        return err_set(e, ERR_NOMEM, "no memory for %zu samples", n);
    for (size_t i = 0; i < n; i++)
        if (days_add(&st->days, s[i].t) < 0)
            return err_set(e, ERR_NOMEM, "no memory for %zu samples", n);
    head_append(st->head, id, s, n);
    return 0;
}

int group_replay(struct store *st, struct str record, struct err *e)
{
    return journal_read(record, replay_samples, st, e);
}

/* --- series --- */

/* The series of a label set, added when it is new. 0: not there, `e` says why. */
static uint32_t add_series(struct store *st, struct labels l, struct index_key key, struct err *e)
{
    uint32_t id;

    pthread_rwlock_wrlock(&st->lock);
    id = index_add(st->index, key, l, e);
    pthread_rwlock_unlock(&st->lock);
    return id;
}

static uint32_t find_or_add(struct store *st, struct labels l, struct str raw, struct err *e)
{
    struct buf *canonical = &st->group.labels;
    struct index_key key;
    uint32_t id;

    buf_reset(canonical);
    labels_canonical(canonical, l);
    if (buf_failed(canonical)) {
        err_set(e, ERR_NOMEM, "no memory for a series");
        return 0;
    }
    key = index_key(&st->key, buf_view(canonical));
    id = index_find(st->index, key);
    if (id == 0)
        id = add_series(st, l, key, e);
    if (id && raw.n && !str_eq(raw, buf_view(canonical))) { /* a spelling of its own: known by it from now on */
        pthread_rwlock_wrlock(&st->lock);
        index_alias(st->index, index_key(&st->key, raw), id);
        pthread_rwlock_unlock(&st->lock);
    }
    return id;
}

/* A series recognised by its raw bytes, and forgotten since. */
static uint32_t add_again(struct store *st, struct str raw, struct err *e)
{
    struct arena a = ARENA_INIT(0); /* bounded by the message */
    struct labels l;
    uint32_t id = raw_labels_parse(raw, &a, &l, e) == 0 ? find_or_add(st, l, raw, e) : 0;

    arena_free(&a);
    return id;
}

static int resolve(struct store *st, struct batch_series *bs, struct err *e)
{
    struct label room[INDEX_MAX_LABELS];
    struct err why = ERR_INIT;

    if (bs->id && index_has(st->index, bs->id))
        return 0;
    bs->id = bs->labels.n ? find_or_add(st, batch_series_labels(bs, room), bs->raw, &why) : add_again(st, bs->raw, &why);
    if (bs->id)
        return 0;
    if (e)
        *e = why;
    return why.code;
}

/* False: there is nothing to know it by, or no memory. */
static bool key_of(const struct store *st, const struct batch_series *bs, struct buf *canonical, struct index_key *key)
{
    struct label room[INDEX_MAX_LABELS];
    struct str bytes = bs->raw;

    if (bytes.n == 0 && bs->labels.n && bs->labels.n <= INDEX_MAX_LABELS - 2) {
        buf_reset(canonical);
        labels_canonical(canonical, batch_series_labels(bs, room));
        bytes = buf_view(canonical);
    }
    if (bytes.n == 0 || buf_failed(canonical))
        return false;
    *key = index_key(&st->key, bytes);
    return true;
}

void store_recognise(struct store *st, struct batch *b)
{
    struct buf canonical = BUF_INIT(1 << 29);
    struct index_key keys[AHEAD];
    bool is_known[AHEAD] = { false };

    pthread_rwlock_rdlock(&st->lock);
    for (size_t i = 0; i < b->nseries + AHEAD; i++) {
        struct index_key *key = &keys[i % AHEAD];
        bool *known = &is_known[i % AHEAD];

        if (i >= AHEAD && *known) {
            uint32_t id = index_find(st->index, *key);

            b->series[i - AHEAD].id = id < st->committed ? id : 0;
        }
        *known = i < b->nseries && key_of(st, &b->series[i], &canonical, key);
        if (*known)
            index_prefetch(st->index, *key);
    }
    pthread_rwlock_unlock(&st->lock);
    buf_free(&canonical);
}

/* Whether the series starts from zero after all that is known of it: then the first increment shows. A series that comes
 * twice in a group gets the same zero twice, which is one sample. */
static int starts_anew(struct store *st, const struct batch_series *bs, bool *anew, struct err *e)
{
    *anew = false;
    if (bs->start_ms == 0)
        return 0;
    for (size_t i = 0; i < bs->n; i++)
        if (bs->samples[i].t <= bs->start_ms)
            return 0;
    return started_after(st, bs->id, bs->start_ms, anew, e);
}

static int make_sample(struct store *st, uint32_t id, struct sample sample, struct err *e)
{
    struct group *g = &st->group;

    if (mem_grow(&g->made, &g->made_cap, g->nmade + 1, sizeof(*g->made)) < 0 ||
        mem_grow(&g->made_ids, &g->made_ids_cap, g->nmade + 1, sizeof(*g->made_ids)) < 0)
        return err_set(e, ERR_NOMEM, "no memory for a sample");
    g->made[g->nmade] = sample;
    g->made_ids[g->nmade++] = id;
    return 0;
}

/* Days from `before` on are the batch's. */
static int note_times(struct store *st, const struct sample *s, size_t n, size_t before, struct err *e)
{
    for (size_t i = 0; i < n; i++) {
        if (days_add(&st->days, s[i].t) < 0)
            return err_set(e, ERR_NOMEM, "no memory for a batch");
        if (s[i].t < st->group.lowest_ms)
            st->group.lowest_ms = s[i].t;
    }
    if (st->days.n > before + MOST_DAYS)
        return err_set(e, ERR_LIMIT, "a batch has samples of more than %d days (send less at a time)", MOST_DAYS);
    return 0;
}

/* The sum as a sample, behind a zero when it is the first one. */
static int write_increments(struct store *st, struct journal_writer *w, const struct batch_series *bs, size_t days,
                            struct err *e)
{
    const struct counted_series *s = NULL;
    double sum = 0;
    struct sample made[2];
    size_t first;
    int rc;

    for (size_t i = 0; i < bs->n; i++)
        sum += bs->samples[i].v;
    rc = counted_add(&st->counted, st->index, bs->id, sum, &s, e);
    if (rc < 0)
        return rc;
    made[0] = (struct sample){ st->counted.last_ms - 1, 0 };
    made[1] = (struct sample){ st->counted.last_ms, s->total };
    first = s->fresh ? 0 : 1;
    rc = note_times(st, made + first, 2 - first, days, e);
    for (size_t i = first; rc == 0 && i < 2; i++)
        rc = make_sample(st, bs->id, made[i], e);
    if (rc < 0)
        return rc;
    journal_series(w, bs->id, 2 - first);
    journal_samples(w, made + first, 2 - first);
    st->group.samples += 2 - first;
    st->group.series++;
    return 0;
}

static int write_values(struct store *st, struct journal_writer *w, const struct batch_series *bs, size_t days,
                        struct err *e)
{
    struct sample zero = { bs->start_ms, 0 };
    bool anew = false;
    int rc = note_times(st, bs->samples, bs->n, days, e);

    if (rc == 0)
        rc = starts_anew(st, bs, &anew, e);
    if (rc == 0 && anew)
        rc = note_times(st, &zero, 1, days, e);
    if (rc == 0 && anew)
        rc = make_sample(st, bs->id, zero, e);
    if (rc < 0)
        return rc;
    journal_series(w, bs->id, anew + bs->n);
    journal_samples(w, &zero, anew);
    journal_samples(w, bs->samples, bs->n);
    st->group.samples += anew + bs->n;
    st->group.series++;
    return 0;
}

static int write_series(struct store *st, struct journal_writer *w, struct batch_series *bs, size_t days, struct err *e)
{
    int rc = resolve(st, bs, e);

    if (rc < 0)
        return rc;
    return bs->increments ? write_increments(st, w, bs, days, e) : write_values(st, w, bs, days, e);
}

static int write_journal(struct store *st, struct err *e)
{
    struct group *g = &st->group;
    int rc = db_journal_add(st->db, st->journal.last + 1, buf_view(&g->record), e);

    if (rc == 0) {
        st->journal.last++;
        g->journal_bytes += g->record.n;
    }
    return rc;
}

static int write_log(struct store *st, struct index_mark before, struct err *e)
{
    struct group *g = &st->group;

    if (index_mark(st->index).series == before.series)
        return 0;
    buf_reset(&g->log);
    index_log(st->index, before, &g->log);
    if (buf_failed(&g->log))
        return err_set(e, ERR_NOMEM, "no memory for the record of new series");
    return db_series_log_add(st->db, buf_view(&g->log), e);
}

static int write_samples(struct store *st, struct batch *b, struct err *e)
{
    struct index_mark before = index_mark(st->index);
    struct group *g = &st->group;
    uint64_t samples = g->samples;
    size_t days = st->days.n;
    struct journal_writer w;
    int rc = 0;

    buf_reset(&g->record);
    journal_begin(&w, &g->record);
    for (size_t i = 0; rc == 0 && i < b->nseries; i++)
        if (b->series[i].n) {
            rc = write_series(st, &w, &b->series[i], days, e);
            if (rc < 0)
                err_wrap(e, "series %zu", i);
        }
    if (rc < 0 || g->samples == samples)
        return rc;
    journal_end(&w);
    if (buf_failed(&g->record))
        return err_set(e, ERR_NOMEM, "no memory for the journal record");
    if (mem_grow(&g->applied, &g->applied_cap, g->napplied + 1, sizeof(const struct batch *)) < 0)
        return err_set(e, ERR_NOMEM, "no memory for a batch");
    g->applied[g->napplied++] = b;
    rc = write_log(st, before, e);
    return rc < 0 ? rc : write_journal(st, e);
}

/* --- metadata --- */

static bool same_metadata(const struct batch_metadata *a, const struct batch_metadata *b)
{
    return str_eq(a->type, b->type) && str_eq(a->help, b->help) && str_eq(a->unit, b->unit);
}

static struct str append(char **to, struct str s)
{
    struct str copy = { *to, s.n };

    if (s.n)
        memcpy(*to, s.p, s.n);
    *to += s.n;
    return copy;
}

int metadata_keep(struct store *st, const struct batch_metadata *m)
{
    struct metadata *copy = mem_alloc(sizeof(*copy) + m->metric.n + m->type.n + m->help.n + m->unit.n + 1);
    struct metadata *old;
    char *to;

    if (!copy)
        return ERR_NOMEM;
    to = copy->text;
    copy->m.metric = append(&to, m->metric);
    copy->m.type = append(&to, m->type);
    copy->m.help = append(&to, m->help);
    copy->m.unit = append(&to, m->unit);
    old = strmap_del(&st->metadata, m->metric); /* the key is a part of the value */
    if (strmap_put(&st->metadata, copy->m.metric, copy, NULL) < 0) {
        mem_free(copy);
        copy = NULL;
    }
    mem_free(old);
    return copy ? 0 : ERR_NOMEM;
}

static int write_metadata(struct store *st, const struct batch *b, struct err *e)
{
    struct group *g = &st->group;

    for (size_t i = 0; i < b->nmetadata; i++) {
        const struct batch_metadata *m = &b->metadata[i];
        const struct metadata *known = strmap_get(&st->metadata, m->metric);
        int rc;

        if (known && same_metadata(&known->m, m))
            continue;
        rc = db_metadata_set(st->db, m, e);
        if (rc < 0)
            return rc;
        if (mem_grow(&g->metadata, &g->metadata_cap, g->nmetadata + 1, sizeof(const struct batch_metadata *)) < 0)
            return err_set(e, ERR_NOMEM, "no memory for metadata");
        g->metadata[g->nmetadata++] = m;
    }
    return 0;
}

/* --- the batch, the group --- */

/* 1: it was committed before. */
static int check_number(struct store *st, const struct batch *b, struct err *e)
{
    uint64_t last;
    int rc;

    if (b->sender.n == 0)
        return 0;
    rc = db_sender_last(st->db, b->sender, &last, e);
    if (rc < 0)
        return rc;
    if (b->number <= last)
        return 1;
    return db_sender_set(st->db, b->sender, b->number, clock_now_ms() + (b->lasting ? YEAR_MS : 0), e);
}

struct asking {
    struct str sender;
    uint64_t *number;
};

static int ask_number(struct store *st, void *arg, struct err *e)
{
    const struct asking *a = arg;

    return db_sender_last(st->db, a->sender, a->number, e);
}

int store_sender_last(struct store *st, struct str sender, uint64_t *number, struct err *e)
{
    struct asking a = { sender, number };

    return committer_run(st, ask_number, &a, e);
}

static int write_batch(struct store *st, const struct pending *p, struct err *e)
{
    struct batch *b = p->batch;
    int rc = check_number(st, b, e);

    if (rc == 1) {
        st->group.duplicates++;
        return 0;
    }
    if (rc == 0)
        rc = write_samples(st, b, e);
    if (rc == 0)
        rc = event_stores_write(st, p->chunks, e);
    if (rc == 0)
        rc = write_metadata(st, b, e);
    if (rc == 0)
        rc = db_exemplars_add(st->db, b->exemplars, b->nexemplars, e);
    st->group.batches++;
    return rc;
}

/* The items from `first` to before `end`, in one transaction. */
static int write_range(struct store *st, const struct pending *first, const struct pending *end, struct err *e)
{
    uint64_t record = st->journal.last;
    int rc;

    begin(st);
    rc = db_begin(st->db, e);
    for (const struct pending *p = first; rc == 0 && p != end; p = p->next)
        if (!p->settled)
            rc = write_batch(st, p, e);
    if (rc == 0)
        rc = reserve(st, e);
    if (rc == 0)
        rc = db_commit(st->db, e);
    else
        db_rollback(st->db);
    if (rc < 0) {
        st->journal.last = record;
        counted_undo(&st->counted);
        discard(st, first, end);
        return rc;
    }
    counted_keep(&st->counted);
    publish(st);
    atomic_fetch_add(&st->counters.commits, 1);
    return 0;
}

static void settle(struct pending *first, struct pending *end, int rc, const struct err *e)
{
    for (struct pending *p = first; p != end; p = p->next) {
        if (p->settled)
            continue;
        p->settled = true;
        p->rc = rc;
        p->err = *e;
    }
}

void group_commit(struct store *st, struct pending *first)
{
    struct err e = ERR_INIT;
    int rc;

    for (struct pending *p = first; p; p = p->next) {
        if (!p->settled)
            p->rc = sealer_admit(st, p->batch, &p->err);
        p->settled = p->rc < 0;
    }
    rc = write_range(st, first, NULL, &e);
    if (rc < 0 && rc != ERR_IO && rc != ERR_FULL && first->next)
        for (struct pending *p = first; p; p = p->next) {
            if (p->settled)
                continue;
            rc = write_range(st, p, p->next, &e);
            settle(p, p->next, rc, &e);
        }
    settle(first, NULL, rc, &e);
}
