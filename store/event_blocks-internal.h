/* event_blocks-internal.h: blocks of rows (event_build-internal.h) in files of blocks (blocks-internal.h). */
#ifndef STORE_EVENT_BLOCKS_INTERNAL_H
#define STORE_EVENT_BLOCKS_INTERNAL_H

#include "store/blocks-internal.h"
#include "store/event_build-internal.h"

extern const struct blocks_kind event_blocks[EVENT_KINDS];

/* Writes the picked rows, all of this partition, as one block that says `upto`: in the place of replaced[0..n), or, with
 * `left` not NULL, as one that is left unlisted (block_update_leave). ERR_IO, ERR_FULL, ERR_NOMEM, ERR_CORRUPT (a source),
 * ERR_LIMIT (too much for one block); then nothing has changed. */
int event_block_write(struct blocks *bs, int64_t partition, const struct event_picks *rows, uint64_t upto,
                      struct block *const *replaced, size_t n, struct block **left, struct err *e);

struct event_directory_cache;

/* A block that is read: through `reader`, which belongs to the caller's thread, or (NULL) through one that is taken anew for
 * each read; its directory out of `directories`, or (NULL) from the disk. */
struct event_block_input {
    struct blocks *bs;
    struct block *block; /* held */
    struct block_reader *reader;
    struct event_directory_cache *directories;
};
event_part_read event_block_read; /* `arg` is a struct event_block_input */
/* The block as a source that lives in `a`, as `in` does. ERR_CORRUPT: also when it is not as its row says. */
struct event_source *event_block_source(struct event_block_input *in, struct arena *a, struct err *e);
/* Reads all of it; for `vigla check`. ERR_CORRUPT says what is wrong. */
int event_block_check(struct blocks *bs, struct block *b, struct err *e);

#endif
