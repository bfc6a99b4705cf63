/* merge.c: blocks whose series are short become one whose series are longer.
 *
 * A block of a head that many series fill has few samples of each: its columns compress badly and a query opens many
 * pages for little. So neighbours by rank in one partition are merged while they are thin:
 *
 *     thin      fewer than THIN samples a series on average
 *     a run     at least RUN_MIN thin blocks with ranks one behind the other, RUN_MAX at most, that together stay below
 *               DENSE samples a series; in partitions of days past, two are enough
 *
 * Each sample is written again log(THIN) / log(RUN_MIN) times at most. Only neighbours are merged, for the rank says which
 * sample wins: the new block takes the highest rank of its run. A run whose block would be too dense for a page (one
 * series with very many samples) stays as it is. */
#include "store/merge-internal.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/bits-internal.h"
#include "store/build-internal.h"
#include "store/store-internal.h"

#include <stdlib.h>

enum { THIN = 128, DENSE = 512, RUN_MIN = 4, RUN_MAX = 8 };

struct run {
    struct block *const *blocks;
    size_t n;
};

static bool is_thin(const struct block *b)
{
    return b->rows < (uint64_t)b->series * THIN;
}

/* The longest run from `first` on. */
static struct run run_from(const struct block_list *list, size_t first)
{
    struct run r = { list->blocks + first, 0 };
    uint64_t samples = 0, series = 1;

    while (first + r.n < list->n && r.n < RUN_MAX) {
        const struct block *b = list->blocks[first + r.n];
        uint64_t more = b->series > series ? b->series : series;

        if (b->partition != r.blocks[0]->partition || !is_thin(b) || samples + b->rows > more * DENSE)
            break;
        samples += b->rows;
        series = more;
        r.n++;
    }
    return r;
}

static struct run find_run(const struct block_list *list, int64_t today, uint64_t *skip)
{
    for (size_t i = 0; i < list->n; i++) {
        const struct run r = run_from(list, i);
        size_t enough = partition_of(list->blocks[i]->last) < today ? 2 : RUN_MIN;

        if (r.n >= enough && list->blocks[i]->rank > *skip)
            return r;
    }
    return (struct run){ NULL, 0 };
}

static int collect_ids(struct store *st, const struct run *r, struct arena *a, uint32_t **ids, size_t *n, struct err *e)
{
    uint32_t end;
    uint64_t *bits;
    int rc = 0;

    pthread_rwlock_rdlock(&st->lock);
    end = index_end(st->index);
    pthread_rwlock_unlock(&st->lock);
    bits = arena_array(a, bits_words(end), sizeof(*bits));
    if (!bits)
        rc = err_set(e, ERR_NOMEM, "no memory for a list of series");
    *n = 0;
    for (size_t i = 0; rc == 0 && i < r->n; i++) {
        struct arena scratch = ARENA_INIT(0);
        struct block_directory d;

        rc = blocks_directory(st->blocks, r->blocks[i], &scratch, &d, e);
        for (uint32_t k = 0; rc == 0 && k < r->blocks[i]->series; k++)
            if (d.ids[k] < end && !bits_test(bits, d.ids[k])) {
                bits_set(bits, d.ids[k]);
                ++*n;
            }
        arena_free(&scratch);
    }
    *ids = rc == 0 ? arena_array(a, *n + 1, sizeof(**ids)) : NULL;
    if (rc == 0 && !*ids)
        rc = err_set(e, ERR_NOMEM, "no memory for a list of %zu series", *n);
    *n = 0;
    for (uint32_t id = 0; rc == 0 && id < end; id++)
        if (bits_test(bits, id))
            (*ids)[(*n)++] = id;
    return rc;
}

int merge_blocks(struct store *st, struct block *const *blocks, size_t n, const struct build_cut *cut, struct err *e)
{
    const struct run r = { blocks, n };
    struct arena a = ARENA_INIT(0); /* bounded by the blocks */
    struct scan_input in = { .store = st->blocks, .from_ms = INT64_MIN, .to_ms = INT64_MAX, .blocks = blocks, .nblocks = n };
    struct scan *scan = NULL;
    uint32_t *ids;
    int rc = collect_ids(st, &r, &a, &ids, &in.n, e);

    if (rc == 0) {
        in.end = in.n ? ids[in.n - 1] + 1 : 0;
        in.ids = ids;
        pthread_rwlock_rdlock(&st->lock);
        rc = index_sort(st->index, ids, in.n);
        pthread_rwlock_unlock(&st->lock);
        if (rc < 0)
            err_set(e, rc, "no memory to sort %zu series", in.n);
    }
    if (rc == 0 && !(scan = scan_open(&in, &a, e)))
        rc = e->code;
    if (rc == 0)
        rc = build_block(st->blocks, scan, ids, partition_of(blocks[0]->first), cut, blocks, n, e);
    arena_free(&a);
    return rc;
}

static int merge_one(struct store *st, struct err *e)
{
    struct block_list *list = blocks_hold(st->blocks);
    const struct run r = find_run(list, partition_of(clock_now_ms()), &st->sealer.skip_rank);
    int rc = r.n ? merge_blocks(st, r.blocks, r.n, NULL, e) : 0;

    if (rc == 0)
        atomic_fetch_add(&st->counters.merged, r.n);
    if (rc == ERR_RANGE) /* too dense: this run stays */
        st->sealer.skip_rank = r.blocks[r.n - 1]->rank;
    blocks_release(st->blocks, list);
    /* A damaged block is set aside, and told of: the next run is without it. */
    return rc == ERR_RANGE || rc == ERR_CORRUPT ? 0 : rc;
}

/* Partitions that the retention leaves nothing of. */
static int drop_old(struct store *st, struct blocks *bs, size_t *dropped, struct err *e)
{
    *dropped = 0;
    if (st->options.retention_ms <= 0)
        return 0;
    return blocks_drop(bs, clock_now_ms() - st->options.retention_ms, dropped, e);
}

/* The first failure of several. */
static void join(int *rc, int one)
{
    *rc = *rc < 0 ? *rc : one < 0 ? one : 0;
}

/* Each of these whatever becomes of the others: on a full disk nothing can be merged, and what is dropped and removed
 * makes room. */
static int tidy_samples(struct store *st, struct err *e)
{
    size_t dropped;
    int rc = drop_old(st, st->blocks, &dropped, e);

    if (dropped)
        atomic_store(&st->sealer.forget, true);
    join(&rc, merge_one(st, e));
    join(&rc, blocks_clean(st->blocks, e));
    return rc;
}

static int tidy_events(struct store *st, enum event_kind kind, struct err *e)
{
    struct blocks *bs = st->events[kind].blocks;
    size_t dropped;
    int rc = drop_old(st, bs, &dropped, e);

    join(&rc, event_merge(st, kind, e));
    join(&rc, blocks_clean(bs, e));
    return rc;
}

static int tidy(struct store *st, struct err *e)
{
    int rc;

    pthread_mutex_lock(&st->writing);
    rc = tidy_samples(st, e);
    for (int kind = 0; kind < EVENT_KINDS; kind++)
        join(&rc, tidy_events(st, (enum event_kind)kind, e));
    pthread_mutex_unlock(&st->writing);
    return rc;
}

void merge_tick(struct store *st)
{
    struct err e = ERR_INIT;
    int rc = tidy(st, &e);

    /* A block in a file that is still there must not come back with series that nobody knows. And the committer waits for
     * the sealer when a head is full: then the sealer must not wait for the committer. */
    if (!blocks_dropping(st->blocks) && !sealer_is_busy(&st->sealer) && atomic_exchange(&st->sealer.forget, false)) {
        int forgotten = retention_forget(st, &e);

        atomic_store(&st->sealer.forget, forgotten < 0);
        rc = rc < 0 ? rc : forgotten;
    }
    if (rc < 0 && !st->sealer.untidy) /* told once, until it works again */
        log_error("tidying the data: %s (will be tried again)", e.msg);
    st->sealer.untidy = rc < 0;
}
