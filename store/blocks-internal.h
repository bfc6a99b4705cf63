/* blocks-internal.h: what is sealed, on disk: blocks in one SQLite file for each span of time.
 *
 * DIR/metrics/NUMBER.db holds the samples with NUMBER <= floor(t / PARTITION_MS) < NUMBER + 1 (also before 1970), so
 * that retention removes files; DIR/access_log, DIR/log and DIR/span hold rows in the same way. A block is written once, in
 * one transaction, and read until another replaces it or its file goes. What is in it is the business of whoever writes and
 * reads it: pages of samples (block_writer_*, block_page), or columns of rows (event_blocks-internal.h).
 *
 * Threads   One writer at a time (block_update_*, blocks_drop, blocks_clean: one thread, which may be at several
 *           partitions); readers are many and hold a list of blocks, which stay readable as long as somebody holds
 *           them: rows and files are removed only after that.
 * Crash     A block's rows come in one transaction, which also marks the blocks it replaces as gone. What is marked and
 *           still there at the next start is removed then; so samples are never doubled and never lost. Rows are not
 *           told apart, so a block says besides up to which journal record its rows came (`upto`), and counts only
 *           from the moment at which the store has noted that these are sealed: see block_update_leave.
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
struct block;
struct block_row;

/* What the blocks of a folder are of. */
struct blocks_kind {
    struct str folder; /* "metrics" */
    int64_t span;      /* of a partition, in the unit of the blocks' times */
    int (*check)(const struct block_row *row, struct err *e); /* whether its figures make sense; the times do. ERR_CORRUPT */
    void (*forget)(struct block *b); /* NULL, or called once no list has the block any more: what is kept for it goes */
};
extern const struct blocks_kind sample_blocks; /* block_writer.c */

/* Bytes of a part, the blob that pages are put into; a page that is larger is a part of its own. */
enum { PART_BYTES = 512 * 1024, PAGE_BYTES_MAX = 1024 * 1024 };

/* Never changes once it is in a list. */
struct block {
    atomic_uint holders;    /* lists that have it */
    struct partition *partition;
    uint64_t id;            /* of its rows, in its file alone */
    uint64_t rank;          /* rising over all partitions: of two blocks with a sample for one series and time, the
                               higher rank's holds */
    uint64_t upto;          /* journal record, of rows; 0 of samples */
    int64_t first, last;    /* times of its samples (ms) or rows (ns), both inclusive */
    uint32_t series, pages; /* series: columns of its pages; each series has one. Of rows: 0, and its parts */
    uint64_t rows, bytes;   /* samples, or rows; bytes of its pages, or of all parts */
    atomic_bool damaged;    /* set aside: its rows stay */
    void *kept;             /* NULL, or what its readers keep in memory: theirs, and they say how it is guarded */
    struct block *next;     /* of those that nobody holds and that wait for blocks_clean */
};

/* What readers hold: the blocks by partition, then rank. */
struct block_list {
    atomic_uint holders;
    size_t n;
    struct block *blocks[];
};

/* Opens the folder in DIR (made when missing). A file or block that is damaged is set aside: named in a log line and
 * counted, not served, not removed. A block beyond `upto` was left by a seal that did not come to its end: it is removed.
 * NULL: ERR_IO (also: a file cannot be read, which says nothing about what is in it), ERR_NOMEM. */
struct blocks *blocks_open(const char *dir, const struct blocks_kind *kind, uint64_t upto, enum store_durability durability,
                           struct err *e);
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

/* The number of the partition that a time belongs to. */
int64_t blocks_partition(const struct blocks *bs, int64_t t);
const struct blocks_kind *blocks_kind(const struct blocks *bs);

/* --- writing --- */

/* One transaction on a partition's file: the parts of a new block, and which blocks it replaces. */
struct block_update;
/* NULL: ERR_CONFLICT: another one is at this partition. The caller ends it. */
struct block_update *block_update_new(struct blocks *bs, int64_t partition, struct err *e);
int block_update_part(struct block_update *u, uint32_t no, struct str body, struct err *e);
/* What else the block is: `figures` has upto, first, last, series, pages, rows and bytes. Commits it, under a rank above all
 * others or, when it replaces blocks, the highest of theirs, and swaps the list. The replaced blocks must be of the same
 * partition (ERR_INVALID), and held. figures NULL: only removes. */
int block_update_commit(struct block_update *u, const struct block *figures, struct block *const *replaced, size_t n,
                        struct err *e);
/* Commits it, but lists it not: for one moment at which several blocks are to be listed. Until then it is the caller's
 * (*left), who lists it or gives it up. */
int block_update_leave(struct block_update *u, const struct block *figures, struct block **left, struct err *e);
/* Takes back what is not committed. NULL is fine. */
void block_update_end(struct block_update *u);

/* A list with room for n blocks more than are listed or left now: enough, whatever others do meanwhile, as long as only the
 * writer makes new ones. NULL: ERR_NOMEM. */
struct block_list *blocks_room(struct blocks *bs, size_t n, struct err *e);
/* Lists blocks that were left, and cannot fail: returns the list before, for blocks_release. */
struct block_list *blocks_list(struct blocks *bs, struct block_list *room, struct block *const *left, size_t n);
/* A block that was left is given up: its rows stay in the file, and are removed at the next start. */
void blocks_give_up(struct blocks *bs, struct block *left);
/* Marks as gone, in their files, what blocks_open found beyond its `upto`: before a higher one is noted anywhere. */
int blocks_disown(struct blocks *bs, struct err *e);

/* A block of samples being written: pages go in by rising index_order, then commit or abandon, which both free it. Its memory is
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
/* A part, of any block: n bytes from `at`; or appended to `out` as a whole. ERR_CORRUPT: it has not so many, or is not there. */
int block_part_read(struct block_reader *r, const struct block *b, uint32_t no, size_t at, size_t n, void *to, struct err *e);
int block_part(struct block_reader *r, const struct block *b, uint32_t no, struct buf *out, struct err *e);

/* The block's row in the file is as it was, and it has as many parts, of so many bytes, beside the directory. ERR_CORRUPT. */
int block_check_row(struct block_reader *r, const struct block *b, struct err *e);
int block_check_parts(struct block_reader *r, const struct block *b, uint64_t parts, uint64_t bytes, struct err *e);
/* Reads all of a block of samples: its row, directory and parts agree with each other, and page() is called for each page, in
 * order, to verify its bytes (a failure of it ends the check). ERR_CORRUPT says what is wrong. */
int blocks_check(struct blocks *bs, const struct block *b,
                 int (*page)(void *arg, struct str bytes, const uint32_t *ids, size_t n, struct err *e), void *arg,
                 struct err *e);

#endif
