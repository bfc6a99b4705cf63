/* block_update.c: a block is written, and takes the place of others.
 *
 * One transaction in the partition's file holds it all: the parts, at the end the block's row, and the mark on those it
 * replaces. Only when that is committed is the list swapped; whatever the swap needs has been allocated before. The
 * connection ends with the update, after a checkpoint, so files that are not written to have no log.
 *
 * A block that is left (block_update_leave) is in its file as any other, but in no list. It keeps its partition, so that
 * retention does not take the file away before its moment comes; and should the process end before, `upto` tells the next
 * start that the moment never came. */
#include "store/partition-internal.h"

#include "base/mem.h"

struct block_update {
    struct blocks *bs;
    struct partition *p;
    struct db *db;
    uint64_t id;
    bool revives; /* the partition was dropped, and its file is still held */
};

/* Makes the partition ours, so that it stays. */
static int claim(struct block_update *u, int64_t number, struct err *e)
{
    struct blocks *bs = u->bs;
    struct partition *p;
    bool taken, fresh;

    pthread_mutex_lock(&bs->lock);
    p = partition_find(bs, number);
    pthread_mutex_unlock(&bs->lock);
    if (!p)
        p = partition_add(bs, number, e);
    if (!p)
        return ERR_NOMEM;
    pthread_mutex_lock(&bs->lock);
    taken = p->writing;
    fresh = p->users == 0 && !p->dropped;
    if (!taken) {
        p->writing = true;
        p->users++;
        u->p = p;
        u->revives = p->dropped;
    }
    pthread_mutex_unlock(&bs->lock);
    if (taken)
        return err_set(e, ERR_CONFLICT, "%s: another block is being written", p->path);
    if (!fresh || partition_clear_place(p, e) == 0)
        return 0;
    p->keep = true; /* the file in our place */
    return ERR_IO;
}

static int begin(struct block_update *u, struct err *e)
{
    uint64_t last;
    int rc = db_open_partition(u->p->path, blocks_mode(u->bs), &u->db, e);

    if (rc == 0)
        rc = db_begin(u->db, e);
    if (rc == 0)
        rc = db_blocks_schema(u->db, e);
    if (rc == 0)
        rc = db_blocks_last(u->db, &last, e);
    if (rc == 0)
        u->id = last + 1;
    if (rc == 0 && u->revives)
        rc = db_blocks_mark_gone(u->db, 0, e);
    return rc;
}

struct block_update *block_update_new(struct blocks *bs, int64_t partition, struct err *e)
{
    struct block_update *u = mem_zalloc(sizeof(*u));

    if (!u) {
        err_set(e, ERR_NOMEM, "no memory to write a block");
        return NULL;
    }
    u->bs = bs;
    if (claim(u, partition, e) == 0 && begin(u, e) == 0)
        return u;
    block_update_end(u);
    return NULL;
}

void block_update_end(struct block_update *u)
{
    if (!u)
        return;
    db_close(u->db); /* which rolls back what is not committed */
    if (u->p) {
        pthread_mutex_lock(&u->bs->lock);
        u->p->writing = false;
        pthread_mutex_unlock(&u->bs->lock);
        partition_leave(u->bs, u->p);
    }
    mem_free(u);
}

int block_update_part(struct block_update *u, uint32_t no, struct str body, struct err *e)
{
    return db_part_add(u->db, u->id, no, body, e);
}

/* --- the end --- */

struct replaced {
    struct block *const *v;
    size_t n;
};

static bool is_replaced(const struct block *b, const void *arg)
{
    const struct replaced *r = arg;

    for (size_t i = 0; i < r->n; i++)
        if (r->v[i] == b)
            return true;
    return false;
}

static int pick_rank(struct block_update *u, const struct replaced *r, uint64_t *rank, struct err *e)
{
    *rank = r->n ? 0 : blocks_rank(u->bs) + 1;
    for (size_t i = 0; i < r->n; i++) {
        if (r->v[i]->partition != u->p)
            return err_set(e, ERR_INVALID, "%s: cannot replace a block of %s", u->p->path, r->v[i]->partition->path);
        if (r->v[i]->rank > *rank)
            *rank = r->v[i]->rank;
    }
    return 0;
}

static struct block *block_new(const struct block_update *u, const struct block *figures, uint64_t rank, struct err *e)
{
    struct block *b = mem_zalloc(sizeof(*b));

    if (!b) {
        err_set(e, ERR_NOMEM, "no memory for a block");
        return NULL;
    }
    b->partition = u->p;
    b->id = u->id;
    b->rank = rank;
    b->upto = figures->upto;
    b->first = figures->first;
    b->last = figures->last;
    b->series = figures->series;
    b->pages = figures->pages;
    b->rows = figures->rows;
    b->bytes = figures->bytes;
    return b;
}

/* `b` NULL: only removes. */
static int commit(struct block_update *u, const struct block *b, const struct replaced *r, struct err *e)
{
    int rc = 0;

    if (b) {
        const struct block_row row = { .id = (int64_t)b->id,     .rank = (int64_t)b->rank, .upto = (int64_t)b->upto,
                                       .first = b->first,        .last = b->last,          .series = b->series,
                                       .pages = b->pages,        .rows = (int64_t)b->rows, .bytes = (int64_t)b->bytes };

        rc = db_block_add(u->db, &row, e);
    }
    for (size_t i = 0; rc == 0 && i < r->n; i++)
        rc = db_block_mark_gone(u->db, r->v[i]->id, e);
    return rc < 0 ? rc : db_commit(u->db, e);
}

/* The block is the partition's: with the lock held. */
static void adopt(struct block_update *u, const struct block *b)
{
    u->p->users++;
    u->p->dropped = false;
    if (b->rank > u->bs->rank)
        u->bs->rank = b->rank;
}

static void publish(struct block_update *u, struct block_list *next, struct block *b, const struct replaced *r)
{
    struct blocks *bs = u->bs;
    struct block_list *last;

    pthread_mutex_lock(&bs->lock);
    last = blocks_swap(bs, next, &b, b != NULL, is_replaced, r);
    if (b)
        adopt(u, b);
    pthread_mutex_unlock(&bs->lock);
    blocks_release(bs, last);
}

int block_update_commit(struct block_update *u, const struct block *figures, struct block *const *replaced, size_t n,
                        struct err *e)
{
    const struct replaced r = { replaced, n };
    struct block_list *next;
    struct block *b = NULL;
    uint64_t rank;
    int rc = pick_rank(u, &r, &rank, e);

    if (rc < 0)
        return rc;
    next = blocks_room(u->bs, 1, e);
    if (next && figures)
        b = block_new(u, figures, rank, e);
    if (!next || (figures && !b))
        rc = ERR_NOMEM;
    if (rc == 0)
        rc = commit(u, b, &r, e);
    if (rc < 0) {
        mem_free(b);
        mem_free(next);
        return rc;
    }
    publish(u, next, b, &r);
    db_checkpoint(u->db);
    return 0;
}

int block_update_leave(struct block_update *u, const struct block *figures, struct block **left, struct err *e)
{
    const struct replaced none = { NULL, 0 };
    struct block *b = block_new(u, figures, blocks_rank(u->bs) + 1, e);
    int rc = b ? commit(u, b, &none, e) : ERR_NOMEM;

    if (rc < 0) {
        mem_free(b);
        return rc;
    }
    pthread_mutex_lock(&u->bs->lock);
    adopt(u, b);
    u->p->left++;
    u->bs->left++;
    pthread_mutex_unlock(&u->bs->lock);
    db_checkpoint(u->db);
    *left = b;
    return 0;
}

/* --- blocks whose moment never came --- */

static int disown(struct blocks *bs, struct partition *p, struct err *e)
{
    struct db *db;
    int rc = db_open_partition(p->path, blocks_mode(bs), &db, e);

    if (rc < 0)
        return rc;
    rc = db_begin(db, e);
    if (rc == 0)
        rc = db_blocks_mark_gone(db, bs->upto + 1, e);
    if (rc == 0)
        rc = db_commit(db, e);
    if (rc == 0)
        db_checkpoint(db);
    db_close(db); /* which rolls back what is not committed */
    if (rc < 0)
        return rc;
    pthread_mutex_lock(&bs->lock);
    p->orphans = false;
    pthread_mutex_unlock(&bs->lock);
    return 0;
}

static struct partition *find_orphans(struct blocks *bs)
{
    struct partition *p;

    pthread_mutex_lock(&bs->lock);
    for (p = bs->partitions; p && !p->orphans; p = p->next)
        ;
    pthread_mutex_unlock(&bs->lock);
    return p;
}

int blocks_disown(struct blocks *bs, struct err *e)
{
    struct partition *p;
    int rc = 0;

    while (rc == 0 && (p = find_orphans(bs)))
        rc = disown(bs, p, e);
    return rc;
}
