#include "store/store-internal.h"

#include "base/clock.h"
#include "base/mem.h"
#include "store/event_blocks-internal.h"
#include "store/event_directory_cache-internal.h"

/* Rows of a block that is never merged (event_merge.c): with fewer, a pause is not worth a block. */
enum { GOOD_BLOCK = EVENT_SOURCE_ROWS / 2 };

/* Settings of vigla.db: the watermarks. Their names stay when a table's should change. */
static const char *const watermarks[EVENT_KINDS] = {
    [EVENT_ACCESS_LOG] = "access_log_sealed",
    [EVENT_LOG] = "log_sealed",
    [EVENT_SPAN] = "span_sealed",
};

/* --- opening, closing --- */

struct replaying {
    struct store *st;
    enum event_kind kind;
};

static int no_memory(struct err *e)
{
    return err_set(e, ERR_NOMEM, "no memory for rows");
}

static int replay(void *arg, uint64_t number, struct str record, struct err *e)
{
    const struct replaying *r = arg;
    struct event_store *es = &r->st->events[r->kind];
    struct event_chunk *c;
    int rc = event_chunk_replayed(record, r->kind, &c, e);

    if (rc < 0)
        return err_wrap(e, "%.*s: journal record %llu", STR_ARG(event_tables[r->kind].name), (unsigned long long)number);
    if (event_head_reserve(es->head, 1) < 0 || event_chunk_days(c, &es->days) < 0) {
        rc = no_memory(e);
    } else {
        c->only.number = number;
        event_head_append(es->head, c);
        es->last = number;
    }
    event_chunk_release(c);
    return rc;
}

int event_store_watermark(struct db *db, enum event_kind kind, int64_t *number, struct err *e)
{
    return db_setting(db, watermarks[kind], 0, number, e);
}

static int open_one(struct store *st, enum event_kind kind, struct err *e)
{
    struct event_store *es = &st->events[kind];
    struct replaying r = { st, kind };
    int64_t watermark;
    int rc = event_store_watermark(st->db, kind, &watermark, e);

    es->head = event_head_new();
    if (rc == 0 && !es->head)
        rc = no_memory(e);
    if (rc < 0)
        return rc;
    es->last = (uint64_t)watermark;
    es->oldest_ms = es->newest_ms = clock_mono_ns() / 1000000;
    rc = db_event_journal_each(st->db, kind, (uint64_t)watermark, replay, &r, e);
    if (rc < 0)
        return rc;
    es->shown = es->last;
    if (watermark)
        sealer_drop_records(st, SEAL_EVENTS + (int)kind, (uint64_t)watermark);
    es->blocks = blocks_open(st->dir, &event_blocks[kind], (uint64_t)watermark, st->options.durability, e);
    return es->blocks ? 0 : e->code;
}

int event_stores_open(struct store *st, struct err *e)
{
    struct err why = ERR_INIT;
    int rc;

    st->directories = event_directory_cache_new(st->options.directory_bytes, &why);
    rc = st->directories ? 0 : ERR_NOMEM;
    for (int kind = 0; rc == 0 && kind < EVENT_KINDS; kind++)
        rc = open_one(st, (enum event_kind)kind, &why);
    if (rc < 0 && e)
        *e = why;
    return rc;
}

void event_stores_close(struct store *st)
{
    for (int kind = 0; kind < EVENT_KINDS; kind++) {
        struct event_store *es = &st->events[kind];

        for (size_t i = 0; i < es->sealed.n; i++)
            blocks_give_up(es->blocks, es->sealed.v[i]);
        mem_free(es->sealed.v);
        blocks_close(es->blocks);
        event_head_free(es->frozen);
        event_head_free(es->head);
        days_fini(&es->days);
    }
    event_directory_cache_free(st->directories);
}

/* --- a group --- */

int event_stores_write(struct store *st, struct event_chunk *list, struct err *e)
{
    struct group *g = &st->group;
    int rc = 0;

    for (struct event_chunk *c = list; rc == 0 && c; c = c->next) {
        struct event_store *es = &st->events[c->head.kind];

        if (mem_grow(&g->chunks, &g->chunks_cap, g->nchunks + 1, sizeof(*g->chunks)) < 0 ||
            event_chunk_days(c, &es->days) < 0)
            return no_memory(e);
        c->only.number = ++es->last;
        g->chunks[g->nchunks++] = c;
        g->events[c->head.kind] += c->head.rows;
        rc = db_event_journal_add(st->db, c->head.kind, c->only.number, c->bytes, e);
    }
    return rc;
}

int event_stores_reserve(struct store *st, struct err *e)
{
    const struct group *g = &st->group;
    size_t n[EVENT_KINDS] = { 0 };
    int rc = 0;

    for (size_t i = 0; i < g->nchunks; i++)
        n[g->chunks[i]->head.kind]++;
    for (int kind = 0; rc == 0 && kind < EVENT_KINDS; kind++) {
        struct event_head *h = st->events[kind].head;

        if (h->n + n[kind] <= h->cap)
            continue;
        pthread_rwlock_wrlock(&st->lock);
        rc = event_head_reserve(h, n[kind]);
        pthread_rwlock_unlock(&st->lock);
    }
    return rc < 0 ? no_memory(e) : 0;
}

void event_stores_show(struct store *st)
{
    const struct group *g = &st->group;
    int64_t now_ms = g->nchunks ? clock_mono_ns() / 1000000 : 0;

    for (size_t i = 0; i < g->nchunks; i++) {
        struct event_store *es = &st->events[g->chunks[i]->head.kind];

        if (es->head->n == 0)
            es->oldest_ms = now_ms;
        es->newest_ms = now_ms;
        event_head_append(es->head, g->chunks[i]);
        es->shown = es->head->last;
    }
}

void event_stores_undo(struct store *st)
{
    for (int kind = 0; kind < EVENT_KINDS; kind++)
        st->events[kind].last = st->events[kind].shown;
}

/* True: something was joined. */
static bool join(struct store *st, struct event_head *h)
{
    struct event_chunk **old;
    struct event_join j;

    if (!event_head_plan(h, &j))
        return false;
    old = mem_alloc(j.n * sizeof(struct event_chunk *));
    if (!old) {
        event_chunk_release(j.made);
        return false;
    }
    pthread_rwlock_wrlock(&st->lock);
    event_head_join(h, &j, old);
    pthread_rwlock_unlock(&st->lock);
    for (size_t i = 0; i < j.n; i++)
        event_chunk_release(old[i]);
    mem_free(old);
    return true;
}

void event_stores_tidy(struct store *st)
{
    for (int kind = 0; kind < EVENT_KINDS; kind++)
        while (join(st, st->events[kind].head))
            ;
}

/* --- the slot of the sealer --- */

static size_t count(const struct store *st, int kind)
{
    return st->events[kind].head->rows;
}

static bool full(const struct store *st, int kind, size_t times)
{
    const struct event_store *es = &st->events[kind];

    return es->head->rows >= times * st->tuning.seal_rows || es->head->bytes >= times * st->tuning.seal_row_bytes ||
           es->days.n >= times * MOST_DAYS;
}

static bool due(const struct store *st, int kind)
{
    const struct event_store *es = &st->events[kind];
    int64_t now_ms = clock_mono_ns() / 1000000;
    bool pause = es->head->rows >= GOOD_BLOCK && now_ms - es->newest_ms >= st->tuning.pause_ms;

    return full(st, kind, 1) || pause || now_ms - es->oldest_ms >= st->tuning.seal_ms;
}

static int freeze(struct store *st, int kind, uint64_t *upto)
{
    struct event_store *es = &st->events[kind];
    struct event_head *fresh = event_head_new();

    if (!fresh)
        return ERR_NOMEM;
    *upto = es->head->last;
    pthread_rwlock_wrlock(&st->lock);
    es->frozen = es->head;
    es->head = fresh;
    pthread_rwlock_unlock(&st->lock);
    es->sealed.n = es->sealed.rows = 0;
    days_reset(&es->days);
    return 0;
}

/* Once the watermark is committed nothing can fail, and there is no going back. */
static int let_go(struct store *st, int kind, uint64_t upto, struct err *e)
{
    struct event_store *es = &st->events[kind];
    struct block_list *room = blocks_room(es->blocks, es->sealed.n, e), *before;
    struct event_head *h = es->frozen;
    int rc = room ? db_setting_set(st->db, watermarks[kind], (int64_t)upto, e) : ERR_NOMEM;

    if (rc < 0) {
        mem_free(room);
        return rc;
    }
    pthread_rwlock_wrlock(&st->lock);
    before = blocks_list(es->blocks, room, es->sealed.v, es->sealed.n);
    es->frozen = NULL;
    pthread_rwlock_unlock(&st->lock);
    blocks_release(es->blocks, before);
    es->sealed.n = 0;
    atomic_fetch_add(&st->counters.sealed, h->rows);
    event_head_free(h);
    return 0;
}

static int drop(struct store *st, int kind, uint64_t upto, size_t n, size_t *removed, struct err *e)
{
    return db_event_journal_drop(st->db, (enum event_kind)kind, upto, n, removed, e);
}

static int seal(struct store *st, int kind, struct err *e)
{
    return event_seal(st, (enum event_kind)kind, e);
}

const struct seal_ops seal_events = { count, due, full, freeze, let_go, drop, seal };
