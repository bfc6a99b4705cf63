/* blocks-internal.h: sealed samples on disk: blocks of pages in one SQLite file for each span of time.
 *
 * DIR/metrics/NUMBER.db holds the samples with NUMBER <= floor(t / PARTITION_MS) < NUMBER + 1 (also before 1970), so
 * that retention removes files. A block is written once, in one transaction, and read until another replaces it or its
 * file goes. Its pages are sorted by index_order; its directory says which series stand in which page.
 *
 * Threads   One writer at a time (block_writer_*, blocks_drop, blocks_clean: one thread, which may be at several
 *           partitions); readers are many and hold a list of blocks, which stay readable as long as somebody holds
 *           them: rows and files are removed only after that.
 * Crash     A block's rows come in one transaction, which also marks the blocks it replaces as gone. What is marked and
 *           still there at the next start is removed then; so samples are never doubled and never lost.
 *
 * Functions that return int return 0 or ERR_IO, ERR_FULL (no space left: nothing has changed, try again later),
 * ERR_CORRUPT, ERR_NOMEM. */
#ifndef STORE_BLOCKS_INTERNAL_H
#define STORE_BLOCKS_INTERNAL_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "store/store.h"

#include <stdatomic.h>

#define PARTITION_MS ((int64_t)24 * 3600 * 1000)

/* floor(t / PARTITION_MS) */
static inline int64_t partition_of(int64_t t)
{
    return t / PARTITION_MS - (t % PARTITION_MS < 0);
}

struct blocks;
struct partition;

/* Bytes of a part, the blob that pages are put into; a page that is larger is a part of its own. */
enum { PART_BYTES = 512 * 1024, PAGE_BYTES_MAX = 1024 * 1024 };

/* Never changes once it is in a list. */
struct block {
    atomic_uint holders;    /* lists that have it */
    struct partition *partition;
    uint64_t id;            /* of its rows, in its file alone */
    uint64_t rank;          /* rising over all partitions: of two blocks with a sample for one series and time, the
                               higher rank's holds */
    int64_t first, last;    /* times of its samples, both inclusive */
    uint32_t series, pages; /* series: columns of its pages; each series has one */
    uint64_t samples, bytes; /* bytes of its pages */
    atomic_bool damaged;    /* set aside: its rows stay */
    struct block *next;     /* of those that nobody holds and that wait for blocks_clean */
};

/* What readers hold: the blocks by partition, then rank. */
struct block_list {
    atomic_uint holders;
    size_t n;
    struct block *blocks[];
};

/* Opens DIR/metrics (made when missing). A file or block that is damaged is set aside: named in a log line and counted,
 * not served, not removed. NULL: ERR_IO (also: a file cannot be read, which says nothing about what is in it), ERR_NOMEM. */
struct blocks *blocks_open(const char *dir, enum store_durability durability, struct err *e);
void blocks_close(struct blocks *bs); /* no list may be held any more; NULL is fine */

/* The present list, held for the caller; never NULL. Thread-safe. */
struct block_list *blocks_hold(struct blocks *bs);
void blocks_release(struct blocks *bs, struct block_list *list); /* NULL is fine */
/* Takes a block out of the list that a reader found damaged (`why`); logged and counted, once. Thread-safe. */
void blocks_set_aside(struct blocks *bs, struct block *b, const struct err *why);
uint64_t blocks_bytes(struct blocks *bs);    /* on disk, files and their logs */
uint64_t blocks_damaged(struct blocks *bs);  /* blocks and files set aside */
uint64_t blocks_losses(struct blocks *bs);   /* how often blocks were set aside or dropped: their samples are gone */
uint64_t blocks_rank(struct blocks *bs);     /* the highest rank there is */

/* --- writing --- */

/* A block being written: pages go in by rising index_order, then commit or abandon, which both free it. Its memory is
 * bounded (pages go to the file in parts of PART_BYTES). */
struct block_writer;
/* ERR_CONFLICT: another one is at this partition. */
struct block_writer *block_writer_new(struct blocks *bs, int64_t partition, struct err *e);
/* ids[0..n): the series of the page's columns, in their order; first..last: the times in it; samples: in it. */
int block_writer_add(struct block_writer *w, struct str page, const uint32_t *ids, size_t n, int64_t first,
                     int64_t last, size_t samples, struct err *e);
/* Commits it, under a rank above all others or, when it replaces blocks, the highest of theirs, and swaps the list. The
 * replaced blocks must be of the same partition (ERR_INVALID), and held. A block without pages only removes. */
int block_writer_commit(struct block_writer *w, struct block *const *replaced, size_t n, struct err *e);
void block_writer_abandon(struct block_writer *w);

/* Takes partitions that end at or before `before_ms` out of the list; their files go when nobody holds them. */
int blocks_drop(struct blocks *bs, int64_t before_ms, size_t *dropped, struct err *e);
/* One bounded step of removing the rows and files of blocks that nobody holds any more, of giving free space back, and
 * of closing connections that have been idle. 1: there is more to do; 0: not now. Called now and then by the writer,
 * not while a block is being written. */
int blocks_clean(struct blocks *bs, struct err *e);
/* Whether files of partitions that were dropped are still there: a start would find them again. */
bool blocks_dropping(struct blocks *bs);

/* --- reading --- */

/* A page of a block, as the directory tells. */
struct block_page {
    uint32_t first_column, n; /* its series: ids[first_column .. first_column + n) of the directory */
    uint32_t samples;
    uint32_t part, offset, length; /* parts count from 1 */
    int64_t first, last;
};
struct block_directory {
    const uint32_t *ids;  /* block->series of them, in page order */
    const struct block_page *pages;
    size_t n;             /* pages */
};

/* One thread's connection to one partition's file, taken from a pool and given back before the list is released. */
struct block_reader;
struct block_reader *block_reader_take(struct blocks *bs, struct partition *p, struct err *e);
void block_reader_give(struct blocks *bs, struct block_reader *r); /* NULL is fine */
/* The directory, in `a`. ERR_CORRUPT, ERR_IO, ERR_NOMEM. */
int block_directory(struct block_reader *r, const struct block *b, struct arena *a, struct block_directory *out,
                    struct err *e);
/* The same through a reader of its own. A block found damaged is set aside on the way. */
int blocks_directory(struct blocks *bs, struct block *b, struct arena *a, struct block_directory *out,
                     struct err *e);
/* The bytes of a page, put into `out` (emptied before). */
int block_page(struct block_reader *r, const struct block *b, const struct block_page *page, struct buf *out,
               struct err *e);

/* Reads all of a block: its row, directory and parts agree with each other, and page() is called for each page, in
 * order, to verify its bytes (a failure of it ends the check). ERR_CORRUPT says what is wrong. */
int blocks_check(struct blocks *bs, const struct block *b,
                 int (*page)(void *arg, struct str bytes, const uint32_t *ids, size_t n, struct err *e), void *arg,
                 struct err *e);

#endif
