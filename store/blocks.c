/* blocks.c: which blocks there are, and who holds them.
 *
 *     blocks_open, block_update_commit ──▶ listed ──▶ replaced, dropped, set aside: held by older lists
 *                                                            │ its last holder leaves (blocks_release)
 *                                                            ▼
 *                                          gone ◀──────── garbage
 *                                            (blocks_clean: rows or file)
 *
 * The present list is an array that never changes; a change makes another one and swaps it. A list holds its blocks;
 * the present list is held by `bs`. So a block that no list holds can come back into none. */
#include "store/partition-internal.h"

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- lists --- */

struct block_list *block_list_new(size_t n, struct err *e)
{
    struct block_list *list = mem_zalloc(sizeof(*list) + n * sizeof(list->blocks[0]));

    if (!list) {
        err_set(e, ERR_NOMEM, "no memory for a list of %zu blocks", n);
        return NULL;
    }
    atomic_init(&list->holders, 1);
    return list;
}

static int by_partition_and_rank(const void *a, const void *b)
{
    const struct block *x = *(struct block *const *)a, *y = *(struct block *const *)b;

    if (x->partition != y->partition)
        return x->partition->number < y->partition->number ? -1 : 1;
    return x->rank < y->rank ? -1 : x->rank > y->rank;
}

struct block_list *blocks_swap(struct blocks *bs, struct block_list *next, struct block *const *added, size_t n,
                               bool (*drop)(const struct block *b, const void *arg), const void *arg)
{
    struct block_list *last = bs->list;

    next->n = 0;
    for (size_t i = 0; i < last->n; i++)
        if (!drop(last->blocks[i], arg))
            next->blocks[next->n++] = last->blocks[i];
    for (size_t i = 0; i < n; i++)
        next->blocks[next->n++] = added[i];
    qsort(next->blocks, next->n, sizeof(next->blocks[0]), by_partition_and_rank);
    for (size_t i = 0; i < next->n; i++)
        atomic_fetch_add(&next->blocks[i]->holders, 1);
    bs->list = next;
    return last;
}

struct block_list *blocks_hold(struct blocks *bs)
{
    struct block_list *list;

    pthread_mutex_lock(&bs->lock); /* else its last holder could leave in between */
    list = bs->list;
    atomic_fetch_add(&list->holders, 1);
    pthread_mutex_unlock(&bs->lock);
    return list;
}

void blocks_discard(struct blocks *bs, struct block *b)
{
    if (bs->kind->forget)
        bs->kind->forget(b);
    b->next = NULL;
    *bs->garbage_end = b;
    bs->garbage_end = &b->next;
}

void blocks_release(struct blocks *bs, struct block_list *list)
{
    if (!list || atomic_fetch_sub(&list->holders, 1) > 1)
        return;
    pthread_mutex_lock(&bs->lock);
    for (size_t i = 0; i < list->n; i++)
        if (atomic_fetch_sub(&list->blocks[i]->holders, 1) == 1)
            blocks_discard(bs, list->blocks[i]);
    pthread_mutex_unlock(&bs->lock);
    mem_free(list);
}

static bool is(const struct block *b, const void *arg)
{
    return b == arg;
}

void blocks_mark_damaged(struct blocks *bs, struct block *b, const struct err *why)
{
    log_error("%s: block %llu is set aside: %s", b->partition->path, (unsigned long long)b->id, why->msg);
    atomic_store(&b->damaged, true);
    b->partition->keep = true;
    bs->damaged++;
}

void blocks_set_aside(struct blocks *bs, struct block *b, const struct err *why)
{
    struct block_list *next, *last = NULL;

    pthread_mutex_lock(&bs->lock);
    if (!atomic_load(&b->damaged)) {
        blocks_mark_damaged(bs, b, why);
        next = block_list_new(bs->list->n, NULL);
        if (next) /* else it stays listed */
            last = blocks_swap(bs, next, NULL, 0, is, b);
        bs->losses++;
    }
    pthread_mutex_unlock(&bs->lock);
    blocks_release(bs, last);
}

static bool in_dropped(const struct block *b, const void *arg)
{
    (void)arg;
    return b->partition->dropped;
}

int blocks_drop(struct blocks *bs, int64_t before_ms, size_t *dropped, struct err *e)
{
    struct block_list *next, *last;

    *dropped = 0;
    pthread_mutex_lock(&bs->lock);
    next = block_list_new(bs->list->n, e);
    if (!next) {
        pthread_mutex_unlock(&bs->lock);
        return ERR_NOMEM;
    }
    for (struct partition *p = bs->partitions; p; p = p->next)
        if (p->number < partition_of(before_ms) && !p->dropped && !p->writing && !p->left && p->users) {
            p->dropped = true;
            ++*dropped;
        }
    last = blocks_swap(bs, next, NULL, 0, in_dropped, NULL);
    bs->losses += *dropped;
    pthread_mutex_unlock(&bs->lock);
    blocks_release(bs, last);
    return 0;
}

/* --- opening --- */

/* NUMBER.db, the number as we print it. */
static bool is_partition_file(const struct blocks *bs, const char *name, int64_t *number)
{
    char again[32];
    size_t n = strlen(name);

    if (n < 4 || strcmp(name + n - 3, ".db") != 0 || !num_i64((struct str){ name, n - 3 }, number))
        return false;
    if (*number < blocks_partition(bs, INT64_MIN) || *number > blocks_partition(bs, INT64_MAX))
        return false;
    snprintf(again, sizeof(again), "%lld.db", (long long)*number);
    return strcmp(again, name) == 0;
}

static int load_file(struct blocks *bs, int64_t number, struct block ***found, size_t *n, size_t *cap, struct err *e)
{
    struct partition *p = partition_add(bs, number, e);
    struct err why = ERR_INIT;
    int rc;

    if (!p)
        return ERR_NOMEM;
    p->users++; /* until it is known whether it has blocks */
    rc = partition_load(bs, p, found, n, cap, &why);
    if (rc < 0)
        p->keep = true;
    if (rc == ERR_CORRUPT || rc == ERR_UNSUPPORTED) { /* else it may be as good as ever, and must not be hidden */
        log_error("%s is set aside: %s", p->path, why.msg);
        bs->damaged++;
        rc = 0;
    }
    partition_leave(bs, p);
    return rc < 0 ? err_set(e, rc, "%s%s", why.msg, rc == ERR_IO ? " (or move the file away, to start without it)" : "") : 0;
}

static int load_all(struct blocks *bs, struct block ***found, size_t *n, struct err *e)
{
    DIR *d = opendir(bs->dir);
    struct dirent *entry;
    int64_t number;
    size_t cap = 0;
    int rc = 0;

    if (!d)
        return err_set(e, ERR_IO, "%s: %m", bs->dir);
    while (rc == 0 && (entry = readdir(d)))
        if (is_partition_file(bs, entry->d_name, &number))
            rc = load_file(bs, number, found, n, &cap, e);
    closedir(d);
    return rc;
}

/* Two blocks of one rank would leave open whose samples hold: one of them is kept out. */
static int first_list(struct blocks *bs, struct block **found, size_t n, struct err *e)
{
    struct block_list *list = block_list_new(n, e);
    struct err why = ERR_INIT;

    for (size_t i = 0; !list && i < n; i++)
        blocks_discard(bs, found[i]);
    if (!list)
        return ERR_NOMEM;
    if (n)
        qsort(found, n, sizeof(found[0]), by_partition_and_rank);
    for (size_t i = 0; i < n; i++) {
        const struct block *before = list->n ? list->blocks[list->n - 1] : NULL;

        if (before && by_partition_and_rank(&before, &found[i]) == 0) {
            err_set(&why, ERR_CORRUPT, "rank %llu twice", (unsigned long long)before->rank);
            blocks_mark_damaged(bs, found[i], &why);
            blocks_discard(bs, found[i]);
        } else {
            atomic_store(&found[i]->holders, 1);
            list->blocks[list->n++] = found[i];
        }
    }
    bs->list = list;
    return 0;
}

static struct blocks *blocks_new(const char *dir, const struct blocks_kind *kind, uint64_t upto,
                                 enum store_durability durability)
{
    size_t n = strlen(dir) + 1 + kind->folder.n + 1;
    struct blocks *bs = mem_zalloc(sizeof(*bs) + n);

    if (!bs)
        return NULL;
    bs->kind = kind;
    bs->upto = upto;
    bs->durability = durability;
    bs->garbage_end = &bs->garbage;
    snprintf(bs->dir, n, "%s/%.*s", dir, STR_ARG(kind->folder));
    if (pthread_mutex_init(&bs->lock, NULL) == 0)
        return bs;
    mem_free(bs);
    return NULL;
}

/* That the directory is there after a loss of power, too; SQLite sees to what is in it. */
static int sync_parent(const char *dir, struct err *e)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = fd >= 0 && fsync(fd) == 0 ? 0 : err_set(e, ERR_IO, "%s: fsync: %m", dir);

    if (fd >= 0)
        close(fd);
    return rc;
}

struct blocks *blocks_open(const char *dir, const struct blocks_kind *kind, uint64_t upto, enum store_durability durability,
                           struct err *e)
{
    struct blocks *bs = blocks_new(dir, kind, upto, durability);
    struct block **found = NULL;
    size_t n = 0;
    int rc;

    if (!bs) {
        err_set(e, ERR_NOMEM, "%s: no memory", dir);
        return NULL;
    }
    rc = file_mkdirs(bs->dir, e);
    if (rc == 0)
        rc = sync_parent(dir, e);
    if (rc == 0)
        rc = load_all(bs, &found, &n, e);
    if (rc == 0)
        rc = first_list(bs, found, n, e);
    else
        for (size_t i = 0; i < n; i++)
            blocks_discard(bs, found[i]);
    mem_free(found);
    if (rc == 0)
        return bs;
    blocks_close(bs);
    return NULL;
}

void blocks_close(struct blocks *bs)
{
    struct err e = ERR_INIT;

    if (!bs)
        return;
    block_readers_close(bs, NULL, INT64_MAX);
    blocks_close_cleaner(bs);
    blocks_release(bs, bs->list);
    for (struct partition *p = bs->partitions; p; p = p->next)
        p->keep = true;
    while (bs->garbage)
        blocks_forget(bs, blocks_next_garbage(bs));
    while (bs->partitions) /* dropped ones, that are used no more */
        if (partition_remove(bs, bs->partitions, &e) < 0) {
            log_warn("%s (it is read again at the next start, and dropped again)", e.msg);
            partition_forget(bs, bs->partitions);
        }
    pthread_mutex_destroy(&bs->lock);
    mem_free(bs);
}

/* --- blocks that were left --- */

struct block_list *blocks_room(struct blocks *bs, size_t n, struct err *e)
{
    size_t most;

    pthread_mutex_lock(&bs->lock);
    most = bs->list->n + bs->left + n;
    pthread_mutex_unlock(&bs->lock);
    return block_list_new(most, e);
}

static bool is_none(const struct block *b, const void *arg)
{
    (void)b;
    (void)arg;
    return false;
}

struct block_list *blocks_list(struct blocks *bs, struct block_list *room, struct block *const *left, size_t n)
{
    struct block_list *last;

    pthread_mutex_lock(&bs->lock);
    last = blocks_swap(bs, room, left, n, is_none, NULL);
    bs->left -= n;
    for (size_t i = 0; i < n; i++)
        left[i]->partition->left--;
    pthread_mutex_unlock(&bs->lock);
    return last;
}

void blocks_give_up(struct blocks *bs, struct block *left)
{
    pthread_mutex_lock(&bs->lock);
    bs->left--;
    left->partition->left--;
    left->partition->keep = true;
    pthread_mutex_unlock(&bs->lock);
    blocks_forget(bs, left);
}

/* --- figures --- */

int64_t blocks_partition(const struct blocks *bs, int64_t t)
{
    return t / bs->kind->span - (t % bs->kind->span < 0);
}

const struct blocks_kind *blocks_kind(const struct blocks *bs)
{
    return bs->kind;
}

uint64_t blocks_bytes(struct blocks *bs)
{
    DIR *d = opendir(bs->dir);
    struct dirent *entry;
    struct stat st;
    uint64_t n = 0;

    while (d && (entry = readdir(d)))
        if (fstatat(dirfd(d), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode))
            n += (uint64_t)st.st_size;
    if (d)
        closedir(d);
    return n;
}

uint64_t blocks_damaged(struct blocks *bs)
{
    uint64_t n;

    pthread_mutex_lock(&bs->lock);
    n = bs->damaged;
    pthread_mutex_unlock(&bs->lock);
    return n;
}

uint64_t blocks_losses(struct blocks *bs)
{
    uint64_t n;

    pthread_mutex_lock(&bs->lock);
    n = bs->losses;
    pthread_mutex_unlock(&bs->lock);
    return n;
}

uint64_t blocks_rank(struct blocks *bs)
{
    uint64_t rank;

    pthread_mutex_lock(&bs->lock);
    rank = bs->rank;
    pthread_mutex_unlock(&bs->lock);
    return rank;
}
