#include "store/partition-internal.h"

#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

enum { MAX_ID_BITS = 40, MAX_RANK_BITS = 62, MAX_ASIDE = 1000 };

struct partition *partition_find(struct blocks *bs, int64_t number)
{
    struct partition *p = bs->partitions;

    while (p && p->number != number)
        p = p->next;
    return p;
}

struct partition *partition_add(struct blocks *bs, int64_t number, struct err *e)
{
    size_t n = strlen(bs->dir) + 32;
    struct partition *p = mem_zalloc(sizeof(*p) + n);

    if (!p) {
        err_set(e, ERR_NOMEM, "%s: no memory", bs->dir);
        return NULL;
    }
    p->number = number;
    snprintf(p->path, n, "%s/%lld.db", bs->dir, (long long)number);
    pthread_mutex_lock(&bs->lock);
    p->next = bs->partitions;
    bs->partitions = p;
    pthread_mutex_unlock(&bs->lock);
    return p;
}

/* `fn` of the file and of its log. The file first: a log without its file means nothing, but not the reverse. */
static int each_file(const struct partition *p, const char *to, int (*fn)(const char *path, const char *to))
{
    char from_log[PATH_MAX + sizeof("-wal")], to_log[PATH_MAX + sizeof("-wal")];
    int rc = fn(p->path, to);

    snprintf(from_log, sizeof(from_log), "%s-wal", p->path);
    snprintf(to_log, sizeof(to_log), "%s-wal", to);
    if (rc == 0 && fn(from_log, to_log) < 0 && errno != ENOENT)
        rc = -1;
    return rc;
}

static int remove_file(const char *path, const char *to)
{
    (void)to;
    return unlink(path) < 0 && errno != ENOENT ? -1 : 0;
}

/* With the lock held. */
static void unlist(struct blocks *bs, const struct partition *p)
{
    struct partition **at = &bs->partitions;

    while (*at != p)
        at = &(*at)->next;
    *at = p->next;
}

void partition_leave(struct blocks *bs, struct partition *p)
{
    bool ends;

    pthread_mutex_lock(&bs->lock);
    ends = --p->users == 0 && !p->dropped;
    if (ends)
        unlist(bs, p);
    pthread_mutex_unlock(&bs->lock);
    if (!ends)
        return;
    block_readers_close(bs, p, INT64_MAX);
    if (bs->cleaning == p)
        blocks_close_cleaner(bs);
    if (!p->keep && each_file(p, p->path, remove_file) < 0)
        log_warn("%s: remove: %m", p->path); /* nothing is in it; the next start will try again */
    mem_free(p);
}

int partition_remove(struct blocks *bs, struct partition *p, struct err *e)
{
    block_readers_close(bs, p, INT64_MAX);
    if (bs->cleaning == p)
        blocks_close_cleaner(bs);
    if (each_file(p, p->path, remove_file) < 0)
        return err_set(e, ERR_IO, "%s: remove: %m", p->path);
    partition_forget(bs, p);
    return 0;
}

void partition_forget(struct blocks *bs, struct partition *p)
{
    pthread_mutex_lock(&bs->lock);
    unlist(bs, p);
    pthread_mutex_unlock(&bs->lock);
    mem_free(p);
}

int partition_clear_place(struct partition *p, struct err *e)
{
    char aside[PATH_MAX];

    if (access(p->path, F_OK) < 0)
        return 0;
    for (int i = 1; i <= MAX_ASIDE; i++) {
        snprintf(aside, sizeof(aside), "%s.aside%d", p->path, i);
        if (access(aside, F_OK) == 0)
            continue;
        if (each_file(p, aside, rename) < 0)
            return err_set(e, ERR_IO, "%s: rename: %m", p->path);
        log_warn("%s was set aside: it is now %s", p->path, aside);
        return 0;
    }
    return err_set(e, ERR_CONFLICT, "%s: set aside, as are %d before it (move them away)", p->path, MAX_ASIDE);
}

/* --- what is in a file --- */

struct loading {
    struct blocks *bs;
    struct partition *p;
    struct block ***found, *gone;
    size_t *n, *cap;
};

static int check_row(const struct blocks *bs, const struct partition *p, const struct block_row *r, struct err *e)
{
    if (r->rank <= 0 || r->rank >> MAX_RANK_BITS)
        return err_set(e, ERR_CORRUPT, "rank %lld", (long long)r->rank);
    if (r->first > r->last || blocks_partition(bs, r->first) != p->number || blocks_partition(bs, r->last) != p->number)
        return err_set(e, ERR_CORRUPT, "times from %lld to %lld, not of this file", (long long)r->first,
                       (long long)r->last);
    return bs->kind->check(r, e);
}

static int keep_block(struct loading *l, struct block *b, bool gone)
{
    if (gone) {
        b->next = l->gone;
        l->gone = b;
    } else {
        if (mem_grow(l->found, l->cap, *l->n + 1, sizeof(**l->found)) < 0)
            return ERR_NOMEM;
        (*l->found)[(*l->n)++] = b;
    }
    return 0;
}

static int load_row(void *arg, const struct block_row *r, struct err *e)
{
    struct loading *l = arg;
    struct partition *p = l->p;
    struct err why = ERR_INIT;
    struct block *b;
    bool orphan, gone;

    if (r->id <= 0 || r->id >> MAX_ID_BITS || (!r->gone && check_row(l->bs, p, r, &why) < 0)) {
        log_error("%s: block %lld is set aside: %s", p->path, (long long)r->id, why.code ? why.msg : "its number");
        l->bs->damaged++;
        p->keep = true;
        return 0;
    }
    orphan = !r->gone && (uint64_t)r->upto > l->bs->upto;
    gone = r->gone || orphan;
    b = mem_zalloc(sizeof(*b));
    if (!b || keep_block(l, b, gone) < 0) {
        mem_free(b);
        return err_set(e, ERR_NOMEM, "%s: no memory for its blocks", p->path);
    }
    b->partition = p;
    b->id = (uint64_t)r->id;
    b->rank = (uint64_t)r->rank;
    b->upto = (uint64_t)r->upto;
    b->first = r->first;
    b->last = r->last;
    b->series = (uint32_t)r->series;
    b->pages = (uint32_t)r->pages;
    b->rows = (uint64_t)r->rows;
    b->bytes = (uint64_t)r->bytes;
    p->users++;
    p->orphans |= orphan;
    if (!gone && b->rank > l->bs->rank)
        l->bs->rank = b->rank;
    return 0;
}

static int read_file(struct loading *l, struct db *db, struct err *e)
{
    bool empty;
    int rc = db_blocks_recognise(db, &empty, e);

    if (rc < 0 || empty)
        return rc;
    rc = db_blocks_each(db, load_row, l, e);
    if (rc == 0)
        rc = db_is_loose(db, &l->p->loose, e);
    return rc;
}

static void take_gone(struct loading *l, void (*fn)(struct blocks *bs, struct block *b))
{
    while (l->gone) {
        struct block *b = l->gone;

        l->gone = b->next;
        fn(l->bs, b);
    }
}

int partition_load(struct blocks *bs, struct partition *p, struct block ***found, size_t *n, size_t *cap,
                   struct err *e)
{
    struct loading l = { bs, p, found, NULL, n, cap };
    size_t before = *n;
    struct db *db;
    int rc = db_open_partition(p->path, DB_READ, &db, e);

    if (rc == 0)
        rc = read_file(&l, db, e);
    db_close(db);
    if (rc < 0) {
        p->keep = true;
        take_gone(&l, blocks_forget);
        while (*n > before)
            blocks_forget(bs, (*found)[--*n]);
    }
    take_gone(&l, blocks_discard);
    return rc;
}
