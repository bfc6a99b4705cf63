/* event_build-internal.h: sealed blocks of rows: what is written, and how it is read again. Pure: bytes in, bytes out.
 *
 * A block is one directory (part 0: times, summaries, where each column is, small columns themselves), and bytes: columns
 * and filters, cut into parts that fill the pages of a database. Columns are packed by their form and zstd. Rows are
 * sorted by identity, the columns that say whose row it is (reporter, namespace, workload, source and destination,
 * service …), and then by time: what depends on the identity is constant over long runs and costs next to nothing.
 *
 * Whether a value is there a filter tells (event_filter.c), for columns of texts and of many values; it is cut into slices
 * by hash, so that a probe reads one slice of about 4 KB. Ids stand by their first bits: to look for one is to read as
 * much.
 *
 * What is at most 512 bytes stands in the directory itself. */
#ifndef STORE_EVENT_BUILD_INTERNAL_H
#define STORE_EVENT_BUILD_INTERNAL_H

#include "store/event_source-internal.h"

/* Parts of a block by number, below BLOCK_PARTS (sqlite-internal.h): 0 is the directory. */
enum { EVENT_BLOCK_BYTES = 64 << 20 /* of texts in a block, before packing: fewer rows when they are long */ };

/* Which rows go into a block: of sources[i], its rows rows[i][0..n[i]), all of one table. */
struct event_picks {
    struct event_source *const *sources;
    const uint32_t *const *rows;
    const size_t *n;
    size_t nsources;
};

struct event_built {
    uint64_t rows, bytes; /* bytes: of all parts */
    int64_t first_ns, last_ns;
    uint32_t parts;
};

/* Builds one block of the picked rows, at most EVENT_SOURCE_ROWS, a column at a time: memory is bounded by the largest
 * column. put() writes the parts, each number once, the directory last; what it returns when < 0 ends it. */
int event_build(const struct event_picks *p, int (*put)(void *arg, uint32_t no, struct str body, struct err *e),
                void *arg, struct event_built *out, struct err *e);

/* Reads [at, at + n) of part `no` into `to`; ERR_CORRUPT when there is no such part, or it is shorter. */
typedef int event_part_read(void *arg, uint32_t no, size_t at, size_t n, void *to, struct err *e);

/* A block as a source: `directory` is part 0, of which nothing is needed any more afterwards. Its own checksum is verified
 * here, those of the columns when they are read. `arg` is what `read` gets. */
struct event_source *event_block_open(struct str directory, event_part_read *read, void *arg, struct arena *a,
                                      struct err *e);
/* The same block for another thread: the parsed directory is shared. */
struct event_source *event_block_again(const struct event_source *s, event_part_read *read, void *arg, struct arena *a,
                                       struct err *e);
/* Reads every part and decodes every column, in memory of its own; for `vigla check` and tests. */
int event_block_verify(struct str directory, event_part_read *read, void *arg, struct err *e);

#endif
