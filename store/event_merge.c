/* event_merge.c: blocks of few rows become one of many.
 *
 * A head that was sealed because it was old, or rows that came late, make blocks of few rows; each costs a query a
 * directory, and packs badly. So neighbours by rank in one partition are merged while they are thin:
 *
 *     thin      fewer than THIN rows
 *     a run     at least RUN_MIN thin blocks with ranks one behind the other, of which none has more rows than the others
 *               together, that fit into one block; in partitions of days past two are enough, of any sizes
 *
 * So on the day itself a row's block at least doubles each time the row is written again. Neighbours by rank were sealed one
 * after the other, so they are mostly neighbours in time, too. */
#include "store/store-internal.h"

#include "base/clock.h"
#include "store/event_blocks-internal.h"

/* Bytes are packed ones: texts become some times as long. */
enum { THIN = EVENT_SOURCE_ROWS / 2, RUN_MIN = 4, RUN_MAX = 64, RUN_BYTES = EVENT_BLOCK_BYTES / 8 };

struct run {
    struct block *const *blocks;
    size_t n;
    uint64_t rows, most; /* most: of one of them */
};

/* The longest from `first` on. */
static struct run run_from(const struct block_list *list, size_t first)
{
    struct run r = { .blocks = list->blocks + first };
    uint64_t bytes = 0;

    while (first + r.n < list->n && r.n < RUN_MAX) {
        const struct block *b = list->blocks[first + r.n];

        if (b->partition != r.blocks[0]->partition || b->rows >= THIN || r.rows + b->rows > EVENT_SOURCE_ROWS ||
            bytes + b->bytes > RUN_BYTES)
            break;
        r.rows += b->rows;
        r.most = b->rows > r.most ? b->rows : r.most;
        bytes += b->bytes;
        r.n++;
    }
    return r;
}

static bool is_worth(const struct run *r, bool is_past)
{
    return is_past ? r->n >= 2 : r->n >= RUN_MIN && r->rows >= 2 * r->most;
}

static struct run find_run(const struct blocks *bs, const struct block_list *list, uint64_t skip_rank)
{
    int64_t today = partition_of(clock_now_ms());

    for (size_t i = 0; i < list->n; i++) {
        const struct run r = run_from(list, i);

        if (is_worth(&r, blocks_partition(bs, list->blocks[i]->last) < today) && list->blocks[i]->rank > skip_rank)
            return r;
    }
    return (struct run){ 0 };
}

/* All rows of the run's blocks. */
struct input {
    struct arena a; /* bounded by the blocks */
    struct event_source **sources;
    const uint32_t **rows;
    size_t *n;
    uint64_t upto;
};

static int open_block(struct input *in, struct blocks *bs, struct block *b, size_t i, const uint32_t *all, struct err *e)
{
    struct event_block_input *input = ARENA_NEW(&in->a, struct event_block_input);

    if (!input)
        return err_set(e, ERR_NOMEM, "no memory to merge blocks");
    *input = (struct event_block_input){ bs, b, NULL, NULL };
    in->sources[i] = event_block_source(input, &in->a, e);
    in->rows[i] = all;
    in->n[i] = b->rows;
    in->upto = b->upto > in->upto ? b->upto : in->upto;
    return in->sources[i] ? 0 : e->code;
}

static int open_run(struct input *in, struct blocks *bs, const struct run *r, struct err *e)
{
    uint32_t *all = arena_alloc(&in->a, r->most * sizeof(*all));
    int rc = 0;

    in->sources = arena_array(&in->a, r->n, sizeof(struct event_source *));
    in->rows = arena_array(&in->a, r->n, sizeof(const uint32_t *));
    in->n = arena_array(&in->a, r->n, sizeof(*in->n));
    if (!all || !in->sources || !in->rows || !in->n)
        return err_set(e, ERR_NOMEM, "no memory to merge blocks");
    for (uint32_t i = 0; i < r->most; i++)
        all[i] = i;
    for (size_t i = 0; rc == 0 && i < r->n; i++)
        rc = open_block(in, bs, r->blocks[i], i, all, e);
    return rc;
}

static int merge(struct blocks *bs, const struct run *r, struct err *e)
{
    struct input in = { .a = ARENA_INIT(0) };
    int64_t partition = blocks_partition(bs, r->blocks[0]->first);
    int rc = open_run(&in, bs, r, e);

    if (rc == 0) {
        const struct event_picks picks = { in.sources, in.rows, in.n, r->n };

        rc = event_block_write(bs, partition, &picks, in.upto, r->blocks, r->n, NULL, e);
    }
    arena_free(&in.a);
    return rc;
}

/* One of the run is damaged. */
static void set_aside(struct blocks *bs, const struct run *r)
{
    for (size_t i = 0; i < r->n; i++) {
        struct err why = ERR_INIT;

        if (event_block_check(bs, r->blocks[i], &why) == ERR_CORRUPT)
            blocks_set_aside(bs, r->blocks[i], &why);
    }
}

int event_merge(struct store *st, enum event_kind kind, struct err *e)
{
    struct event_store *es = &st->events[kind];
    struct block_list *list = blocks_hold(es->blocks);
    const struct run r = find_run(es->blocks, list, es->skip_rank);
    struct err why = ERR_INIT;
    int rc = r.n ? merge(es->blocks, &r, &why) : 0;

    if (rc == 0)
        atomic_fetch_add(&st->counters.merged, r.n);
    if (rc == ERR_CORRUPT)
        set_aside(es->blocks, &r);
    if (rc == ERR_LIMIT) /* too much for one block: this run stays */
        es->skip_rank = r.blocks[r.n - 1]->rank;
    blocks_release(es->blocks, list);
    if (rc == ERR_LIMIT || rc == ERR_CORRUPT)
        return 0;
    return rc < 0 ? err_set(e, rc, "%s", why.msg) : 0;
}
