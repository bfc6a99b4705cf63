/* event_sources.c: what there is to read of a table: chunks of its heads, and blocks.
 *
 * Both are held together under the store's lock: at any moment a row is in one of them (event_store-internal.h). A block's
 * reader is taken anew for each read, so that sources need not know which thread they are read by, and a query over many
 * blocks holds no connections. Directories come out of a cache and are held by the query's arena. */
#include "store/store-internal.h"

#include "base/log.h"
#include "store/event_blocks-internal.h"

/* Where a source's bytes are. */
struct event_origin {
    struct str chunk; /* p NULL: it is a block */
    struct event_block_input input;
};

struct event_hold {
    struct event_directory_cache *directories;
    struct event_chunk **chunks;
    size_t nchunks;
    struct blocks *bs;
    struct block_list *list;
    uint64_t last;
};

uint64_t events_last(struct store *st, enum event_kind kind)
{
    uint64_t last;

    pthread_rwlock_rdlock(&st->lock);
    last = st->events[kind].shown;
    pthread_rwlock_unlock(&st->lock);
    return last;
}

/* --- holding --- */

static bool reaches(int64_t first, int64_t last, int64_t from, int64_t to)
{
    return first < to && last >= from;
}

static void hold_chunks(struct event_hold *hold, const struct event_head *h, int64_t from_ns, int64_t to_ns, uint64_t after)
{
    for (size_t i = 0; h && i < h->n; i++) {
        struct event_chunk *c = h->v[i];

        if (c->commits[c->ncommits - 1].number <= after || !reaches(c->head.first_ns, c->head.last_ns, from_ns, to_ns))
            continue;
        event_chunk_hold(c);
        hold->chunks[hold->nchunks++] = c;
    }
}

/* All that may have rows in the range: the blocks as a list, those that are needed are picked later. */
static int hold_all(struct store *st, enum event_kind kind, int64_t from_ns, int64_t to_ns, uint64_t after, struct arena *a,
                    struct event_hold *hold)
{
    const struct event_store *es = &st->events[kind];
    size_t most;
    int rc;

    pthread_rwlock_rdlock(&st->lock);
    most = es->head->n + (es->frozen ? es->frozen->n : 0);
    hold->chunks = arena_array(a, most + 1, sizeof(struct event_chunk *));
    rc = hold->chunks ? 0 : ERR_NOMEM;
    if (rc == 0) {
        hold_chunks(hold, es->frozen, from_ns, to_ns, after);
        hold_chunks(hold, es->head, from_ns, to_ns, after);
        hold->last = es->shown;
        hold->directories = st->directories;
        hold->bs = es->blocks;
        hold->list = blocks_hold(es->blocks);
    }
    pthread_rwlock_unlock(&st->lock);
    return rc;
}

static void let_go(struct event_hold *hold)
{
    for (size_t i = 0; i < hold->nchunks; i++)
        event_chunk_release(hold->chunks[i]);
    if (hold->list)
        blocks_release(hold->bs, hold->list);
    *hold = (struct event_hold){ 0 };
}

/* --- opening --- */

static struct event_origin *origin_new(struct arena *a, struct err *e)
{
    struct event_origin *o = ARENA_NEW(a, struct event_origin);

    if (!o)
        err_set(e, ERR_NOMEM, "no memory to read rows");
    return o;
}

/* The chunk's rows from `first` on, as a chunk in `a`. */
static int cut(struct str *chunk, size_t first, struct arena *a, struct err *e)
{
    struct arena scratch = ARENA_INIT(0); /* bounded by the chunk */
    struct event_source *all = event_chunk_open(*chunk, &scratch, e);
    struct buf b = BUF_INIT(2 * chunk->n + 4096);
    int rc = all ? event_chunk_cut(all, first, &b, e) : e->code;

    if (rc == 0) {
        *chunk = arena_str(a, buf_view(&b));
        rc = chunk->p ? 0 : err_set(e, ERR_NOMEM, "no memory to read rows");
    }
    buf_free(&b);
    arena_free(&scratch);
    return rc;
}

/* The first row that came after that journal record: a chunk that was joined may have older ones. */
static size_t first_after(const struct event_chunk *c, uint64_t after)
{
    size_t row = 0;

    for (size_t i = 0; i < c->ncommits && c->commits[i].number <= after; i++)
        row = c->commits[i].end;
    return row;
}

static struct event_source *open_chunk(const struct event_chunk *c, uint64_t after, struct arena *a, struct err *e)
{
    struct event_origin *o = origin_new(a, e);
    size_t first = first_after(c, after);
    struct event_source *s;

    if (!o)
        return NULL;
    o->chunk = c->bytes;
    if (first && cut(&o->chunk, first, a, e) < 0)
        return NULL;
    s = event_chunk_open(o->chunk, a, e);
    if (s)
        s->origin = o;
    return s;
}

static struct event_source *open_block(const struct event_hold *hold, struct block *b, struct arena *a, struct err *e)
{
    struct event_origin *o = origin_new(a, e);
    struct event_source *s;

    if (!o)
        return NULL;
    o->input = (struct event_block_input){ hold->bs, b, NULL, hold->directories };
    s = event_block_source(&o->input, a, e);
    if (s)
        s->origin = o;
    return s;
}

/* The blocks before the head, which is newer; what is in them counts as committed before any `after`. A block that proves
 * damaged is set aside, and the rest is served. */
static int open_all(const struct event_hold *hold, int64_t from_ns, int64_t to_ns, uint64_t after, struct arena *a,
                    struct event_sources *out, struct err *e)
{
    for (size_t i = 0; after == 0 && i < hold->list->n; i++) {
        struct block *b = hold->list->blocks[i];
        struct err why = ERR_INIT;

        if (!reaches(b->first, b->last, from_ns, to_ns))
            continue;
        out->v[out->n] = open_block(hold, b, a, &why);
        out->n += out->v[out->n] != NULL;
        if (why.code == ERR_CORRUPT)
            blocks_set_aside(hold->bs, b, &why);
        else if (why.code)
            return err_set(e, why.code, "%s", why.msg);
    }
    for (size_t i = 0; i < hold->nchunks; i++) {
        out->v[out->n] = open_chunk(hold->chunks[i], after, a, e);
        if (!out->v[out->n++])
            return e->code;
    }
    return 0;
}

int event_sources_hold(struct store *st, enum event_kind kind, int64_t from_ns, int64_t to_ns, uint64_t after,
                       struct arena *a, struct event_sources *out, struct err *e)
{
    struct err why = ERR_INIT;
    int rc;

    *out = (struct event_sources){ .hold = ARENA_NEW(a, struct event_hold) };
    rc = out->hold ? hold_all(st, kind, from_ns, to_ns, after, a, out->hold) : ERR_NOMEM;
    if (rc == 0) {
        out->v = arena_array(a, out->hold->nchunks + out->hold->list->n + 1, sizeof(struct event_source *));
        rc = out->v ? open_all(out->hold, from_ns, to_ns, after, a, out, &why) : ERR_NOMEM;
    }
    out->last = out->hold ? out->hold->last : 0;
    if (rc == 0)
        return 0;
    event_sources_release(st, out);
    return why.code ? err_set(e, rc, "%s", why.msg) : err_set(e, rc, "no memory to read rows");
}

void event_sources_release(struct store *st, struct event_sources *s)
{
    (void)st;
    if (s->hold)
        let_go(s->hold);
    *s = (struct event_sources){ 0 };
}

struct event_source *event_source_again(const struct event_source *s, struct arena *a, struct err *e)
{
    const struct event_origin *from = s->origin;
    struct event_origin *o = origin_new(a, e);
    struct event_source *again;

    if (!o)
        return NULL;
    *o = *from;
    again = o->chunk.p ? event_chunk_open(o->chunk, a, e) : event_block_again(s, event_block_read, &o->input, a, e);
    if (again)
        again->origin = o;
    return again;
}

void event_source_damaged(struct store *st, struct event_source *s, const struct err *why)
{
    const struct event_origin *o = s->origin;

    (void)st;
    if (o->chunk.p)
        log_error("rows in memory (%.*s): %s", STR_ARG(event_tables[s->kind].name), why->msg);
    else
        blocks_set_aside(o->input.bs, o->input.block, why);
}
