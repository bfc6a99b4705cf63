/* directory-internal.h: which series stand in which page of a block, as bytes; the format is drawn in directory.c. */
#ifndef STORE_DIRECTORY_INTERNAL_H
#define STORE_DIRECTORY_INTERNAL_H

#include "store/blocks-internal.h"

/* At most, in one block: bounds what a hostile directory makes us allocate. */
enum { DIRECTORY_PAGES = (1 << 20) - 1, DIRECTORY_SERIES = 1 << 24 };

enum directory_column { DIR_LENGTH, DIR_SERIES, DIR_SAMPLES, DIR_FIRST, DIR_LAST, DIR_ID, DIR_COLUMNS };

/* What the pages of a directory sum up to. */
struct directory_sums {
    uint32_t pages, series, parts;
    uint64_t samples, bytes;
    int64_t first, last; /* of no page: first > last */
};

struct directory_writer {
    struct buf columns[DIR_COLUMNS];
    struct directory_sums sums;
    int64_t first_before;
    uint32_t id_before;
};

void directory_init(struct directory_writer *w);
void directory_fini(struct directory_writer *w);
/* Pages by rising part, then offset, without gaps. ERR_LIMIT (too many pages or series), ERR_INVALID (an empty page, a
 * series 0, times that do not rise, a part skipped), ERR_NOMEM. */
int directory_add(struct directory_writer *w, const struct block_page *page, const uint32_t *ids, struct err *e);
/* Appends the directory. ERR_NOMEM. */
int directory_encode(const struct directory_writer *w, struct buf *out, struct err *e);

/* Decodes into `a`; no more is allocated than `most` pages and series need. *sums is what was found.
 * ERR_CORRUPT says what is wrong; ERR_NOMEM (also: the arena's ceiling). */
int directory_decode(struct str bytes, const struct directory_sums *most, struct arena *a, struct block_directory *out,
                     struct directory_sums *sums, struct err *e);

#endif
