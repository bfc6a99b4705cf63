/* blocks_clean.c: what nobody holds any more goes, step by step.
 *
 * A step is one small transaction: it removes some parts of a block, or moves some pages from the end of a file into
 * the free ones before (only when much of the file is free; else the next blocks fill them). */
#include "store/partition-internal.h"

#include "base/clock.h"
#include "base/mem.h"

/* Of one step: parts of 512 KiB, pages of 16 KiB. */
enum { STEP_PARTS = 8, STEP_PAGES = 256 };
#define READER_IDLE_NS ((int64_t)30 * 1000000000)

struct block *blocks_next_garbage(struct blocks *bs)
{
    struct block **at, *b;

    pthread_mutex_lock(&bs->lock);
    for (at = &bs->garbage; *at && (*at)->partition->writing; at = &(*at)->next)
        ;
    b = *at;
    if (b) {
        *at = b->next;
        if (!b->next)
            bs->garbage_end = at;
    }
    pthread_mutex_unlock(&bs->lock);
    return b;
}

void blocks_forget(struct blocks *bs, struct block *b)
{
    struct partition *p = b->partition;

    mem_free(b);
    partition_leave(bs, p);
}

static void set_loose(struct blocks *bs, struct partition *p, bool loose)
{
    pthread_mutex_lock(&bs->lock);
    p->loose = loose;
    pthread_mutex_unlock(&bs->lock);
}

/* The connection stays from step to step, so that a step need not wait for the disk: the log is copied into the file
 * when it has become long, and at the end. */
static int open_cleaner(struct blocks *bs, struct partition *p, struct err *e)
{
    int rc;

    if (bs->cleaning == p)
        return 0;
    blocks_close_cleaner(bs);
    rc = db_open_partition(p->path, blocks_mode(bs), &bs->cleaner, e);
    if (rc == 0)
        bs->cleaning = p;
    return rc;
}

void blocks_close_cleaner(struct blocks *bs)
{
    if (bs->cleaner)
        db_checkpoint(bs->cleaner);
    db_close(bs->cleaner);
    bs->cleaner = NULL;
    bs->cleaning = NULL;
}

static int remove_rows(struct blocks *bs, const struct block *b, bool *done, struct err *e)
{
    bool loose = false;
    int rc = open_cleaner(bs, b->partition, e);

    if (rc < 0)
        return rc;
    rc = db_begin(bs->cleaner, e);
    if (rc == 0)
        rc = db_block_remove(bs->cleaner, b->id, STEP_PARTS, done, e);
    if (rc == 0)
        rc = db_commit(bs->cleaner, e);
    else
        db_rollback(bs->cleaner);
    if (rc == 0 && *done && db_is_loose(bs->cleaner, &loose, NULL) == 0)
        set_loose(bs, b->partition, loose);
    return rc;
}

/* A block whose file goes as a whole, or whose rows stay, is only forgotten. (Should the file be written to again before
 * it goes, what was forgotten is marked as gone, and removed after the next start.) */
static int clean_block(struct blocks *bs, struct block *b, struct err *e)
{
    bool done = true;
    int rc = 0;

    if (!b->partition->dropped && !atomic_load(&b->damaged))
        rc = remove_rows(bs, b, &done, e);
    if (rc == 0 && done) {
        blocks_forget(bs, b);
        return 0;
    }
    pthread_mutex_lock(&bs->lock);
    blocks_discard(bs, b);
    pthread_mutex_unlock(&bs->lock);
    return rc;
}

static struct partition *find_loose(struct blocks *bs)
{
    struct partition *p;

    pthread_mutex_lock(&bs->lock);
    for (p = bs->partitions; p && (!p->loose || p->writing || p->dropped); p = p->next)
        ;
    pthread_mutex_unlock(&bs->lock);
    return p;
}

/* What was dropped, and nobody uses any more. */
static struct partition *find_dropped(struct blocks *bs)
{
    struct partition *p;

    pthread_mutex_lock(&bs->lock);
    for (p = bs->partitions; p && (!p->dropped || p->users); p = p->next)
        ;
    pthread_mutex_unlock(&bs->lock);
    return p;
}

bool blocks_dropping(struct blocks *bs)
{
    const struct partition *p;

    pthread_mutex_lock(&bs->lock);
    for (p = bs->partitions; p && !p->dropped; p = p->next)
        ;
    pthread_mutex_unlock(&bs->lock);
    return p != NULL;
}

static int shrink(struct blocks *bs, struct partition *p, struct err *e)
{
    bool left = false; /* after a failure, too: the next block that goes will find the file loose again */
    int rc = open_cleaner(bs, p, e);

    if (rc == 0)
        rc = db_shrink(bs->cleaner, STEP_PAGES, &left, e);
    set_loose(bs, p, rc == 0 && left);
    return rc;
}

/* 1: a file that was dropped is removed. */
static int remove_dropped(struct blocks *bs, struct err *e)
{
    struct partition *p = find_dropped(bs);
    int rc = p ? partition_remove(bs, p, e) : 0;

    return rc < 0 ? rc : p != NULL;
}

/* 1: something was done. */
static int clean_one(struct blocks *bs, struct err *e)
{
    struct block *b = blocks_next_garbage(bs);
    struct partition *p = b ? NULL : find_loose(bs);
    int rc = 0;

    if (b)
        rc = clean_block(bs, b, e);
    else if (p)
        rc = shrink(bs, p, e);
    else
        blocks_close_cleaner(bs);
    return rc < 0 ? rc : b || p;
}

/* Files first: on a full disk that makes room, and all else needs some. One that cannot be removed keeps nothing up. */
int blocks_clean(struct blocks *bs, struct err *e)
{
    int dropped = remove_dropped(bs, e);
    int rc = dropped == 1 ? 1 : clean_one(bs, e);

    block_readers_close(bs, NULL, clock_mono_ns() - READER_IDLE_NS);
    return dropped < 0 ? dropped : rc;
}
