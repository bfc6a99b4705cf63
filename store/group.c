/* group.c: what one transaction does.
 *
 * For each batch: is its number new? then its series (rows for unknown ones), one journal record with all its samples,
 * its events, its metadata. The samples are staged in the heads on the way; nothing of them shows before the commit,
 * and after it nothing can fail. So memory and disk always agree:
 *
 *     begin ─► stage and write each batch ─► COMMIT ─┬─ ok ─────► group_publish
 *                                                    └─ failed ─► group_discard
 *
 * A batch that makes no sense is sorted out before anything is written, so it cannot sink the others. When a group
 * fails for another reason than the disk (memory, mostly), its batches are tried again one by one: only the one at
 * fault gets the error. */
#include "store/store-internal.h"

#include "base/clock.h"
#include "base/mem.h"
#include "store/journal-internal.h"
#include "store/pack-internal.h"

enum { RECORD_KEPT = 4 << 20 }; /* a larger buffer is given back */

void group_fini(struct group *g)
{
    mem_free(g->touched);
    mem_free(g->large);
    mem_free(g->created);
    mem_free(g->metadata);
    buf_free(&g->record);
    buf_free(&g->labels);
}

int group_touch(struct group *g, struct series *s)
{
    if (s->touched)
        return 0;
    if (mem_grow(&g->touched, &g->touched_cap, g->ntouched + 1, sizeof(struct series *)) < 0 ||
        mem_grow(&g->large, &g->large_cap, g->ntouched + 1, sizeof(struct series *)) < 0)
        return ERR_NOMEM;
    g->touched[g->ntouched++] = s;
    s->touched = true;
    return 0;
}

static void forget(struct group *g)
{
    if (g->record.cap > RECORD_KEPT)
        buf_free(&g->record);
    for (size_t i = 0; i < g->ntouched; i++)
        g->touched[i]->touched = false;
    g->ntouched = g->ncreated = g->nmetadata = 0;
    g->batches = g->duplicates = g->samples = g->journal_bytes = 0;
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
    atomic_store(&st->counters.series, st->index.n);
}

void group_publish(struct store *st)
{
    struct group *g = &st->group;

    g->nlarge = 0;
    pthread_rwlock_wrlock(&st->lock);
    for (size_t i = 0; i < g->ntouched; i++) {
        struct head *h = &g->touched[i]->head;

        st->sealing.samples += h->staged_n;
        st->sealing.samples -= h->n;
        head_publish(h, &st->epoch);
        if (h->n > HEAD_LARGE)
            g->large[g->nlarge++] = g->touched[i];
    }
    for (size_t i = 0; i < g->nmetadata; i++)
        (void)metadata_keep(st, g->metadata[i]); /* without memory: when it comes again, or at the next start */
    pthread_rwlock_unlock(&st->lock);
    st->sealing.journal_bytes += g->journal_bytes;
    if (g->journal_bytes && st->sealing.oldest_ms == 0)
        st->sealing.oldest_ms = clock_mono_ns() / 1000000;
    count(st);
    forget(g);
}

void group_discard(struct store *st)
{
    struct group *g = &st->group;

    for (size_t i = 0; i < g->ntouched; i++)
        head_discard(&g->touched[i]->head);
    for (size_t i = 0; i < g->ntouched; i++)
        g->touched[i]->touched = false;
    pthread_rwlock_wrlock(&st->lock);
    index_remove(&st->index, &st->epoch, g->created, g->ncreated);
    pthread_rwlock_unlock(&st->lock);
    g->ntouched = 0;
    forget(g);
}

/* --- series --- */

static struct series *create_series(struct store *st, struct labels l, struct err *e)
{
    struct group *g = &st->group;
    struct series *s;

    buf_reset(&g->labels);
    labels_pack(&g->labels, l);
    if (buf_failed(&g->labels) ||
        mem_grow(&g->created, &g->created_cap, g->ncreated + 1, sizeof(struct series *)) < 0) {
        err_set(e, ERR_NOMEM, "no memory for a new series");
        return NULL;
    }
    if (db_series_add(st->db, st->last_series + 1, buf_view(&g->labels), e) < 0)
        return NULL;
    pthread_rwlock_wrlock(&st->lock);
    s = index_add(&st->index, st->last_series + 1, l);
    pthread_rwlock_unlock(&st->lock);
    if (!s) {
        err_set(e, ERR_NOMEM, "no memory for a new series");
        return NULL;
    }
    st->last_series++;
    g->created[g->ncreated++] = s;
    return s;
}

/* Whether the series starts from zero after all that is known of it: then the first increment shows. */
static bool starts_anew(const struct series *s, const struct batch_series *bs)
{
    if (bs->start_ms == 0)
        return false;
    for (size_t i = 0; i < bs->n; i++)
        if (bs->samples[i].t <= bs->start_ms)
            return false;
    if (s->sealed_first <= s->sealed_last && s->sealed_last >= bs->start_ms)
        return false;
    return s->head.staged_n == 0 || s->head.staged->t[s->head.staged_n - 1] < bs->start_ms;
}

static int write_series(struct store *st, struct journal_writer *w, const struct batch_series *bs, struct err *e)
{
    struct series *s = index_find(&st->index, bs->labels);
    struct sample zero = { bs->start_ms, 0 };
    struct err why = ERR_INIT;
    size_t zeros;

    if (!s && !(s = create_series(st, bs->labels, &why))) {
        if (e)
            *e = why;
        return why.code;
    }
    zeros = starts_anew(s, bs);
    journal_series(w, s->id, zeros + bs->n);
    journal_samples(w, &zero, zeros);
    journal_samples(w, bs->samples, bs->n);
    if (group_touch(&st->group, s) < 0 || head_stage(&s->head, &st->epoch, &zero, zeros) < 0 ||
        head_stage(&s->head, &st->epoch, bs->samples, bs->n) < 0)
        return err_set(e, ERR_NOMEM, "no memory for %zu samples", bs->n);
    st->group.samples += zeros + bs->n;
    return 0;
}

static int write_samples(struct store *st, const struct batch *b, struct err *e)
{
    struct group *g = &st->group;
    uint64_t before = g->samples;
    struct journal_writer w;
    int rc = 0;

    buf_reset(&g->record);
    journal_begin(&w, &g->record);
    for (size_t i = 0; rc == 0 && i < b->nseries; i++)
        if (b->series[i].n)
            rc = write_series(st, &w, &b->series[i], e);
    if (rc < 0 || g->samples == before)
        return rc;
    journal_end(&w);
    if (buf_failed(&g->record))
        return err_set(e, ERR_NOMEM, "no memory for the journal record");
    rc = db_journal_add(st->db, st->last_record + 1, buf_view(&g->record), e);
    if (rc == 0) {
        st->last_record++;
        g->journal_bytes += g->record.n;
    }
    return rc;
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

static int write_events(struct store *st, const struct batch *b, struct err *e)
{
    int rc = 0;

    for (int kind = 0; kind < EVENT_KINDS; kind++) {
        for (size_t i = 0; rc == 0 && i < b->nevents[kind]; i++)
            rc = db_event_add(st->db, (enum event_kind)kind, &b->events[kind][i], e);
        st->group.events[kind] += b->nevents[kind];
    }
    return rc;
}

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
    return db_sender_set(st->db, b->sender, b->number, clock_now_ms(), e);
}

static int write_batch(struct store *st, const struct batch *b, struct err *e)
{
    int rc = check_number(st, b, e);

    if (rc == 1) {
        st->group.duplicates++;
        return 0;
    }
    if (rc == 0)
        rc = write_samples(st, b, e);
    if (rc == 0)
        rc = write_events(st, b, e);
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
    int rc = db_begin(st->db, e);

    for (const struct pending *p = first; rc == 0 && p != end; p = p->next)
        if (!p->settled)
            rc = write_batch(st, p->batch, e);
    if (rc == 0)
        rc = db_commit(st->db, e);
    else
        db_rollback(st->db);
    if (rc < 0) {
        group_discard(st);
        return rc;
    }
    group_publish(st);
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
        p->rc = batch_validate(p->batch, &p->err);
        p->settled = p->rc < 0;
    }
    rc = write_range(st, first, NULL, &e);
    if (rc < 0 && rc != ERR_IO && first->next)
        for (struct pending *p = first; p; p = p->next) {
            if (p->settled)
                continue;
            rc = write_range(st, p, p->next, &e);
            settle(p, p->next, rc, &e);
        }
    settle(first, NULL, rc, &e);
}
