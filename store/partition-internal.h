/* partition-internal.h: what the files behind blocks-internal.h share.
 *
 *   blocks.c        opening and closing; the list and who holds it
 *   blocks_clean.c  what nobody holds any more goes
 *   partition.c     the file of a partition: its name, what is in it
 *   block_update.c  a block is written and takes the place of others
 *   block_reader.c  parts are read; and what is in those of samples, as block_writer.c writes it */
#ifndef STORE_PARTITION_INTERNAL_H
#define STORE_PARTITION_INTERNAL_H

#include "store/blocks-internal.h"
#include "store/directory-internal.h"
#include "store/sqlite-internal.h"

#include <pthread.h>

/* The file of a span of time. It stays as long as a struct block or a writer refers to it; then it and its file go (one
 * that was dropped: when blocks_clean has been able to remove the file). */
struct partition {
    struct partition *next;
    int64_t number;
    size_t users;  /* blocks and writers */
    size_t left;   /* of those: as in struct blocks */
    bool orphans;  /* has blocks beyond blocks.upto that are not marked as gone */
    bool dropped;  /* goes with all that is in it, when nobody holds that any more */
    bool keep;     /* holds something that was set aside: the file stays */
    bool writing;  /* has a block_writer */
    bool loose;    /* should be made smaller */
    char path[];
};

struct blocks {
    const struct blocks_kind *kind;
    enum store_durability durability;
    uint64_t upto;                        /* as it was opened with */
    struct partition *cleaning;           /* the writer's: what the connection below is to */
    struct db *cleaner;
    pthread_mutex_t lock; /* guards all that follows, and the fields of partitions */
    struct block_list *list;
    size_t left;                          /* blocks that are committed and not listed yet */
    struct partition *partitions;
    struct block *garbage, **garbage_end; /* blocks that nobody holds, oldest first */
    struct block_reader *idle;            /* given back, the latest first */
    size_t nidle;
    uint64_t rank, damaged, losses;
    char dir[];                           /* the folder's path */
};

static inline enum db_mode blocks_mode(const struct blocks *bs)
{
    return bs->durability == STORE_POWER ? DB_WRITE_POWER : DB_WRITE;
}

/* --- partition.c: the writer's --- */

/* Under the lock; NULL: there is none. */
struct partition *partition_find(struct blocks *bs, int64_t number);
/* Adds one that is not there yet, without users. NULL: ERR_NOMEM. Takes the lock. */
struct partition *partition_add(struct blocks *bs, int64_t number, struct err *e);
/* One user less; the last one removes the partition and, unless it is to stay, its file; but partition_remove does so with
 * one that was dropped. Takes the lock. */
void partition_leave(struct blocks *bs, struct partition *p);
/* Removes a partition without users and its file. ERR_IO: it stays, to try again. */
int partition_remove(struct blocks *bs, struct partition *p, struct err *e);
void partition_forget(struct blocks *bs, struct partition *p); /* the file stays */
/* Reads which blocks the file has: those to be served are put behind (*found)[*n), which mem_grow grows; those that are
 * gone go into the garbage, damaged ones are set aside. ERR_NOMEM, or why the file as a whole is to be set aside. */
int partition_load(struct blocks *bs, struct partition *p, struct block ***found, size_t *n, size_t *cap,
                   struct err *e);
/* A file that stands in the place of a new partition was set aside: it is renamed, and stays. */
int partition_clear_place(struct partition *p, struct err *e);

/* --- blocks_clean.c --- */

/* Takes the oldest out of the garbage, of a partition that is not being written to; NULL: there is none. Takes the
 * lock. */
struct block *blocks_next_garbage(struct blocks *bs);
/* Closes the connection that cleans, after a checkpoint. */
void blocks_close_cleaner(struct blocks *bs);
/* Frees a block that is in no list and not in the garbage. */
void blocks_forget(struct blocks *bs, struct block *b);

/* --- blocks.c, under the lock --- */

/* Says so, and counts it. */
void blocks_mark_damaged(struct blocks *bs, struct block *b, const struct err *why);
/* Puts a block that no list has into the garbage. */
void blocks_discard(struct blocks *bs, struct block *b);
/* A list with room for so many; NULL: ERR_NOMEM. */
struct block_list *block_list_new(size_t n, struct err *e);
/* Makes `next` the present list: what is listed now, less those for which drop() is true, and added[0..n). Returns the one
 * before, for blocks_release. */
struct block_list *blocks_swap(struct blocks *bs, struct block_list *next, struct block *const *added, size_t n,
                               bool (*drop)(const struct block *b, const void *arg), const void *arg);

/* --- block_reader.c --- */

/* block_directory, which says besides what its pages sum up to. */
int block_directory_sums(struct block_reader *r, const struct block *b, struct arena *a, struct block_directory *out,
                         struct directory_sums *sums, struct err *e);

/* Closes idle connections: those to `p` (NULL: to any) that were given back before `before_ns` (monotonic). Takes the
 * lock. */
void block_readers_close(struct blocks *bs, const struct partition *p, int64_t before_ns);

#endif
