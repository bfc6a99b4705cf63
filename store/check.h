/* check.h: whether a data directory is what was written: every checksum, every count, every reference. */
#ifndef STORE_CHECK_H
#define STORE_CHECK_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct store_check {
    /* Called with each fault found, named; may be NULL. */
    void (*fault)(void *arg, const char *text);
    void *arg;
    bool rebuild; /* afterwards make anew what follows from the rest: indexes, the log of series, free space */

    /* What was found. */
    uint64_t faults, records, partitions;
    uint64_t series, blocks, pages, samples, journal_samples; /* blocks: of samples */
    uint64_t row_blocks, rows, journal_rows;
};

/* Reads all of DIR, which no server may hold meanwhile. 0: the check came to its end, whatever it found. ERR_CONFLICT: a
 * server holds it; ERR_NOTFOUND: there is no data; ERR_IO, ERR_NOMEM. With `rebuild` also what stands in the way of it. */
int store_check(const char *dir, struct store_check *c, struct err *e);

#endif
