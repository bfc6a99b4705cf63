/* tail.h: follows files and stores each of their lines exactly once.
 *
 * Files are found by globs, also those that come later, and followed by what they are rather than by name: a file
 * that is renamed is read to its end, one that is truncated from its start. Only whole lines are taken. How far a
 * file has been read is committed with the rows themselves, so that neither a crash nor a full disk loses or doubles
 * a line; what was rotated away meanwhile is found again as long as it is in the same folder, not compressed.
 *
 * One thread on libevent and inotify, which also looks each second by itself. All functions are thread-safe, apart
 * from start and stop. */
#ifndef COLLECTOR_TAIL_H
#define COLLECTOR_TAIL_H

#include "collector/tail_config.h"
#include "store/store.h"

struct red;
struct tail;

/* Takes `config` over, also on failure. The store and `red` must live longer; red may be NULL. NULL: ERR_NOMEM,
 * ERR_IO. */
struct tail *tail_start(struct store *st, struct red *red, struct tail_config *config, struct err *e);
/* Waits for what the store has been given, and frees. NULL is fine. */
void tail_stop(struct tail *t);

/* Since the start, for /metrics. */
struct tail_stats {
    uint64_t files;            /* followed now */
    uint64_t lines, bytes;     /* stored */
    uint64_t unmatched;        /* lines that did not follow their declared format */
    uint64_t truncated;        /* files found shorter than before, or overwritten */
    uint64_t cut;              /* lines longer than max_line */
    uint64_t not_stored;       /* lines that the store will not have, whatever is tried */
};
void tail_stats(const struct tail *t, struct tail_stats *out);

#endif
