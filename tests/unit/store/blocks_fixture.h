/* blocks_fixture.h: blocks of numbered items. An item is a page whose bytes, series, and times follow from its number,
 * so that a test can say of any block which items it has, and that each is as it was written. */
#ifndef TESTS_UNIT_STORE_BLOCKS_FIXTURE_H
#define TESTS_UNIT_STORE_BLOCKS_FIXTURE_H

#include "base/mem.h"
#include "base/rand.h"
#include "store/blocks-internal.h"
#include "tests/unit/store/fixture.h"

/* In memory where that can be had: what these tests are about does not depend on how long a sync takes. */
static inline void blocks_fixture_dir(char path[64])
{
    if (access("/dev/shm", W_OK) == 0)
        setenv("TMPDIR", "/dev/shm", 0);
    fixture_dir(path);
}

enum { ITEM_BYTES = 40000, ITEM_SERIES = 5 };

struct item {
    char *bytes; /* ITEM_BYTES of room */
    size_t nbytes;
    uint32_t ids[ITEM_SERIES];
    size_t n, samples;
    int64_t first, last;
};

/* As item k of a partition is. The first of its series is k. */
static inline void item_make(uint32_t k, int64_t partition, struct item *it)
{
    struct rng r = { { k, 1, 2, 3 } };
    char *bytes = it->bytes;

    for (int i = 0; i < 8; i++)
        rng_next(&r);
    it->nbytes = 1 + rng_below(&r, k % 8 ? 2000 : ITEM_BYTES);
    for (size_t i = 0; i < it->nbytes; i++)
        bytes[i] = (char)(rng_next(&r) >> 56);
    it->n = 1 + k % ITEM_SERIES;
    for (uint32_t i = 0; i < it->n; i++)
        it->ids[i] = k + i * i;
    it->samples = it->n * (1 + k % 7);
    it->first = partition * PARTITION_MS + (int64_t)rng_below(&r, PARTITION_MS / 2);
    it->last = it->first + (int64_t)rng_below(&r, PARTITION_MS / 2);
}

static inline struct item item_new(void)
{
    struct item it = { .bytes = malloc(ITEM_BYTES) };

    ck_assert_ptr_nonnull(it.bytes);
    return it;
}

static inline int item_write(struct block_writer *w, const struct item *it, struct err *e)
{
    return block_writer_add(w, (struct str){ it->bytes, it->nbytes }, it->ids, it->n, it->first, it->last, it->samples,
                            e);
}

/* One block with these items, in the place of others. */
static inline int block_put(struct blocks *bs, int64_t partition, const uint32_t *items, size_t n,
                            struct block *const *replaced, size_t nreplaced, struct err *e)
{
    struct err own = ERR_INIT, *why = e ? e : &own;
    struct block_writer *w = block_writer_new(bs, partition, why);
    struct item it = item_new();
    int rc = w ? 0 : why->code;

    for (size_t i = 0; rc == 0 && i < n; i++) {
        item_make(items[i], partition, &it);
        rc = item_write(w, &it, why);
    }
    free(it.bytes);
    if (rc == 0)
        return block_writer_commit(w, replaced, nreplaced, why);
    block_writer_abandon(w);
    return rc;
}

static inline void page_is_item(const struct block_directory *d, size_t i, const struct buf *bytes, int64_t partition,
                                struct item *it)
{
    const struct block_page *p = &d->pages[i];

    item_make(d->ids[p->first_column], partition, it);
    ck_assert_uint_eq(p->n, it->n);
    ck_assert_mem_eq(d->ids + p->first_column, it->ids, it->n * sizeof(it->ids[0]));
    ck_assert_int_eq(p->first, it->first);
    ck_assert_int_eq(p->last, it->last);
    ck_assert_uint_eq(p->samples, it->samples);
    ck_assert_uint_eq(bytes->n, it->nbytes);
    ck_assert_mem_eq(bytes->p, it->bytes, it->nbytes);
}

/* Reads all of a block by `r`. Each item is passed to fn. 0 or ERR_*. */
static inline int block_read(struct block_reader *r, const struct block *b, int64_t partition,
                             void (*fn)(void *arg, uint32_t item), void *arg, struct err *e)
{
    struct arena a = ARENA_INIT(0);
    struct buf bytes = BUF_INIT(PAGE_BYTES_MAX);
    struct block_directory d = { 0 };
    struct item it = item_new();
    int rc = block_directory(r, b, &a, &d, e);

    for (size_t i = 0; rc == 0 && i < d.n; i++) {
        rc = block_page(r, b, &d.pages[i], &bytes, e);
        if (rc == 0)
            page_is_item(&d, i, &bytes, partition, &it);
        if (rc == 0 && fn)
            fn(arg, d.ids[d.pages[i].first_column]);
    }
    free(it.bytes);
    buf_free(&bytes);
    arena_free(&a);
    return rc;
}

/* Reads every block of a list, whose partitions follow from the times. */
static inline void list_read(struct blocks *bs, const struct block_list *list, void (*fn)(void *arg, uint32_t item),
                             void *arg)
{
    for (size_t i = 0; i < list->n; i++) {
        const struct block *b = list->blocks[i];
        struct err e = ERR_INIT;
        struct block_reader *r = block_reader_take(bs, b->partition, &e);

        ck_assert_msg(r && block_read(r, b, partition_of(b->first), fn, arg, &e) == 0, "%s", e.msg);
        block_reader_give(bs, r);
    }
}

static inline void clean_all(struct blocks *bs)
{
    struct err e = ERR_INIT;
    int rc;

    while ((rc = blocks_clean(bs, &e)) == 1)
        ;
    ck_assert_msg(rc == 0, "%s", e.msg);
}

static inline struct blocks *blocks_must_open(const char *dir)
{
    struct err e = ERR_INIT;
    struct blocks *bs = blocks_open(dir, &sample_blocks, 0, STORE_PROCESS, &e);

    ck_assert_msg(bs != NULL, "%s", e.msg);
    return bs;
}

/* The items of some blocks, to write them again. */
struct items {
    uint32_t v[8000];
    size_t n;
};

static inline void items_add(void *arg, uint32_t item)
{
    struct items *it = arg;

    ck_assert_uint_lt(it->n, COUNT(it->v));
    it->v[it->n++] = item;
}

static inline void items_of(struct blocks *bs, const struct block *b, struct items *out)
{
    struct err e = ERR_INIT;
    struct block_reader *r = block_reader_take(bs, b->partition, &e);

    ck_assert_msg(r && block_read(r, b, partition_of(b->first), items_add, out, &e) == 0, "%s", e.msg);
    block_reader_give(bs, r);
}

/* A random run of neighbours of one partition: *n blocks from the one returned on; NULL when there are no blocks. */
static inline struct block *const *pick_blocks(struct rng *r, const struct block_list *list, size_t *n)
{
    size_t from = list->n ? rng_below(r, list->n) : 0, most = from + 1 + rng_below(r, 8), to = from;

    while (to < list->n && to < most && list->blocks[to]->partition == list->blocks[from]->partition)
        to++;
    *n = to - from;
    return *n ? list->blocks + from : NULL;
}

/* Items as a sum and a number: a set that is the same in any order. */
struct tally {
    uint64_t n, sum;
};

static inline void tally_add(void *arg, uint32_t item)
{
    struct tally *t = arg;

    t->n++;
    t->sum += item;
}

static inline struct tally tally_of(struct blocks *bs)
{
    struct block_list *list = blocks_hold(bs);
    struct tally t = { 0, 0 };

    list_read(bs, list, tally_add, &t);
    blocks_release(bs, list);
    return t;
}

#define ck_assert_tally(bs, count, total)                                                                    \
    do {                                                                                                     \
        struct tally tally_ = tally_of(bs);                                                                  \
        ck_assert_uint_eq(tally_.n, (count));                                                                \
        ck_assert_uint_eq(tally_.sum, (total));                                                              \
    } while (0)

#endif
